//! A reader: follows channels through every reconnect, and gives each message once.

use std::collections::HashSet;

use tokio::time::{Instant, sleep_until};

use super::error::{Blame, Cut};
use super::item::{End, Item, Status};
use super::ladder::{Ladder, Step};
use super::link::{Event, Link};
use super::position::{Position, Rate, Start};
use super::seen::Seen;
use super::{Backoff, Endpoint, Error, Timing, Transport};

/// What to read, and how.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// 1 to 100 channels, on one connection; over [`Transport::Session`] as many as the server
    /// allows (`limits.connection_channels`). Doubles are folded.
    pub channels: Vec<String>,
    /// Where to begin.
    pub start: Start,
    /// The durable consumer that reads: where it is beats `start`. To acknowledge is the caller's part, with
    /// [`acknowledge`](super::acknowledge).
    pub consumer: Option<String>,
    /// The one transport to use; `None` tries [`Transport::LADDER`] and keeps the one that works.
    pub transport: Option<Transport>,
    /// How many messages to give, over all connections; `None` for no end.
    pub limit: Option<u64>,
    /// How fast they are to come at most, if that is said: all channels together, over
    /// [`Transport::Session`] each of them. A poll sets its own pace, and takes the conflation alone.
    pub rate: Option<Rate>,
    /// How long to wait for what.
    pub timing: Timing,
}

impl Subscription {
    /// All that comes from now on in one channel, over the transport that works.
    pub fn to(channel: impl Into<String>) -> Self {
        Self {
            channels: vec![channel.into()],
            start: Start::Latest,
            consumer: None,
            transport: None,
            limit: None,
            rate: None,
            timing: Timing::default(),
        }
    }
}

/// Follows channels. Nothing happens between two calls of [`next`](Self::next): a slow caller
/// is a slow reader, which the server sees and treats as declared.
#[derive(Debug)]
pub struct Reader {
    endpoint: Endpoint,
    timing: Timing,
    position: Position,
    seen: Seen,
    ladder: Ladder,
    backoff: Backoff,
    limit: Option<u64>,
    /// The channels of which the end was given.
    closed_channels: HashSet<String>,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle,
    Waiting(Instant),
    Open { link: Link, since: Instant },
    Ended,
}

impl Reader {
    /// A reader that has not connected yet.
    pub fn new(endpoint: Endpoint, subscription: Subscription) -> Self {
        let Subscription { channels, start, consumer, transport, limit, rate, timing } = subscription;
        Self {
            endpoint,
            position: Position::new(channels, start, rate).of_consumer(consumer),
            seen: Seen::default(),
            ladder: Ladder::new(transport),
            backoff: Backoff::new(&timing),
            timing,
            limit,
            closed_channels: HashSet::new(),
            state: if limit == Some(0) { State::Ended } else { State::Idle },
        }
    }

    /// The next item, waiting for it through any number of reconnects.
    ///
    /// The future may be dropped: nothing is lost, and the next call goes on.
    ///
    /// # Errors
    ///
    /// What would be the same at every try: a refusal, or an answer that is not Tidings'. After
    /// an error, and after [`Item::End`], comes nothing but `End`.
    pub async fn next(&mut self) -> Result<Item, Error> {
        loop {
            let item = match &mut self.state {
                State::Ended => return Ok(Item::End),
                State::Waiting(until) => {
                    sleep_until(*until).await;
                    self.state = State::Idle;
                    None
                }
                State::Idle => {
                    let is_wary = self.ladder.has_choice();
                    let transport = self.ladder.transport();
                    let opening =
                        Link::open(transport, &self.endpoint, &self.position, &self.timing, is_wary);
                    match Box::pin(opening).await {
                        Ok((link, greeting)) => {
                            self.state = State::Open { link, since: Instant::now() };
                            self.ladder.opened();
                            let delivery = greeting.delivery.clone();
                            self.position.greeted(greeting);
                            Some(Item::Status(Status::Connected { transport, delivery }))
                        }
                        Err(cut) => self.cut(cut)?,
                    }
                }
                State::Open { link, since } => match link.next().await {
                    Ok(event) => {
                        if matches!(event, Event::Message(_)) && link.is_proven() {
                            self.ladder.lasted();
                        }
                        self.take(event)
                    }
                    Err(cut) => {
                        let uptime = since.elapsed();
                        self.backoff.lasted(uptime);
                        if uptime >= self.timing.silence {
                            self.ladder.lasted();
                        }
                        self.cut(cut)?
                    }
                },
            };
            if let Some(item) = item {
                return Ok(item);
            }
        }
    }

    /// The cursor to resume from, on any transport; `None` before the server's first word, and
    /// with more than 100 channels, which no one cursor covers.
    ///
    /// It is after all that was given. Only with more than 50 channels may it lie a few items back
    /// (on a session never): another reader that starts there must expect to be given those again.
    pub fn cursor(&self) -> Option<String> {
        self.position.cursor()
    }

    /// The transport in use, or the next to be tried.
    pub fn transport(&self) -> Transport {
        self.ladder.transport()
    }

    /// Takes leave of the server, within a second. To drop a reader is as safe, but over a
    /// WebSocket looks like a lost connection to the server.
    pub async fn close(mut self) {
        if let State::Open { link, .. } = std::mem::replace(&mut self.state, State::Ended) {
            link.close().await;
        }
    }

    fn take(&mut self, event: Event) -> Option<Item> {
        match event {
            Event::Message(message) => {
                self.passed(message.channel(), message.cursor());
                if !self.seen.add(message.shared_cursor()) {
                    return None;
                }
                if let Some(left) = &mut self.limit {
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        self.state = State::Ended;
                    }
                }
                Some(Item::Message(message))
            }
            Event::Gap(gap) => {
                if let Some(until) = &gap.until {
                    self.passed(&gap.channel, until);
                }
                self.seen.add(format!("gap {}", gap.text).into()).then_some(Item::Gap(gap))
            }
            Event::Covers(cursor) => {
                self.position.covers(cursor);
                self.seen.settle();
                None
            }
            Event::Began { channel, cursor } => {
                self.position.began(channel, cursor);
                None
            }
            Event::Closed(end) => {
                let End { channel, cursor } = serde_json::from_str(&end).unwrap_or_default();
                self.passed(&channel, &cursor);
                // Each connection tells it anew.
                if !self.closed_channels.insert(channel) {
                    return None;
                }
                if self.closed_channels.len() >= self.position.channels().len() {
                    self.state = State::Ended;
                }
                Some(Item::Closed(end))
            }
        }
    }

    fn passed(&mut self, channel: &str, cursor: &str) {
        self.position.passed(channel, cursor);
        if self.position.is_exact() {
            self.seen.settle();
        }
    }

    /// Decides what comes after a connection, or a try for one.
    fn cut(&mut self, cut: Cut) -> Result<Option<Item>, Error> {
        self.state = State::Ended;
        let (why, hint, blame) = match cut {
            Cut::Done => return Ok(None),
            Cut::Final(error) => return Err(error),
            Cut::Unfit(error) => {
                if !self.ladder.unfit() {
                    return Err(error);
                }
                self.state = State::Idle;
                return Ok(None);
            }
            Cut::Again { why, hint, blame } => (why, hint, blame),
        };
        if self.ladder.failed(blame) == Step::Next {
            self.state = State::Idle;
            return Ok(None);
        }
        let delay = self.backoff.delay(hint);
        self.state = State::Waiting(Instant::now() + delay);
        let why = match blame {
            Blame::Network => format!("cannot reach {}: {why}", self.endpoint.name()),
            Blame::Server | Blame::Transport => why,
        };
        Ok(Some(Item::Status(Status::Waiting { transport: self.ladder.transport(), why, delay })))
    }
}
