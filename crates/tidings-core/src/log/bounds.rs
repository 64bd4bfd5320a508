//! From where to where a log reaches, and what that says of a place in it.

use super::{Below, Found, Gap, Position, Rules, Start, Why};

/// The bounds of one log whose offsets are given one after the other from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Which life of the log.
    pub epoch: u64,
    /// The offset of the newest message that was ever stored.
    pub last: u64,
    /// The highest offset that expired. What compaction removed does not count: its key has a newer message.
    pub lost: u64,
    /// Whether nothing follows `last`, which is then the place after the end and no message.
    pub closed: bool,
    /// Whether every offset between the two has its message, so that differences count messages.
    pub dense: bool,
}

impl Bounds {
    /// The end of the log.
    pub fn end(&self) -> Position {
        self.at(self.last)
    }

    /// An offset of this log.
    pub fn at(&self, offset: u64) -> Position {
        Position { epoch: self.epoch, offset }
    }

    /// Finds where a read begins. `before_last`: the offset before the N newest messages, N over 0.
    pub fn find(
        &self,
        start: Start,
        rules: &Rules,
        newest_ms: Option<u64>,
        before_last: impl FnOnce(u64) -> u64,
    ) -> Found {
        let oldest = self.at(self.lost);
        let or_gap = |after, otherwise| match self.gap_after(after, rules) {
            Some(gap) => (gap.until, Some(gap)),
            None => (otherwise, None),
        };
        let (at, gap) = match start {
            Start::Earliest => (oldest, None),
            Start::Latest | Start::Last(0) => (self.end(), None),
            Start::Last(n) => (self.at(before_last(n)), None),
            Start::After(position) => or_gap(Some(position), position),
            Start::Unreadable => or_gap(None, oldest),
        };
        Found { at, gap, end: self.end(), closed: self.closed, created: self.last > 0, newest_ms }
    }

    /// What is missing after a place, `None` being one that nobody could read.
    pub fn gap_after(&self, after: Option<Position>, rules: &Rules) -> Option<Gap> {
        let until = match rules.below {
            Below::Oldest => self.at(self.lost),
            Below::Newest => self.end(),
        };
        let position = match after {
            Some(position) if position.epoch == self.epoch && position.offset <= self.last => position,
            _ => return Some(Gap { after, until, why: Why::Epoch, missed: None }),
        };
        if position.offset >= self.lost {
            return None;
        }
        // Where keys replace each other, some of those between may not be missed.
        // The end has a place, and is no message.
        let ends = u64::from(self.closed && until.offset == self.last);
        let missed = self.dense.then(|| until.offset - position.offset - ends);
        Some(Gap { after, until, why: Why::below(rules.below), missed })
    }
}
