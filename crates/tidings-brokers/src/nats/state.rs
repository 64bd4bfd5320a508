//! What a channel is like after its newest record.

use tidings_core::log::{Below, Found, Gap, Position, Rules, Terms, Why};

use super::place::{Place, missed, seq_of};
use super::record::{Body, Head, Record};

/// A channel, as its newest record has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    /// The newest record; 0 where there is none.
    pub(super) seq: u64,
    pub(super) life: u64,
    /// The newest message.
    pub(super) last: Place,
    pub(super) lost: Place,
    /// The end, where it is closed; else 0.
    pub(super) end: u64,
    pub(super) written_ms: u64,
    pub(super) newest_ms: u64,
    pub(super) terms: Option<Terms>,
}

impl State {
    /// Of a channel that nothing was stored in.
    pub(super) fn empty(life: u64) -> Self {
        let none = Place::default();
        State { seq: 0, life, last: none, lost: none, end: 0, written_ms: 0, newest_ms: 0, terms: None }
    }

    /// After a record.
    pub(super) fn after(record: &Record) -> Self {
        let Record { seq, head, body } = record;
        let (last, end, newest_ms) = match body {
            Body::Message(_) => (record.place(), head.end, head.written_ms),
            Body::End => (head.before, *seq, head.newest_ms),
            Body::Note => (head.before, head.end, head.newest_ms),
        };
        let Head { life, lost, written_ms, terms, .. } = *head;
        State { seq: *seq, life, last, lost, end, written_ms, newest_ms, terms }
    }

    /// What the next record says, unless it changes it.
    pub(super) fn head(&self) -> Head {
        let State { seq, life, last, lost, end, written_ms, newest_ms, terms } = *self;
        Head { life, prev: seq, before: last, lost, end, written_ms, newest_ms, terms }
    }

    /// The rules that hold here: those of the namespace, and over them its terms.
    pub(super) fn rules(&self, rules: &Rules) -> Rules {
        self.terms.map_or(*rules, |terms| terms.over(rules))
    }

    /// Whether somebody created the channel: by a first message, or by name.
    pub(super) fn is_created(&self) -> bool {
        self.terms.is_some() || self.last.number > 0 || self.is_closed()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.end > 0
    }

    /// Whether its time to live has passed.
    pub(super) fn is_over(&self, now_ms: u64) -> bool {
        self.terms.is_some_and(|terms| terms.are_over(self.written_ms, now_ms))
    }

    /// The end of the log: after its newest message, or after its end.
    pub(super) fn end(&self) -> Place {
        if self.is_closed() { Place { seq: self.end, number: self.last.number } } else { self.last }
    }

    /// Whether a message is still to be seen.
    pub(super) fn shows(&self, record: &Record, rules: &Rules, now_ms: u64) -> bool {
        let is_kept = rules.compact
            || record.place().number > self.last.number.saturating_sub(rules.retain.messages.max(1));
        matches!(record.body, Body::Message(_))
            && record.head.life == self.life
            && record.seq > self.lost.seq
            && is_kept
            && record.head.written_ms.saturating_add(rules.retain.age_ms) > now_ms
    }

    /// Whether a position is of this epoch and not beyond its end.
    pub(super) fn knows(&self, position: Position, epoch: u64) -> bool {
        position.epoch == epoch && seq_of(position) <= self.end().seq
    }

    /// What is missing after a position, `None` being one that nobody could read, where all up to
    /// `lost` is gone.
    pub(super) fn gap(&self, after: Option<Position>, lost: Place, rules: &Rules, epoch: u64) -> Option<Gap> {
        let (place, why) = match rules.below {
            Below::Oldest => (lost, Why::Expired),
            Below::Newest => (self.end(), Why::Lagged),
        };
        let until = place.position(epoch);
        let position = match after {
            Some(position) if self.knows(position, epoch) => position,
            _ => return Some(Gap { after, until, why: Why::Epoch, missed: None }),
        };
        // Where keys replace each other, some of those between may not be missed.
        let missed = if rules.compact { None } else { missed(position, place) };
        (seq_of(position) < lost.seq).then_some(Gap { after, until, why, missed })
    }

    /// A start that was found.
    pub(super) fn found(&self, at: Position, gap: Option<Gap>, newest_ms: Option<u64>, epoch: u64) -> Found {
        Found {
            at,
            gap,
            end: self.end().position(epoch),
            closed: self.is_closed(),
            created: self.is_created(),
            newest_ms,
        }
    }
}
