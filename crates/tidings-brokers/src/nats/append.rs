//! Appending: each record builds on the newest of its channel, and the server refuses one that does not.
//!
//! So all nodes have one order, and each record can say what it follows. A node that was refused
//! looks again and goes on behind what the other has stored.

use std::time::Duration;

use tidings_core::broker::{AppendError, BrokerError};
use tidings_core::log::{Appended, Draft, Once, Position, Rules};
use tokio::time::{Instant, sleep};

use super::api::{Before, Published};
use super::index::Index;
use super::log::{Log, changed};
use super::once;
use super::place::{Place, without_number};
use super::record::{Body, Content, Head, Record, encode};
use super::slots::Inside;
use super::state::State;

/// Longest time that an append tries again, where others are always first.
const TRIES_MAX: Duration = Duration::from_secs(8);
/// Refusals after which it waits a little.
const AT_ONCE: u32 = 2;
/// Messages between two purges of a channel that keeps less than its namespace.
const PURGE_EVERY: u64 = 32;

/// What became of one record.
pub(super) enum Done {
    /// It is the newest now.
    Stored(Box<Record>),
    /// The server knows its id: it was stored there.
    Known(u64),
}

impl Log<'_> {
    /// Stores drafts, each when the one before it is stored.
    pub(super) async fn append(&self, drafts: &[Draft]) -> Result<Vec<Appended>, AppendError> {
        let mut inside = self.slot.lock().await;
        let mut stored = Vec::with_capacity(drafts.len());
        for draft in drafts {
            match self.append_one(&mut inside, draft).await {
                Ok(one) => stored.push(one),
                Err(error) => {
                    inside.forget();
                    return Err(AppendError { stored, error });
                }
            }
        }
        if let Err(error) = once::keep(self, &mut inside.progress).await {
            inside.forget();
            return Err(AppendError { stored, error });
        }
        Ok(stored)
    }

    async fn append_one(&self, inside: &mut Inside, draft: &Draft) -> Result<Appended, BrokerError> {
        let until = Instant::now() + TRIES_MAX;
        let mut refusals = 0;
        loop {
            let state = self.current(inside).await?;
            if !self.rules.implicit && !state.is_created() {
                return Err(BrokerError::Unknown);
            }
            let epoch = self.epoch(&state);
            let answer = |position, duplicate| Appended { position, id: draft.id.clone(), duplicate };
            if let Some(place) = once::find(self, &mut inside.progress, &state, draft).await? {
                return Ok(answer(place.position(epoch), true));
            }
            if state.is_closed() {
                let end = state.end().position(epoch);
                let known = if draft.is_end() { Some(end) } else { self.search(&state, draft).await? };
                return known.map(|position| answer(position, true)).ok_or(BrokerError::Closed(end));
            }
            match self.try_append(inside, state, draft).await? {
                Some(Done::Stored(record)) => {
                    let place = if draft.is_end() {
                        Place { seq: record.seq, ..record.head.before }
                    } else {
                        record.place()
                    };
                    once::stored(self, &mut inside.progress, draft, place);
                    return Ok(answer(place.position(epoch), false));
                }
                Some(Done::Known(seq)) => {
                    let position = self.place_of(seq, &state).await?;
                    return Ok(answer(position, true));
                }
                None if Instant::now() > until => {
                    let why = "other nodes write to this channel all the time; try again, or write to it from fewer";
                    return Err(BrokerError::Unavailable(why.into()));
                }
                None => pause(refusals).await,
            }
            refusals += 1;
        }
    }

    /// What the channel is like, by what this node has stored itself or by a look.
    pub(super) async fn current(&self, inside: &mut Inside) -> Result<State, BrokerError> {
        if inside.state.is_none() {
            inside.state = Some(self.state().await?);
        }
        let state = inside.state.ok_or_else(changed)?;
        if !state.is_over(self.now_ms) {
            return Ok(state);
        }
        self.end_life(inside, true).await?;
        inside.state.ok_or_else(changed)
    }

    /// Stores a draft behind a state. `None` where something else is stored there already.
    async fn try_append(
        &self,
        inside: &mut Inside,
        state: State,
        draft: &Draft,
    ) -> Result<Option<Done>, BrokerError> {
        let rules = state.rules(&self.rules);
        let body = if draft.is_end() { Body::End } else { Body::Message(Content::of(draft)) };
        let mut head = Head { written_ms: self.now_ms, ..state.head() };
        let compacts = rules.compact && !draft.is_end();
        if compacts {
            let index = inside.index.get_or_insert_default();
            index.catch_up(self, &state).await?;
            let born = self.now_ms.saturating_sub(rules.retain.age_ms);
            if let Some(lost) = index.lost_with(draft.key.as_deref(), rules.retain.messages, born) {
                head.lost = lost;
            }
        }
        let id = once::message_id(self, &state, draft);
        let done = self.put(inside, &state, head, body, id, Before::Stays).await?;
        if let (true, Some(Done::Stored(record)), Some(index)) = (compacts, &done, &mut inside.index) {
            self.compact(index, &state, record).await;
        }
        if let Some(Done::Stored(_)) = &done {
            self.purge(inside, &rules).await;
        }
        Ok(done)
    }

    /// Stores a record behind a state, which is then the one after it.
    pub(super) async fn put(
        &self,
        inside: &mut Inside,
        state: &State,
        head: Head,
        body: Body,
        id: Option<String>,
        before: Before,
    ) -> Result<Option<Done>, BrokerError> {
        // The first record of a channel must not come into another stream than the one that its life is of.
        if state.seq == 0 && !self.shared.doubt(&self.stream, false).await? {
            return Err(changed());
        }
        let seen = self.stream.mark.seen().seq;
        // Whatever becomes of it, and of this future: what is known holds no longer.
        inside.state = None;
        let bytes = encode(&head, &body);
        let published =
            self.link().publish(self.subject.clone(), state.seq, id, before, bytes.clone()).await?;
        match published {
            Published::Stored { seq, duplicate: true } => {
                inside.state = Some(*state);
                Ok(Some(Done::Known(seq)))
            }
            Published::Stored { seq, duplicate: false } => {
                if seq <= seen {
                    self.shared.doubt(&self.stream, true).await?;
                    return Err(BrokerError::Lost(
                        "the stream lost its newest messages; send it again".into(),
                    ));
                }
                self.stream.mark.saw(seq, &bytes);
                self.slot.saw(seq);
                let record = Record { seq, head, body };
                inside.state = Some(State::after(&record));
                Ok(Some(Done::Stored(Box::new(record))))
            }
            Published::Conflict => {
                inside.forget();
                Ok(None)
            }
            Published::NoStream => {
                inside.forget();
                self.stream.forget();
                Err(changed())
            }
        }
    }

    /// Removes what a new message of a compacted channel replaces. The message is stored, whatever comes of this.
    async fn compact(&self, index: &mut Index, before: &State, record: &Record) {
        index.add(record);
        for seq in index.take_left() {
            let _ = self.link().remove(&self.stream.name, seq).await;
        }
        let lost = record.head.lost.seq;
        if lost > before.lost.seq {
            index.forget_to(lost);
            let _ = self.link().purge_before(&self.stream.name, &self.subject, lost + 1).await;
        }
    }

    /// Now and then removes what a channel is not to keep, where its stream would keep more.
    async fn purge(&self, inside: &mut Inside, rules: &Rules) {
        let keep = rules.retain.messages.saturating_add(super::shape::SPARE);
        if rules.compact || self.stream.known().is_none_or(|known| known.per_channel <= keep) {
            return;
        }
        inside.unpurged += 1;
        if inside.unpurged >= PURGE_EVERY {
            inside.unpurged = 0;
            let _ = self.link().purge_to(&self.stream.name, &self.subject, keep).await;
        }
    }

    /// The position of a message that the server says is stored there.
    async fn place_of(&self, seq: u64, state: &State) -> Result<Position, BrokerError> {
        let epoch = self.epoch(state);
        let found = self.stream.at(self.link(), seq).await?;
        let is_it =
            |record: &Record| matches!(record.body, Body::Message(_)) && record.head.life == state.life;
        Ok(found.filter(is_it).map_or(without_number(seq, epoch), |record| record.place().position(epoch)))
    }

    /// Where a closed channel has a draft already, among what it keeps.
    async fn search(&self, state: &State, draft: &Draft) -> Result<Option<Position>, BrokerError> {
        if draft.once == Once::No {
            return Ok(None);
        }
        let mut from = state.lost.seq + 1;
        while from <= state.seq {
            let batch = self.after(state, from, usize::MAX, usize::MAX).await?;
            let is_it = |record: &&Record| {
                let is_young = record.head.written_ms.saturating_add(self.rules.dedupe_ms) > self.now_ms;
                let has_id = matches!(&record.body, Body::Message(content) if content.id == draft.id);
                record.head.life == state.life && is_young && has_id
            };
            if let Some(found) = batch.records.iter().find(is_it) {
                return Ok(Some(found.place().position(self.epoch(state))));
            }
            if !batch.more {
                break;
            }
            from = batch.last_seq + 1;
        }
        Ok(None)
    }
}

/// Gives others a moment, each node another one.
pub(super) async fn pause(refusals: u32) {
    if refusals >= AT_ONCE {
        let most = 1_u64 << refusals.min(6);
        let ms = getrandom::u64().map_or(most, |random| random % most);
        sleep(Duration::from_millis(ms)).await;
    }
}
