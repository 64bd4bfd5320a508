//! Where reads begin, and which messages a page has, by what is known of a channel.

use std::sync::Arc;

use tidings_core::log::{Below, Found, Gap, Limit, Message, Position, Rules, Start, Why};

use super::chain::Chain;

/// The messages of a page, by place; those that came a short time ago are here themselves.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) gap: Option<Gap>,
    pub(super) messages: Vec<(u64, Option<Arc<Message>>)>,
    /// The end of the log, if nothing follows these and it is closed.
    pub(super) end: Option<Position>,
}

/// A channel at a moment, and what the reader goes by.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) chain: &'a Chain,
    pub(super) epoch: u64,
    /// Up to where the partition is known; no place beyond it was given out.
    pub(super) known: u64,
    pub(super) below: Below,
}

impl View<'_> {
    pub(super) fn find(&self, start: Start, rules: &Rules, now_ms: u64) -> Found {
        let (chain, tip) = (self.chain, self.chain.tip());
        let (at, gap) = match start {
            Start::Latest | Start::Last(0) => (self.at(tip), None),
            Start::Earliest => (self.at(self.first()), None),
            Start::Last(count) => (self.at(self.before_last(count)), None),
            Start::After(position) => match self.gap(Some(position)) {
                Some(gap) => (gap.until, Some(gap)),
                None => (position, None),
            },
            Start::Unreadable => {
                let gap = self.gap(None);
                (gap.map_or(self.at(tip), |gap| gap.until), gap)
            }
        };
        let is_fresh = chain.newest_ms.saturating_add(rules.retain.age_ms) > now_ms;
        Found {
            at,
            gap,
            end: self.at(tip),
            closed: chain.end.is_some(),
            created: chain.is_created(),
            newest_ms: (is_fresh && !chain.entries.is_empty()).then_some(chain.newest_ms),
        }
    }

    pub(super) fn page(&self, after: Position, limit: Limit) -> Wanted {
        let gap = self.gap(Some(after));
        let from = gap.map_or(after, |gap| gap.until).offset;
        let mut following = self.chain.entries.range(from.saturating_add(1)..);
        let taken = following.by_ref().take(limit.messages);
        let messages: Vec<_> = taken.map(|(at, entry)| (*at, entry.message.clone())).collect();
        let is_whole = following.next().is_none();
        let end = self.chain.end.filter(|_| is_whole).map(|end| self.at(end));
        Wanted { gap, messages, end }
    }

    fn at(&self, offset: u64) -> Position {
        Position { epoch: self.epoch, offset }
    }

    /// The place before all that is kept.
    fn first(&self) -> u64 {
        self.chain.lost
    }

    fn before_last(&self, count: u64) -> u64 {
        let back = usize::try_from(count).unwrap_or(usize::MAX);
        self.chain.entries.keys().rev().nth(back).copied().unwrap_or(self.first())
    }

    /// What is missing after a position, `None` being one that nobody could read.
    fn gap(&self, after: Option<Position>) -> Option<Gap> {
        let (until, why) = match self.below {
            Below::Oldest => (self.first(), Why::Expired),
            Below::Newest => (self.chain.tip(), Why::Lagged),
        };
        let is_known = |position: &Position| position.epoch == self.epoch && position.offset <= self.known;
        let Some(position) = after.filter(is_known) else {
            return Some(Gap { after, until: self.at(until), why: Why::Epoch, missed: None });
        };
        let is_below = position.offset < self.chain.lost;
        is_below.then_some(Gap { after, until: self.at(until), why, missed: None })
    }
}
