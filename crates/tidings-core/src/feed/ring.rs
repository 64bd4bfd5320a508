//! The newest messages of one channel on this node.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::log::{Message, Position};

use super::Entry;

/// A bounded run of entries without a hole: everything after `from`, up to `end`.
#[derive(Debug)]
pub(super) struct Ring {
    entries: VecDeque<Arc<Entry>>,
    from: Position,
    end: Position,
    weight: usize,
}

/// What a reader finds at its place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Entries; whether the ring holds more after them.
    Entries { more: bool },
    /// Nothing: the reader is at the end of the channel.
    End,
    /// The place lies before what the ring holds, which ends here.
    Below(Position),
}

impl Ring {
    /// Messages that a ring holds at most.
    const MESSAGES_MAX: usize = 256;
    /// Bytes that a ring holds at most, but for one message that is larger.
    const BYTES_MAX: usize = 1 << 20;

    /// A ring that holds nothing, and owes everything after a place.
    pub(super) fn new(from: Position) -> Self {
        Ring { entries: VecDeque::new(), from, end: from, weight: 0 }
    }

    /// Adds what follows.
    pub(super) fn push(&mut self, message: Arc<Message>) {
        self.end = message.position;
        self.weight += message.weight();
        self.entries.push_back(Arc::new(Entry::new(message)));
        while self.entries.len() > Self::MESSAGES_MAX
            || (self.weight > Self::BYTES_MAX && self.entries.len() > 1)
        {
            self.drop_oldest();
        }
    }

    /// Gives up its entries, and the memory they hold.
    pub(super) fn clear(&mut self) {
        *self = Ring::new(self.end);
    }

    /// Whether it holds no entry.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Appends up to `max` entries after a place to `out`.
    pub(super) fn look(&self, after: Position, max: usize, out: &mut Vec<Arc<Entry>>) -> Look {
        if after.epoch != self.end.epoch || after.offset < self.from.offset {
            return Look::Below(self.end);
        }
        if after.offset >= self.end.offset {
            return Look::End;
        }
        // Most readers lack the newest few only: look from the end, not by halving a cold ring.
        let mut lacking = 0;
        while let Some(entry) = self.entries.get(self.entries.len().wrapping_sub(lacking + 1)) {
            if entry.message.position.offset <= after.offset {
                break;
            }
            lacking += 1;
        }
        let first = self.entries.len() - lacking;
        out.extend(self.entries.range(first..).take(max).cloned());
        Look::Entries { more: lacking > max }
    }

    /// How many entries follow a place, if it lies within the ring.
    pub(super) fn after(&self, place: Position) -> Option<usize> {
        let within = place.epoch == self.end.epoch && place.offset >= self.from.offset;
        within.then(|| {
            let newer = |entry: &&Arc<Entry>| entry.message.position.offset > place.offset;
            self.entries.iter().rev().take_while(newer).count()
        })
    }

    fn drop_oldest(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.weight -= entry.message.weight();
            self.from = entry.message.position;
        }
    }
}
