//! The live end of one log, made of announcements.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use tidings_core::broker;
use tidings_core::log::{Message, Position};
use tokio::time::{Instant, timeout_at};

use super::topics::Following;

/// What is followed, and how far it got.
struct Tail {
    following: Following,
    at: Position,
    /// The time to live of the channel, and when it is over if nothing comes.
    ttl: Option<(Duration, Instant)>,
}

/// A tail that begins at the end of a log which was looked at after it was followed.
pub(super) fn tail(following: Following, from: Position, ttl: Option<(u64, u64)>) -> broker::Tail {
    let ttl = ttl.map(|(ttl, left)| (Duration::from_millis(ttl), Duration::from_millis(left)));
    let ttl = ttl.and_then(|(ttl, left)| Some((ttl, Instant::now().checked_add(left)?)));
    let tail = Tail { following, at: from, ttl };
    let items = stream::unfold(tail, |mut tail| async move {
        let batch = tail.next().await?;
        Some((batch, tail))
    });
    broker::Tail { from, items: Box::pin(items) }
}

impl Tail {
    /// Offsets have no holes, so that one in what comes is noticed, and is the end of the tail.
    async fn next(&mut self) -> Option<Vec<Arc<Message>>> {
        loop {
            let received = self.following.items.recv();
            let announced = match self.ttl {
                Some((_, until)) => timeout_at(until, received).await.ok()??,
                None => received.await?,
            };
            if announced.epoch != self.at.epoch || announced.messages.is_empty() {
                return None;
            }
            let fresh = announced.messages.iter().filter(|message| message.position.offset > self.at.offset);
            let fresh: Vec<_> = fresh.cloned().collect();
            let (Some(first), Some(last)) = (fresh.first(), fresh.last()) else { continue };
            if first.position.offset != self.at.offset + 1 {
                return None;
            }
            self.at = last.position;
            self.ttl = self.ttl.and_then(|(ttl, _)| Some((ttl, Instant::now().checked_add(ttl)?)));
            return Some(fresh);
        }
    }
}
