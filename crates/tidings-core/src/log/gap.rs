//! The explicit report that something cannot be delivered.

use super::{Below, Position};

/// Why messages cannot be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Retention or a memory bound removed them, or a disk cannot give them any more.
    Expired,
    /// The log began a new life, so that nothing is known of what came after the cursor.
    Epoch,
    /// The reader was too slow for an at-most-once channel.
    Lagged,
}

/// Messages between two places that cannot be delivered, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The reader's place; `None` where its cursor could not be read.
    pub after: Option<Position>,
    /// The place to go on from.
    pub until: Position,
    /// The reason.
    pub why: Why,
    /// How many are missing, where the one who keeps the log knows.
    pub missed: Option<u64>,
}

impl Gap {
    /// Where a reader stands that was not told yet: from there the gap is found again.
    pub fn begins_at(&self) -> Position {
        self.after.unwrap_or(Position::NOWHERE)
    }

    /// This one and the one that follows it at once, as one.
    #[must_use]
    pub fn and(self, next: Gap) -> Gap {
        let why = if next.why == Why::Epoch { Why::Epoch } else { self.why };
        let missed = self.missed.zip(next.missed).map(|(before, after)| before.saturating_add(after));
        Gap { after: self.after, until: next.until, why, missed }
    }
}

impl Why {
    /// Why a reader of a log misses what it no longer has, by what becomes of who is below it.
    pub fn below(below: Below) -> Self {
        match below {
            Below::Oldest => Why::Expired,
            Below::Newest => Why::Lagged,
        }
    }

    /// The name on every wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Why::Expired => "expired",
            Why::Epoch => "epoch",
            Why::Lagged => "lagged",
        }
    }
}
