//! One channel in hand: its stream, its subject, its rules, and the time.

use std::sync::Arc;

use tidings_core::broker::BrokerError;
use tidings_core::log::{Channel, Position, Rules};
use tokio::time::{Instant, sleep};

use super::fetch::{BATCH_BYTES_MAX, BATCH_MAX, Batch, LOOK_EVERY};
use super::link::{ANSWER_MAX, Link};
use super::name::Names;
use super::place::{Place, seq_of};
use super::record::{Body, Record};
use super::shared::Shared;
use super::slots::Slot;
use super::state::State;
use super::stream::{Known, Stream};

/// A channel, for the time of one call.
pub(super) struct Log<'a> {
    pub(super) shared: &'a Shared,
    pub(super) stream: Arc<Stream>,
    pub(super) known: Known,
    pub(super) slot: Arc<Slot>,
    pub(super) channel: &'a Channel,
    pub(super) subject: String,
    /// Those of the namespace.
    pub(super) rules: Rules,
    pub(super) now_ms: u64,
}

/// Hidden messages at the begin of a log that are worth a purge.
const PURGE_FROM: usize = 64;
/// What is looked at first at the begin of a log: a few may be hidden.
const FIRST_LOOK: usize = 24;
/// Looks at a record that seems to be gone.
const LOOKS: u32 = 5;

impl Log<'_> {
    pub(super) fn link(&self) -> &Link {
        &self.shared.link
    }

    pub(super) fn names(&self) -> &Names {
        &self.shared.names
    }

    pub(super) fn epoch(&self, state: &State) -> u64 {
        self.known.epoch(state.life)
    }

    /// What the channel is like now.
    pub(super) async fn state(&self) -> Result<State, BrokerError> {
        for look in 1..=LOOKS {
            let before = self.slot.seen();
            let newest = self.stream.newest(self.link(), &self.subject).await?;
            let state = newest.map_or_else(
                || State::empty(self.known.first_life(self.channel)),
                |newest| State::after(&newest),
            );
            if state.seq >= before {
                self.slot.saw(state.seq);
                return Ok(state);
            }
            sleep(LOOK_EVERY * look).await;
        }
        // What was there is not any more, so nobody knows what else is not.
        self.shared.doubt(&self.stream, true).await?;
        Err(changed())
    }

    /// The same. Where its time to live has passed, it is deleted first.
    pub(super) async fn state_now(&self) -> Result<State, BrokerError> {
        let state = self.state().await?;
        if !state.is_over(self.now_ms) {
            return Ok(state);
        }
        let mut inside = self.slot.lock().await;
        inside.state = Some(state);
        self.end_life(&mut inside, true).await?;
        inside.state.ok_or_else(changed)
    }

    /// Records from a sequence on, up to what a state knows of at least.
    pub(super) async fn after(
        &self,
        state: &State,
        from: u64,
        count: usize,
        bytes: usize,
    ) -> Result<Batch, BrokerError> {
        let until = Instant::now() + ANSWER_MAX;
        loop {
            let (count, bytes) = (count.min(BATCH_MAX), bytes.min(BATCH_BYTES_MAX));
            let batch = self.stream.batch(self.link(), &self.subject, from, count, bytes).await?;
            if batch.more || batch.last_seq >= state.seq || from > state.seq {
                return Ok(batch);
            }
            // A replica that is behind, unless the channel was emptied meanwhile.
            if self.state().await?.life != state.life || Instant::now() > until {
                return Err(changed());
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// The oldest message that is to be seen, and up to where messages are gone.
    pub(super) async fn first(&self, state: &State) -> Result<(Option<Record>, Place), BrokerError> {
        let rules = state.rules(&self.rules);
        let (mut from, mut hidden, mut gone) = (state.lost.seq + 1, 0, state.lost);
        let mut count = FIRST_LOOK;
        while from <= state.seq {
            let batch = self.after(state, from, count, usize::MAX).await?;
            from = batch.last_seq + 1;
            count = BATCH_MAX;
            for record in batch.records {
                if state.shows(&record, &rules, self.now_ms) {
                    let before = if rules.compact { gone } else { record.head.before };
                    let lost = if before.seq > state.lost.seq { before } else { state.lost };
                    if hidden >= PURGE_FROM && !rules.compact {
                        let _ = self.link().purge_before(&self.stream.name, &self.subject, record.seq).await;
                    }
                    return Ok((Some(record), lost));
                }
                if matches!(record.body, Body::Message(_)) && record.head.life == state.life {
                    hidden += 1;
                    gone = record.place();
                }
            }
            if !batch.more {
                break;
            }
        }
        Ok((None, state.last))
    }

    /// Whether nothing is missing between a position and the record that follows it.
    pub(super) fn joins(&self, state: &State, after: Position, next: &Record) -> bool {
        let rules = state.rules(&self.rules);
        let is_next = if rules.compact {
            seq_of(after) >= state.lost.seq
        } else {
            next.head.before.seq == seq_of(after)
        };
        is_next && state.shows(next, &rules, self.now_ms)
    }
}

/// Something is not as it was a moment ago.
pub(super) fn changed() -> BrokerError {
    BrokerError::Unavailable("the channel or its stream changed meanwhile; try again".into())
}
