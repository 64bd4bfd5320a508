//! What falls due on a connection: its heartbeat, the end of its token, and a socket that takes nothing.

use std::task::{Context, Poll};
use std::time::Duration;

use tidings_core::{Code, Subscription};
use tokio::time::Instant;

use crate::stream::Deadline;

use super::connection::{Closed, Connection};
use super::ended::Ended;

/// Ready where one of these ends the connection. Else the task is woken when the next falls due.
pub(super) fn poll(
    cx: &mut Context<'_>,
    connection: &mut Connection,
    subscription: &mut Subscription,
    deadline: &mut Deadline,
) -> Poll<Ended> {
    loop {
        let now = Instant::now();
        let mut at = match connection.heartbeat(now) {
            Ok(at) => at,
            Err(closed) => return Poll::Ready(Ended::Closed(closed)),
        };
        if let Poll::Ready(Err(_)) = connection.line.poll_flush(cx) {
            return Poll::Ready(Ended::Closed(Closed::Lost));
        }
        let blocked = connection.line.blocked_since();
        at = subscription.note_blocked(blocked, now).unwrap_or(at).min(at);
        if let Some(since) = blocked {
            let until = since + Duration::from_millis(subscription.max_lag_ms());
            if until <= now {
                return Poll::Ready(Ended::Error(Code::Lagged));
            }
            at = at.min(until);
            subscription.wake_at_end(cx);
        }
        match subscription.expires_in_ms() {
            Some(0) => return Poll::Ready(subscription.why().into()),
            Some(ms) => at = at.min(now + Duration::from_millis(ms)),
            None => {}
        }
        if deadline.poll(cx, now, at).is_pending() {
            return Poll::Pending;
        }
    }
}
