//! How long a connection waits for its next request: one time to begin, another to come whole.

use std::task::{Context, Poll};

use tokio::time::Instant;

use super::accepted::Times;
use super::slot::Slot;
use crate::stream::Deadline;

/// The wait for the next request.
pub(super) struct Waiting {
    times: Times,
    /// Since when it lasts.
    since: Option<Instant>,
    /// The requests before it, and whether it has begun.
    state: (u64, bool),
    deadline: Deadline,
    is_over: bool,
}

impl Waiting {
    pub(super) fn new(times: Times) -> Self {
        Waiting { times, since: None, state: (0, false), deadline: Deadline::default(), is_over: false }
    }

    /// Ready once the next request has taken too long to come, or to come whole.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, slot: &Slot) -> Poll<()> {
        let Some(state) = slot.between_requests() else {
            self.since = None;
            return Poll::Pending;
        };
        let now = Instant::now();
        if state != self.state || self.since.is_none() {
            (self.since, self.state) = (Some(now), state);
        }
        let time = if state.1 { self.times.head } else { self.times.idle };
        let at = self.since.unwrap_or(now) + time;
        self.is_over = self.deadline.poll(cx, now, at).is_ready();
        if self.is_over { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether it has lasted too long.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }
}
