//! The newest record of a stream that this node has seen: by it a stream shows that it went back.

use parking_lot::Mutex;

/// The highest sequence seen, and what was there.
#[derive(Debug, Default)]
pub(super) struct Mark {
    seen: Mutex<Seen>,
}

/// A record that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Seen {
    pub(super) seq: u64,
    sum: u32,
}

impl Mark {
    /// The newest that was seen.
    pub(super) fn seen(&self) -> Seen {
        *self.seen.lock()
    }

    /// A record was seen.
    pub(super) fn saw(&self, seq: u64, record: &[u8]) {
        let mut seen = self.seen.lock();
        if seq > seen.seq {
            *seen = Seen { seq, sum: crc32fast::hash(record) };
        }
    }

    /// The stream is another one: nothing of it was seen.
    pub(super) fn forget(&self) {
        *self.seen.lock() = Seen::default();
    }
}

impl Seen {
    /// Whether this is the record that was seen.
    pub(super) fn is(&self, record: &[u8]) -> bool {
        self.sum == crc32fast::hash(record)
    }
}
