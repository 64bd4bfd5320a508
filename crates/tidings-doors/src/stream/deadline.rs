//! One timer for a connection, whatever it waits for.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

/// A timer that is touched only when it has to be: a deadline that recedes with
/// every message costs nothing until the old one is reached. Of one task.
#[derive(Debug, Default)]
pub struct Deadline {
    sleep: Option<Pin<Box<Sleep>>>,
    /// When `sleep`, once polled, wakes the task.
    wakes: Option<Instant>,
}

impl Deadline {
    /// Ready once `at` has come; it is `now`. The task is woken at the latest then.
    pub fn poll(&mut self, cx: &mut Context<'_>, now: Instant, at: Instant) -> Poll<()> {
        if self.wakes.is_some_and(|wakes| now < wakes && wakes <= at) {
            return Poll::Pending;
        }
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
        self.wakes = Some(sleep.deadline());
        Poll::Pending
    }
}
