//! How a channel begins by name, and how it is deleted: as notes among its records.

use tidings_core::broker::BrokerError;
use tidings_core::log::{Created, Terms};
use tokio::time::Instant;

use super::api::Before;
use super::append::{Done, pause};
use super::link::ANSWER_MAX;
use super::log::{Log, changed};
use super::record::{Body, Head};
use super::slots::Inside;
use super::state::State;

impl Log<'_> {
    /// Creates the channel, or gives it other terms.
    pub(super) async fn create(&self, terms: Terms) -> Result<Created, BrokerError> {
        if let Some(retain) = terms.retain {
            self.stream.widen(retain.messages).await?;
        }
        let mut inside = self.slot.lock().await;
        let until = Instant::now() + ANSWER_MAX;
        let mut refusals = 0;
        loop {
            let state = self.current(&mut inside).await?;
            // What the terms that end hide, and what the new ones do, never comes back.
            let (_, lost) = self.first(&state).await?;
            let (_, lost_now) = self.first(&State { lost, terms: Some(terms), ..state }).await?;
            let head = Head { lost: lost_now, terms: Some(terms), written_ms: self.now_ms, ..state.head() };
            match self.put(&mut inside, &state, head, Body::Note, None, Before::Stays).await? {
                Some(Done::Stored(_)) => {
                    let end = state.end().position(self.epoch(&state));
                    return Ok(Created { end, new: !state.is_created(), closed: state.is_closed() });
                }
                Some(Done::Known(_)) => return Err(changed()),
                None if Instant::now() > until => return Err(changed()),
                None => pause(refusals).await,
            }
            refusals += 1;
        }
    }

    /// Deletes the channel. Gives whether there was one.
    pub(super) async fn delete(&self) -> Result<bool, BrokerError> {
        let mut inside = self.slot.lock().await;
        self.end_life(&mut inside, false).await
    }

    /// Begins a new life of the channel, in which nobody created it; if its time to live has passed, where
    /// that is asked for. Gives whether there was one.
    pub(super) async fn end_life(&self, inside: &mut Inside, only_over: bool) -> Result<bool, BrokerError> {
        let until = Instant::now() + ANSWER_MAX;
        let mut refusals = 0;
        loop {
            let state = match inside.state {
                Some(state) => state,
                None => self.state().await?,
            };
            if !state.is_created() || (only_over && !state.is_over(self.now_ms)) {
                inside.state = Some(state);
                return Ok(false);
            }
            let random = getrandom::u64().map_err(|error| BrokerError::Unavailable(error.to_string()))?;
            let empty = State { seq: state.seq, ..State::empty(random.max(1)) };
            let done = self.put(inside, &state, empty.head(), Body::Note, None, Before::Goes).await?;
            inside.progress = None;
            inside.index = None;
            match done {
                Some(Done::Stored(_)) => return Ok(true),
                Some(Done::Known(_)) => return Err(changed()),
                None if Instant::now() > until => return Err(changed()),
                None => pause(refusals).await,
            }
            refusals += 1;
        }
    }
}
