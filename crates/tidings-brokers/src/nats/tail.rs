//! The live end of a log: a plain subscription to what the server says again, checked record by record.
//!
//! Plain messages may get lost between the server and here. Each record names the one before it, so
//! the next one shows a hole; and where none comes, the tail looks now and then at what the log has.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message as Said, Subscriber};
use futures_util::stream;
use futures_util::{FutureExt, StreamExt};
use tidings_core::broker::{BrokerError, Tail};
use tidings_core::log::{Channel, Message, Position, Rules};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::fetch::sequence;
use super::link::ANSWER_MAX;
use super::log::Log;
use super::record::{Body, Record, decode};
use super::shared::Shared;
use super::state::State;

struct Follower {
    shared: std::sync::Weak<Shared>,
    channel: Channel,
    rules: Rules,
    said: Subscriber,
    cuts: watch::Receiver<u64>,
    cuts_before: u64,
    drops: watch::Receiver<u64>,
    from: Position,
    /// The newest record that was seen.
    seq: u64,
    life: u64,
    /// When it looks at the log itself.
    look_at: Instant,
    /// Whether something may be missing at the end, which no later message would show.
    is_doubtful: bool,
    has_ended: bool,
}

/// Messages handed on at once.
const AT_ONCE: usize = 64;
/// The first look comes soon: the server may have taken the subscription later than it answered.
const FIRST_LOOK: Duration = Duration::from_secs(1);
/// How long a message may be missing unnoticed, and up to how much longer, so that not all look at once.
const LOOK_EVERY: Duration = Duration::from_secs(60);
const LOOK_LATER: u64 = 15_000;
const SOON: Duration = Duration::from_millis(100);
/// What is on its way comes within it.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

impl Log<'_> {
    /// Follows the end of the log.
    pub(super) async fn follow(&self, shared: &Arc<Shared>) -> Result<Tail, BrokerError> {
        let cuts = self.link().cuts();
        let cuts_before = *cuts.borrow();
        let drops = self.link().drops();
        let client = self.link().client().map_err(BrokerError::Unavailable)?;
        let said = timeout(ANSWER_MAX, client.subscribe(self.names().live(self.channel))).await;
        let stuck = |_late| BrokerError::Unavailable("the connection takes nothing".into());
        let said = said.map_err(stuck)?.map_err(|error| BrokerError::Unavailable(error.to_string()))?;
        // The server takes the subscription first and answers this then: what is not in it comes live.
        let state = self.state_now().await?;
        let from = state.end().position(self.epoch(&state));
        let follower = Follower {
            shared: Arc::downgrade(shared),
            channel: self.channel.clone(),
            rules: self.rules,
            said,
            cuts,
            cuts_before,
            drops,
            from,
            seq: state.seq,
            life: state.life,
            look_at: Instant::now() + FIRST_LOOK,
            is_doubtful: true,
            has_ended: false,
        };
        let items = stream::unfold(follower, |mut follower| async move {
            let batch = follower.next().await?;
            Some((batch, follower))
        });
        Ok(Tail { from, items: Box::pin(items) })
    }
}

impl Follower {
    /// The next messages; `None` where it can no longer tell.
    async fn next(&mut self) -> Option<Vec<Arc<Message>>> {
        while !self.has_ended {
            if *self.cuts.borrow() != self.cuts_before {
                return None;
            }
            let said = tokio::select! {
                said = self.said.next() => said?,
                _ = self.cuts.changed() => return None,
                _ = self.drops.changed() => {
                    self.is_doubtful = true;
                    self.look_at = self.look_at.min(self.soon());
                    continue;
                }
                () = sleep_until(self.look_at) => match self.look().await? {
                    Some(said) => said,
                    None => continue,
                },
            };
            let batch = self.gather(said);
            if !batch.is_empty() {
                return Some(batch);
            }
        }
        None
    }

    /// One message and what has come with it.
    fn gather(&mut self, first: Said) -> Vec<Arc<Message>> {
        let mut waiting = VecDeque::from([first]);
        let mut batch = Vec::new();
        while let Some(said) = waiting.pop_front() {
            let record = sequence(&said).and_then(|seq| decode(seq, said.payload));
            match record {
                Some(record) => batch.extend(self.take(record)),
                None => self.has_ended = true,
            }
            if self.has_ended || batch.len() >= AT_ONCE {
                break;
            }
            if let Some(Some(next)) = self.said.next().now_or_never() {
                waiting.push_back(next);
            }
        }
        batch
    }

    /// A record that was said: a message, if it is one. Ends where it does not follow the one before.
    fn take(&mut self, record: Record) -> Option<Arc<Message>> {
        if record.seq <= self.seq {
            return None;
        }
        if record.head.prev != self.seq || record.head.life != self.life {
            self.has_ended = true;
            return None;
        }
        self.seq = record.seq;
        if !self.is_doubtful {
            self.look_at = self.later();
        }
        let epoch = self.from.epoch;
        match record.body {
            Body::Message(_) => record.message(&self.channel, epoch).map(Arc::new),
            Body::End => {
                let position = State::after(&record).end().position(epoch);
                Some(Arc::new(Message::end(self.channel.clone(), position, record.head.written_ms)))
            }
            Body::Note => None,
        }
    }

    /// Where messages of somebody were dropped. Not all look at once.
    fn soon(&self) -> Instant {
        Instant::now() + SOON + Duration::from_millis(self.channel.tag() % 500)
    }

    fn later(&self) -> Instant {
        Instant::now() + LOOK_EVERY + Duration::from_millis(self.channel.tag() % LOOK_LATER)
    }

    /// Looks whether the log has what did not come. `None` where it has, or cannot be asked; else what came meanwhile.
    async fn look(&mut self) -> Option<Option<Said>> {
        let shared = self.shared.upgrade()?;
        let log = shared.log(&self.channel, &self.rules).await.ok()?;
        let state = log.state().await.ok()?;
        if state.life != self.life || log.epoch(&state) != self.from.epoch {
            return None;
        }
        self.is_doubtful = state.seq > self.seq;
        if !self.is_doubtful {
            self.look_at = self.later();
            return Some(None);
        }
        self.look_at = self.soon();
        // It is on its way, or it is lost.
        timeout(ON_ITS_WAY, self.said.next()).await.ok()?.map(Some)
    }
}
