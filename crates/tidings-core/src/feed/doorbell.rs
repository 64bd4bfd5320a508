//! How a feed tells a session which of its readers has something to read.
//!
//! One waker for the session, one bit for each of its readers. Ringing sets a
//! bit and wakes at most once until the session has looked: no allocation, no
//! lock, and no re-registration of hundreds of waiters at each wake.
//!
//! The promise: if a feed changes and then rings, a session that registered
//! its waker and then found nothing will be polled again. Checked by loom
//! (`tests/loom.rs`), which includes this file with its own atomics.

use std::task::Waker;

use super::sync::{AtomicU64, AtomicWaker, Ordering};

/// The bell of one session.
#[derive(Debug)]
pub struct Bell {
    waker: AtomicWaker,
    first: AtomicU64,
    rest: Box<[AtomicU64]>,
}

impl Bell {
    /// A bell for this many readers, none of them ready.
    pub fn new(readers: usize) -> Self {
        let words = readers.div_ceil(64).saturating_sub(1);
        Bell {
            waker: AtomicWaker::new(),
            first: AtomicU64::new(0),
            rest: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Says that a reader has something to read.
    pub fn ring(&self, reader: u32) {
        let bit = 1u64 << (reader % 64);
        let Some(word) = self.word(reader / 64) else { return };
        if word.fetch_or(bit, Ordering::AcqRel) & bit == 0 {
            self.waker.wake();
        }
    }

    /// Wakes the session without naming a reader: something about the session itself changed.
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// Registers the task to wake. Must come before [`Bell::take`].
    pub fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Takes 64 readers' bits, and lowers them. Word 0 is that of readers 0 to 63.
    pub fn take(&self, word: u32) -> u64 {
        let Some(word) = self.word(word) else { return 0 };
        // Most looks find nothing: spare them the exclusive access to the cache line.
        if word.load(Ordering::Acquire) == 0 {
            return 0;
        }
        word.swap(0, Ordering::AcqRel)
    }

    /// How many words of bits there are.
    pub fn words(&self) -> u32 {
        self.rest.len() as u32 + 1
    }

    fn word(&self, at: u32) -> Option<&AtomicU64> {
        match at.checked_sub(1) {
            None => Some(&self.first),
            Some(at) => self.rest.get(at as usize),
        }
    }
}
