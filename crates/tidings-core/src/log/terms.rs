//! What a channel was created with, where that is not left to its namespace.

use super::{Position, Retain, Rules};

/// What holds for one channel in place of its namespace's rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// How much it keeps.
    pub retain: Option<Retain>,
    /// The channel is deleted so many milliseconds after it was created or last written to.
    pub ttl_ms: Option<u64>,
}

/// What became of a channel that somebody asked to create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Created {
    /// The end of its log.
    pub end: Position,
    /// Whether it was not there before; else it has other terms now, and its log stays.
    pub new: bool,
    /// Whether its log is closed.
    pub closed: bool,
}

impl Terms {
    /// The rules of a channel with these terms.
    pub fn over(&self, rules: &Rules) -> Rules {
        Rules { retain: self.retain.unwrap_or(rules.retain), ..*rules }
    }

    /// Whether a channel that was last written to then is over now.
    pub fn are_over(&self, written_ms: u64, now_ms: u64) -> bool {
        self.ttl_ms.is_some_and(|ttl_ms| written_ms.saturating_add(ttl_ms) <= now_ms)
    }
}
