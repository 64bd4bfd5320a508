//! Which message of a compacted channel is the newest of its key.

use std::collections::{BTreeMap, HashMap};

use tidings_core::broker::BrokerError;

use super::log::Log;
use super::place::Place;
use super::record::{Body, Record};
use super::state::State;

/// All that a compacted channel keeps, without the data.
#[derive(Debug, Default)]
pub(super) struct Index {
    life: u64,
    /// The newest record that is in it.
    upto: u64,
    entries: BTreeMap<u64, Entry>,
    newest: HashMap<Box<str>, u64>,
    /// Older messages of a key that are still in the stream: who wrote the newer one did not get so far.
    left: Vec<u64>,
}

#[derive(Debug)]
struct Entry {
    key: Option<Box<str>>,
    number: u64,
    written_ms: u64,
}

impl Index {
    /// Brings it up to a state, whoever wrote meanwhile.
    pub(super) async fn catch_up(&mut self, log: &Log<'_>, state: &State) -> Result<(), BrokerError> {
        if self.life != state.life || state.seq < self.upto {
            *self = Index { life: state.life, ..Index::default() };
        }
        while self.upto < state.seq {
            let from = self.upto.max(state.lost.seq) + 1;
            let batch = log.after(state, from, usize::MAX, usize::MAX).await?;
            batch.records.iter().for_each(|record| self.add(record));
            self.upto = if batch.more { batch.last_seq } else { batch.last_seq.max(state.seq) };
        }
        self.forget_to(state.lost.seq);
        Ok(())
    }

    /// Adds a record, the newest.
    pub(super) fn add(&mut self, record: &Record) {
        self.upto = self.upto.max(record.seq);
        if record.head.life != self.life || !matches!(record.body, Body::Message(_)) {
            return;
        }
        let key: Option<Box<str>> = record.key().map(Into::into);
        if let Some(key) = &key
            && let Some(old) = self.newest.insert(key.clone(), record.seq)
            && self.entries.remove(&old).is_some()
        {
            self.left.push(old);
        }
        let entry = Entry { key, number: record.place().number, written_ms: record.head.written_ms };
        self.entries.insert(record.seq, entry);
    }

    /// Messages that are to leave the stream, since their keys have newer ones.
    pub(super) fn take_left(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.left)
    }

    /// Up to where messages are lost once there is one more with this key: what is over the number or the age.
    pub(super) fn lost_with(&self, key: Option<&str>, keep: u64, born_after_ms: u64) -> Option<Place> {
        let replaced = key.and_then(|key| self.newest.get(key)).filter(|seq| self.entries.contains_key(seq));
        let kept = self.entries.len() as u64 + u64::from(replaced.is_none());
        let mut over = kept.saturating_sub(keep.max(1));
        let mut lost = None;
        for (seq, entry) in self.entries.iter().filter(|(seq, _)| replaced != Some(seq)) {
            if over == 0 && entry.written_ms > born_after_ms {
                break;
            }
            over = over.saturating_sub(1);
            lost = Some(Place { seq: *seq, number: entry.number });
        }
        lost
    }

    /// Messages up to there are gone.
    pub(super) fn forget_to(&mut self, seq: u64) {
        while let Some(first) = self.entries.first_entry().filter(|first| *first.key() <= seq) {
            let (at, entry) = first.remove_entry();
            if let Some(key) = entry.key
                && self.newest.get(&key) == Some(&at)
            {
                self.newest.remove(&key);
            }
        }
        self.left.retain(|left| *left > seq);
    }
}
