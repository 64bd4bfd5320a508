//! Where reads begin, and pages.

use std::sync::Arc;

use tidings_core::broker::BrokerError;
use tidings_core::log::{Below, Found, Gap, Limit, Message, Page, Position, Start, Why};

use super::log::Log;
use super::place::{Place, seq_of};
use super::record::{Body, Record};
use super::state::State;

/// What follows a place.
struct Run {
    messages: Vec<Arc<Message>>,
    /// The first of them, or the one that hides it.
    first: Option<Record>,
    /// Whether nothing follows them.
    is_whole: bool,
}

/// Steps of the search for a message by its number: each halves what is left, at least.
const STEPS_MAX: u32 = 128;
/// Where few messages are left, they are read.
const NEAR: u64 = 32;

impl Log<'_> {
    /// Finds where a read begins.
    pub(super) async fn find(&self, start: Start) -> Result<Found, BrokerError> {
        let state = self.state_now().await?;
        let epoch = self.epoch(&state);
        let rules = state.rules(&self.rules);
        let is_fresh = state.last.seq > state.lost.seq
            && state.newest_ms.saturating_add(rules.retain.age_ms) > self.now_ms;
        let newest_ms = is_fresh.then_some(state.newest_ms);
        let (at, gap) = match start {
            Start::Latest | Start::Last(0) => (state.end().position(epoch), None),
            Start::Earliest => (self.first(&state).await?.1.position(epoch), None),
            Start::Last(count) => (self.before_last(&state, count).await?.position(epoch), None),
            Start::After(position) => match self.gap(&state, Some(position)).await? {
                Some(gap) => (gap.until, Some(gap)),
                None => (position, None),
            },
            Start::Unreadable => {
                let gap = self.gap(&state, None).await?;
                (gap.map_or(state.end().position(epoch), |gap| gap.until), gap)
            }
        };
        Ok(state.found(at, gap, newest_ms, epoch))
    }

    /// What is missing after a position.
    async fn gap(&self, state: &State, after: Option<Position>) -> Result<Option<Gap>, BrokerError> {
        let epoch = self.epoch(state);
        if let Some(position) = after.filter(|position| state.knows(*position, epoch)) {
            if seq_of(position) >= state.last.seq {
                return Ok(None);
            }
            let run = self.run(state, seq_of(position), Limit { messages: 1, bytes: 1 }).await?;
            if run.first.is_some_and(|next| self.joins(state, position, &next)) {
                return Ok(None);
            }
        }
        self.gap_at(state, after).await
    }

    /// The same, for a position that something does follow at once.
    async fn gap_at(&self, state: &State, after: Option<Position>) -> Result<Option<Gap>, BrokerError> {
        let epoch = self.epoch(state);
        let lost = match self.rules.below {
            Below::Newest if after.is_none_or(|after| !state.knows(after, epoch)) => state.lost,
            _ => self.first(state).await?.1,
        };
        let gap = state.gap(after, lost, &self.rules, epoch);
        Ok(gap.or_else(|| {
            // Its successor is not what is there, and no retention explains it.
            let is_odd = !self.rules.compact && after.is_some_and(|after| seq_of(after) > lost.seq);
            let unknown = || {
                let place = if self.rules.below == Below::Newest { state.end() } else { lost };
                Gap { after, until: place.position(epoch), why: Why::Epoch, missed: None }
            };
            is_odd.then(unknown)
        }))
    }

    /// The messages after a place, and what is missing before them.
    pub(super) async fn page(&self, after: Position, limit: Limit) -> Result<Page, BrokerError> {
        let state = self.state_now().await?;
        let epoch = self.epoch(&state);
        let end = state.is_closed().then(|| state.end().position(epoch));
        if state.knows(after, epoch) {
            if seq_of(after) >= state.last.seq {
                return Ok(Page { gap: None, messages: Vec::new(), end });
            }
            let run = self.run(&state, seq_of(after), limit).await?;
            if run.first.as_ref().is_some_and(|next| self.joins(&state, after, next)) {
                return Ok(Page { gap: None, messages: run.messages, end: end.filter(|_| run.is_whole) });
            }
        }
        let gap = self.gap_at(&state, Some(after)).await?;
        let from = seq_of(gap.map_or(after, |gap| gap.until));
        if from >= state.last.seq {
            return Ok(Page { gap, messages: Vec::new(), end });
        }
        let run = self.run(&state, from, limit).await?;
        Ok(Page { gap, messages: run.messages, end: end.filter(|_| run.is_whole) })
    }

    /// Messages after a sequence, up to a limit, none of them with a hole before it.
    async fn run(&self, state: &State, after: u64, limit: Limit) -> Result<Run, BrokerError> {
        let (epoch, rules) = (self.epoch(state), state.rules(&self.rules));
        let mut run = Run { messages: Vec::new(), first: None, is_whole: false };
        let (mut bytes, mut from, mut before) = (0_usize, after + 1, None);
        loop {
            // Two more than are missing: notes and the end take places, too.
            let count = limit.messages.saturating_sub(run.messages.len()).saturating_add(2);
            let room = limit.bytes.saturating_sub(bytes).saturating_add(4_096);
            let batch = self.after(state, from, count, room).await?;
            for record in batch.records {
                if !matches!(record.body, Body::Message(_)) || record.head.life != state.life {
                    continue;
                }
                run.first.get_or_insert_with(|| record.clone());
                if !state.shows(&record, &rules, self.now_ms) {
                    continue;
                }
                let follows = before.is_none_or(|before| before == record.head.before.seq);
                let Some(message) = record.message(self.channel, epoch) else { continue };
                bytes = bytes.saturating_add(message.weight());
                let is_over = run.messages.len() >= limit.messages || bytes > limit.bytes;
                if (is_over && !run.messages.is_empty()) || !(follows || rules.compact) {
                    return Ok(run);
                }
                before = Some(record.seq);
                run.messages.push(Arc::new(message));
            }
            from = batch.last_seq + 1;
            if !batch.more {
                run.is_whole = true;
                return Ok(run);
            }
        }
    }

    /// The place before the newest messages.
    async fn before_last(&self, state: &State, count: u64) -> Result<Place, BrokerError> {
        let (first, lost) = self.first(state).await?;
        let Some(first) = first else { return Ok(lost) };
        if state.rules(&self.rules).compact {
            return self.before_last_of_keys(state, count, lost).await;
        }
        let wanted = state.last.number.saturating_sub(count);
        if wanted < first.place().number {
            return Ok(lost);
        }
        // Numbers rise with sequences: between two records that are known, guess where the wanted one lies.
        let (mut low, mut high) = (first.place(), state.last);
        for step in 0..STEPS_MAX {
            if wanted == low.number {
                return Ok(low);
            }
            if wanted == high.number {
                return Ok(high);
            }
            if high.number - low.number <= NEAR {
                break;
            }
            let (seqs, numbers) = (high.seq - low.seq, high.number - low.number);
            let share = u128::from(seqs) * u128::from(wanted - low.number) / u128::from(numbers);
            let ahead = if step % 2 == 0 { u64::try_from(share).unwrap_or(seqs / 2) } else { seqs / 2 };
            let guess = low.seq + ahead.clamp(1, seqs - 1);
            let batch = self.after(state, guess, 8, 1 << 20).await?;
            let found = batch.records.iter().find(|record| matches!(record.body, Body::Message(_)));
            let Some(found) = found else { break };
            let (before, place) = (found.head.before, found.place());
            if before.number == wanted {
                return Ok(before);
            }
            if before.number < wanted { low = place } else { high = before }
        }
        let mut from = low.seq;
        while from < high.seq {
            let batch = self.after(state, from + 1, NEAR as usize + 8, 1 << 20).await?;
            let next = batch.records.iter().find(|record| record.head.before.number >= wanted);
            if let Some(next) = next {
                return Ok(next.head.before);
            }
            if !batch.more {
                break;
            }
            from = batch.last_seq;
        }
        Ok(lost)
    }

    /// The same in a compacted log, whose numbers have holes.
    async fn before_last_of_keys(
        &self,
        state: &State,
        count: u64,
        lost: Place,
    ) -> Result<Place, BrokerError> {
        let rules = state.rules(&self.rules);
        let mut places = vec![lost];
        let mut from = lost.seq + 1;
        loop {
            let batch = self.after(state, from, usize::MAX, usize::MAX).await?;
            let shown = batch.records.iter().filter(|record| state.shows(record, &rules, self.now_ms));
            places.extend(shown.map(Record::place));
            if !batch.more {
                break;
            }
            from = batch.last_seq + 1;
        }
        let behind = usize::try_from(count).unwrap_or(usize::MAX);
        Ok(places[places.len().saturating_sub(behind.saturating_add(1))])
    }
}
