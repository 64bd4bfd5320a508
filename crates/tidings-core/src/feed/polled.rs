//! A tail that polls: for a channel that is read on a node which follows as many others as it may.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;

use crate::broker::{Broker, BrokerError, Tail, answer};
use crate::log::{Limit, Message, Page, Position, Start};

use super::registry::Turn;
use super::{Feed, Feeds};

/// What one poll may bring: as much as a ring holds.
const PAGE: Limit = Limit { messages: 256, bytes: 1 << 20 };

/// Where a tail that polls stands.
struct Polling {
    feed: Arc<Feed>,
    feeds: Feeds,
    broker: Arc<dyn Broker>,
    at: Position,
    pause: Duration,
}

/// A tail that keeps the contract of [`Broker::follow`], if late: it begins where the channel ends
/// now, and ends where it would have a hole, when the broker fails, and when it is this feed's turn
/// to follow, or to end.
pub(super) async fn tail(
    feed: Arc<Feed>,
    feeds: Feeds,
    broker: Arc<dyn Broker>,
    pause: Duration,
) -> Result<Tail, BrokerError> {
    let found = {
        let _one = feeds.poll().await;
        answer(broker.find(&feed.channel, Start::Latest, &feed.rules())).await?
    };
    let polling = Polling { feed, feeds, broker, at: found.at, pause };
    let items = stream::unfold(polling, |mut polling| async move {
        let batch = polling.next().await?;
        Some((batch, polling))
    });
    Ok(Tail { from: found.at, items: Box::pin(items) })
}

impl Polling {
    async fn next(&mut self) -> Option<Vec<Arc<Message>>> {
        loop {
            // The pause is long where many are polled, and one that nobody reads is not to wait for its end.
            let _ = tokio::time::timeout(self.pause, self.feed.left.notified()).await;
            match self.feeds.turn(&self.feed) {
                Turn::Poll(pause) => self.pause = pause,
                Turn::Follow(_) | Turn::End => return None,
            }
            let Page { gap, mut messages, end } = {
                let _one = self.feeds.poll().await;
                answer(self.broker.read(&self.feed.channel, self.at, PAGE, &self.feed.rules())).await.ok()?
            };
            if gap.is_some() {
                return None;
            }
            if let Some(end) = end.filter(|end| *end != self.at) {
                messages.push(Arc::new(Message::end(self.feed.channel.clone(), end, 0)));
            }
            let Some(last) = messages.last() else { continue };
            self.at = last.position;
            let bytes: usize = messages.iter().map(|message| message.weight()).sum();
            if messages.len() >= PAGE.messages || bytes > PAGE.bytes / 2 {
                // There is more, and it has waited long enough.
                self.pause = Duration::ZERO;
            }
            return Some(messages);
        }
    }
}
