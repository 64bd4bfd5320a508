//! What one reader was given of one channel, in its order.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// One thing that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// A message.
    Message {
        /// Its number; 0 for one that is none of ours.
        number: u32,
        /// Its cursor, as a number: two cursors of one run share one once in 2⁶⁴ pairs.
        place: u64,
        /// When, in milliseconds since the run began.
        at_ms: u32,
    },
    /// A gap.
    Gap {
        /// What it says why.
        why: Why,
        /// How many messages it says are missing.
        missed: Option<u32>,
        /// The whole of it, as a number.
        text: u64,
        /// When, in milliseconds since the run began.
        at_ms: u32,
    },
}

/// Why messages are missing, as a gap says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// They are no longer kept.
    Expired,
    /// The log is another one.
    Epoch,
    /// The reader was too far behind.
    Lagged,
    /// A word that is not in the protocol.
    Other,
}

impl Why {
    /// Reads the word.
    pub fn parse(word: &str) -> Self {
        match word {
            "expired" => Self::Expired,
            "epoch" => Self::Epoch,
            "lagged" => Self::Lagged,
            _ => Self::Other,
        }
    }
}

/// All that one reader was given of one channel: 24 bytes for each, up to a bound.
#[derive(Debug, Default)]
pub struct Lane {
    heard: Vec<Heard>,
    newest: u32,
    is_over_full: bool,
}

impl Lane {
    /// Notes what came, unless there are `most` already: then a server repeats itself without end.
    pub fn note(&mut self, heard: Heard, most: usize) {
        if self.heard.len() >= most {
            self.is_over_full = true;
            return;
        }
        if let Heard::Message { number, .. } = heard {
            self.newest = self.newest.max(number);
        }
        self.heard.push(heard);
    }

    /// The highest number that came.
    pub fn newest(&self) -> u32 {
        self.newest
    }

    /// Whether more came than was noted.
    pub fn is_over_full(&self) -> bool {
        self.is_over_full
    }

    /// What came.
    pub fn heard(&self) -> &[Heard] {
        &self.heard
    }
}

/// A text as a number, the same within a run.
pub fn mark(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
