//! What a channel remembers of idempotency keys, by what its partition says.
//!
//! An id is stored once, whether it came alone or in a stream: message `n` of the stream with key `K`
//! has the id `K/n`. A stream is one entry, however long it is.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tidings_core::log::{Draft, Once, in_stream};

/// The ids that one channel has stored within their window.
#[derive(Debug, Default)]
pub(super) struct Keys {
    alone: HashMap<Arc<str>, Key>,
    streams: HashMap<Arc<str>, Key>,
    by_age: VecDeque<(u64, Arc<str>, bool)>,
}

#[derive(Debug, Clone, Copy)]
struct Key {
    /// The place of the last message.
    last: u64,
    /// How many messages of a stream are stored.
    count: u64,
    until_ms: u64,
}

impl Keys {
    /// Where a draft is stored already, or a later message of its stream.
    pub(super) fn find(&self, draft: &Draft, now_ms: u64) -> Option<u64> {
        let alone = |id: &str| self.alone.get(id).filter(|key| key.until_ms > now_ms).map(|key| key.last);
        let of_stream = |stream: &str, index| {
            let key = self.streams.get(stream).filter(|key| key.until_ms > now_ms)?;
            (index < key.count).then_some(key.last)
        };
        match &draft.once {
            Once::No => None,
            Once::Id => alone(&draft.id)
                .or_else(|| in_stream(&draft.id).and_then(|(stream, index)| of_stream(stream, index))),
            Once::Stream { key, index } => of_stream(key, *index).or_else(|| alone(&draft.id)),
        }
    }

    /// Remembers a draft that was stored.
    pub(super) fn remember(&mut self, draft: &Draft, last: u64, until_ms: u64) {
        let (keys, name, count, is_stream) = match &draft.once {
            Once::No => return,
            Once::Id => (&mut self.alone, Arc::from(&*draft.id), 1, false),
            Once::Stream { key, index } => (&mut self.streams, key.clone(), index + 1, true),
        };
        if keys.insert(name.clone(), Key { last, count, until_ms }).is_none() {
            self.by_age.push_back((until_ms, name, is_stream));
        }
    }

    /// Forgets those whose window is over.
    pub(super) fn expire(&mut self, now_ms: u64) {
        while self.by_age.front().is_some_and(|(until_ms, ..)| *until_ms <= now_ms) {
            let Some((_, name, is_stream)) = self.by_age.pop_front() else { break };
            let keys = if is_stream { &mut self.streams } else { &mut self.alone };
            // A stream renews its key with each message.
            match keys.get(&name).map(|key| key.until_ms).filter(|until_ms| *until_ms > now_ms) {
                Some(until_ms) => self.by_age.push_back((until_ms, name, is_stream)),
                None => drop(keys.remove(&name)),
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.alone.len() + self.streams.len()
    }
}
