//! What a log remembers of idempotency keys: which ids are stored already.
//!
//! An id is stored once, whether it came alone or in a stream: message `n` of
//! the stream with key `K` has the id `K/n`, and so is the same message as one
//! that came alone with that id. A message that came alone with the id `K` is
//! another one. A stream is one record, however long it is.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::{Draft, Once};

/// The ids that one log has stored within their window.
#[derive(Debug, Default)]
pub(super) struct Idempotency {
    alone: HashMap<Arc<str>, Record>,
    streams: HashMap<Arc<str>, Record>,
    by_age: VecDeque<(u64, Sent, Arc<str>)>,
    names: usize,
}

/// How an id came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Alone,
    InStream,
}

/// What is remembered of a message, or of a stream.
#[derive(Debug, Clone, Copy)]
struct Record {
    /// The offset of the last message.
    last: u64,
    /// How many messages of the stream are stored.
    count: u64,
    until_ms: u64,
}

/// Counted for a key besides its name: two entries with their share of free room.
const KEY_BYTES: usize = 160;

impl Idempotency {
    /// Where a draft is stored already; for a message of a stream, that or a later place of the stream.
    pub(super) fn find(&self, draft: &Draft, now_ms: u64) -> Option<u64> {
        match &draft.once {
            Once::No => None,
            Once::Id => self.alone(&draft.id, now_ms).or_else(|| {
                let (key, index) = in_stream(&draft.id)?;
                self.in_stream(key, index, now_ms)
            }),
            Once::Stream { key, index } => {
                self.in_stream(key, *index, now_ms).or_else(|| self.alone(&draft.id, now_ms))
            }
        }
    }

    /// Whether storing a draft would add a key to those that are remembered.
    pub(super) fn is_new(&self, draft: &Draft, now_ms: u64) -> bool {
        let known = match &draft.once {
            Once::No => true,
            Once::Id => self.alone.contains_key(&*draft.id),
            Once::Stream { key, .. } => self.streams.contains_key(key),
        };
        !known && self.find(draft, now_ms).is_none()
    }

    /// Remembers a draft that was stored at an offset.
    pub(super) fn remember(&mut self, draft: &Draft, last: u64, now_ms: u64, dedupe_ms: u64) {
        let (sent, key, count) = match &draft.once {
            Once::No => return,
            Once::Id => (Sent::Alone, Arc::from(&*draft.id), 1),
            Once::Stream { key, index } => (Sent::InStream, key.clone(), index + 1),
        };
        let until_ms = now_ms.saturating_add(dedupe_ms);
        let known = self.of(sent).insert(key.clone(), Record { last, count, until_ms });
        // A stream renews its key with each message: its old place in the queue is skipped when it comes up.
        if known.is_none() {
            self.names += key.len();
            self.by_age.push_back((until_ms, sent, key));
        }
    }

    /// Forgets the keys whose window is over.
    pub(super) fn expire(&mut self, now_ms: u64) {
        while self.by_age.front().is_some_and(|(until_ms, ..)| *until_ms <= now_ms) {
            let Some((_, sent, key)) = self.by_age.pop_front() else { break };
            let renewed = self.of(sent).get(&key).map(|record| record.until_ms);
            match renewed.filter(|until_ms| *until_ms > now_ms) {
                Some(until_ms) => self.by_age.push_back((until_ms, sent, key)),
                None => {
                    self.of(sent).remove(&key);
                    self.names -= key.len();
                }
            }
        }
    }

    /// How many keys it remembers.
    pub(super) fn len(&self) -> usize {
        self.alone.len() + self.streams.len()
    }

    /// About how many bytes of memory it holds.
    pub(super) fn weight(&self) -> usize {
        self.len() * KEY_BYTES + self.names
    }

    fn alone(&self, id: &str, now_ms: u64) -> Option<u64> {
        self.alone.get(id).filter(|record| record.until_ms > now_ms).map(|record| record.last)
    }

    fn in_stream(&self, key: &str, index: u64, now_ms: u64) -> Option<u64> {
        let record = self.streams.get(key).filter(|record| record.until_ms > now_ms)?;
        (index < record.count).then_some(record.last)
    }

    fn of(&mut self, sent: Sent) -> &mut HashMap<Arc<str>, Record> {
        match sent {
            Sent::Alone => &mut self.alone,
            Sent::InStream => &mut self.streams,
        }
    }
}

/// The stream and the number that an id has, if it has the form of a stream's ids: message `n` of
/// the stream with key `K` has the id `K/n`, so it is the same message if it comes alone.
pub fn in_stream(id: &str) -> Option<(&str, u64)> {
    let (key, number) = id.rsplit_once('/')?;
    // `K/01` and `K/+1` are no ids of a stream.
    let is_number = number == "0" || !number.starts_with(['0', '+']);
    Some((key, number.parse().ok().filter(|_| is_number)?))
}
