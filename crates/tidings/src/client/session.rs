//! Reading over a session: one WebSocket on `/v1/connect`, on which each channel is asked for by
//! itself, from a place of its own.

use std::collections::VecDeque;

use http::HeaderMap;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use super::error::{Cut, Error, Problem};
use super::frames::Frames;
use super::handshake;
use super::item::{Frame, Greeting, Subscribed, unexpected};
use super::link::Event;
use super::position::{Place, Position, Rate};
use super::{Endpoint, Timing};

/// The subprotocol.
const PROTOCOL: &str = "tidings.v1";

/// Bytes of requests that wait for their answers. They fit in the buffers of any socket: else
/// both sides could wait for the other to read.
const ASKED_BYTES_MAX: usize = 32 << 10;

/// Bytes of items that may come before the last channel is answered and the caller is told.
const HELD_BYTES_MAX: usize = 1 << 20;

/// An open session, which reads all its channels or is about to.
#[derive(Debug)]
pub(crate) struct Link {
    frames: Frames,
    joining: Joining,
    /// What came before the last channel was answered.
    held: VecDeque<Event>,
    owes_heartbeat: bool,
}

/// The channels that are not read yet.
#[derive(Debug)]
struct Joining {
    position: Position,
    /// To be asked for, by number.
    wanted: VecDeque<usize>,
    /// Asked for, in the order of the answers, with the bytes of each request.
    asked: VecDeque<(usize, usize)>,
    /// Which the cursor to begin with does not cover.
    uncovered: Vec<usize>,
    /// Whether those are asked for now, without a cursor.
    is_anew: bool,
    /// The weakest guarantee of those that are read.
    delivery: Option<String>,
}

impl Link {
    /// Opens a session, and subscribes to each channel.
    pub(super) async fn open(
        endpoint: &Endpoint,
        position: &Position,
        timing: &Timing,
    ) -> Result<(Self, Greeting), Cut> {
        let url = endpoint.url(&["v1", "connect"]);
        let (socket, _) = handshake::open(endpoint, url, timing, Some(PROTOCOL)).await?;
        let mut link = Self {
            frames: Frames::new(socket),
            joining: Joining::new(position.clone()),
            held: VecDeque::new(),
            owes_heartbeat: false,
        };
        let (mut places, mut held_bytes) = (Vec::new(), 0);
        let mut until = Instant::now() + timing.connect;
        // What comes in masses must not wait for a last answer; then that one comes among it.
        while !link.joining.is_done() && held_bytes < HELD_BYTES_MAX {
            let event = timeout_at(until, link.event()).await;
            match event.map_err(|_| Cut::lost("no answer to a subscription"))?? {
                Event::Began { channel, cursor } => {
                    until = Instant::now() + timing.connect;
                    places.push((channel, cursor));
                }
                event => {
                    held_bytes += event.bytes();
                    link.held.push_back(event);
                }
            }
        }
        let delivery = link.joining.delivery.clone();
        Ok((link, Greeting { cursor: None, places, delivery }))
    }

    pub(super) async fn next(&mut self) -> Result<Event, Cut> {
        match self.held.pop_front() {
            Some(event) => Ok(event),
            None => self.event().await,
        }
    }

    async fn event(&mut self) -> Result<Event, Cut> {
        loop {
            self.write().await?;
            match self.frames.next().await? {
                Frame::Subscribed(subscribed) => return self.joining.began(subscribed),
                Frame::Refused(problem) => self.joining.refused(problem)?,
                Frame::Unsubscribed(problem) => return Err(Cut::Final(Error::Refused(problem))),
                Frame::Heartbeat => self.owes_heartbeat = true,
                frame => {
                    if let Some(event) = Event::from_frame(frame) {
                        return Ok(event);
                    }
                }
            }
        }
    }

    /// Sends what is due. Dropping the future loses nothing.
    async fn write(&mut self) -> Result<(), Cut> {
        if self.owes_heartbeat {
            self.frames.write("{}".to_owned()).await?;
            self.owes_heartbeat = false;
        }
        while let Some(request) = self.joining.request() {
            let bytes = request.len();
            self.frames.write(request).await?;
            self.joining.asked(bytes);
        }
        self.frames.flush().await
    }

    pub(super) async fn close(self) {
        self.frames.close().await;
    }
}

impl Joining {
    fn new(position: Position) -> Self {
        Self {
            wanted: (0..position.channels().len()).collect(),
            position,
            asked: VecDeque::new(),
            uncovered: Vec::new(),
            is_anew: false,
            delivery: None,
        }
    }

    fn is_done(&self) -> bool {
        self.wanted.is_empty() && self.asked.is_empty()
    }

    /// The next request, if there is one and it may be sent.
    fn request(&self) -> Option<String> {
        #[derive(Serialize)]
        struct Request<'a> {
            id: usize,
            subscribe: Subscribe<'a>,
        }
        #[derive(Serialize)]
        struct Subscribe<'a> {
            channel: &'a str,
            #[serde(flatten)]
            place: Option<Place<'a>>,
            #[serde(flatten)]
            rate: Option<Rate>,
        }
        let id = *self.wanted.front()?;
        let waiting: usize = self.asked.iter().map(|(_, bytes)| bytes).sum();
        if waiting >= ASKED_BYTES_MAX {
            return None;
        }
        let channel = self.position.channels().get(id)?;
        let place = (!self.is_anew).then(|| self.position.place(channel));
        let rate = self.position.rate();
        serde_json::to_string(&Request { id, subscribe: Subscribe { channel, place, rate } }).ok()
    }

    /// Notes that the next request was sent.
    fn asked(&mut self, bytes: usize) {
        self.asked.extend(self.wanted.pop_front().map(|number| (number, bytes)));
    }

    fn began(&mut self, subscribed: Subscribed) -> Result<Event, Cut> {
        let number = self.asked.pop_front().map(|(number, _)| number);
        let asked = number.and_then(|number| self.position.channels().get(number));
        match (subscribed, asked) {
            (Subscribed { channel: Some(channel), cursor: Some(cursor), delivery }, Some(asked))
                if channel == *asked =>
            {
                if self.delivery.as_deref().is_none_or(|weakest| !weakest.contains("at-most-once")) {
                    self.delivery = delivery.or(self.delivery.take());
                }
                self.go_on();
                Ok(Event::Began { channel, cursor })
            }
            (subscribed, _) => {
                Err(unexpected("an answer to no request", &subscribed.channel.unwrap_or_default()))
            }
        }
    }

    /// All channels or none, as on the other transports: what is refused for one is refused.
    ///
    /// So it is with a cursor for several channels that covers but some: the others begin as if new.
    fn refused(&mut self, problem: Problem) -> Result<(), Cut> {
        let number = self.asked.pop_front().map(|(number, _)| number);
        let refused = |problem| Err(Cut::refused(problem, &HeaderMap::new()));
        let channels = self.position.channels();
        let Some((number, channel)) = number.and_then(|number| Some((number, channels.get(number)?))) else {
            return refused(problem);
        };
        if self.is_anew || problem.code != "bad-cursor" || self.position.has_place(channel) {
            return refused(problem);
        }
        self.uncovered.push(number);
        if self.uncovered.len() == channels.len() {
            return refused(problem);
        }
        self.go_on();
        Ok(())
    }

    /// Comes back to those that are not covered, when all others are read.
    fn go_on(&mut self) {
        if self.is_done() {
            self.is_anew = true;
            self.wanted.extend(self.uncovered.drain(..));
        }
    }
}
