//! Reading over an event stream.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, StatusCode};
use reqwest::Response;
use tokio::time::timeout;
use url::Url;

use super::endpoint::refusal;
use super::error::{Blame, Cut, Error, Problem};
use super::event_stream::{Block, Parser, TooLong};
use super::item::{Frame, Gap, Greeting, Message};
use super::link::Event;
use super::{Endpoint, ITEM_BYTES_MAX, Timing};

/// An open event stream, of which the first `id:` has come.
#[derive(Debug)]
pub(crate) struct Link {
    response: Response,
    parser: Parser,
    silence: Duration,
    /// The last `retry:`, the server's word on when to come back.
    retry: Option<Duration>,
    /// The cursor of the block whose data was given last: it counts once that is taken.
    covers: Option<String>,
    /// The channel whose own stream it is: its events are the data alone.
    alone: Option<String>,
}

impl Link {
    pub(super) async fn open(
        endpoint: &Endpoint,
        url: Url,
        timing: &Timing,
        is_wary: bool,
        alone: Option<&str>,
    ) -> Result<(Self, Greeting), Cut> {
        let request = endpoint.request(Method::GET, url).header(ACCEPT, "text/event-stream");
        let answer = timeout(timing.connect + timing.connect, request.send()).await;
        let response = answer.map_err(|_| Cut::lost("no answer to the request for an event stream"))?;
        let response = response.map_err(|error| Cut::from_reqwest(&error))?;
        if response.status() == StatusCode::NO_CONTENT {
            // All channels are closed, and this client has everything in them.
            return Err(Cut::Done);
        }
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let kind =
            response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("text/event-stream") {
            let detail = format!("asked for an event stream, the server sent {kind:?}");
            return Err(Cut::Unfit(Error::Refused(Problem { detail, ..Problem::default() })));
        }
        let delivery = response.headers().get("tidings-delivery").and_then(|value| value.to_str().ok());
        let delivery = delivery.map(str::to_owned);
        let parser = Parser::new(ITEM_BYTES_MAX);
        let alone = alone.map(str::to_owned);
        let mut link = Self { response, parser, silence: timing.silence, retry: None, covers: None, alone };
        // A stream that something on the way holds back is silent from its first byte.
        let patience = if is_wary { timing.first_byte } else { timing.silence };
        let cursor = timeout(patience, link.first_id()).await;
        let cursor = cursor.map_err(|_| Cut::lost("the event stream is held back on its way"))??;
        Ok((link, Greeting { cursor: Some(cursor), delivery, ..Greeting::default() }))
    }

    async fn first_id(&mut self) -> Result<String, Cut> {
        loop {
            let block = match self.block().await {
                // It got through and asks for patience: a busy server's way to refuse a stream.
                Err(Cut::Again { hint: hint @ Some(_), why, .. }) => {
                    return Err(Cut::Again { why, hint, blame: Blame::Server });
                }
                block => block?,
            };
            match block {
                Block { data: Some(_), .. } => {
                    return Err(Cut::lost("an event before the event stream's id"));
                }
                Block { id: Some(id), .. } if !id.is_empty() => return Ok(id),
                _ => {}
            }
        }
    }

    pub(super) async fn next(&mut self) -> Result<Event, Cut> {
        if let Some(cursor) = self.covers.take() {
            return Ok(Event::Covers(cursor));
        }
        loop {
            let Block { id, event, data, .. } = self.block().await?;
            // An empty id resets the last event id; it is no cursor.
            let id = id.filter(|id| !id.is_empty());
            let event = match (event.as_str(), data) {
                (_, None) => id.map(Event::Covers),
                ("tidings.gap", Some(data)) => Some(Event::Gap(Gap::parse(&data)?)),
                ("tidings.end", Some(data)) => {
                    self.covers = id;
                    Some(Event::Closed(data.replace(['\n', '\r'], " ").into()))
                }
                (name, Some(_)) if name.starts_with("tidings.") => id.map(Event::Covers),
                (event, Some(data)) if let Some(channel) = &self.alone => {
                    let event = if event.is_empty() { "message" } else { event };
                    id.map(|cursor| Event::Message(Message::bare(channel, &cursor, event, &data)))
                }
                (_, Some(data)) => {
                    let event = Event::from_frame(Frame::parse(&data)?);
                    if event.is_some() {
                        self.covers = id;
                        event
                    } else {
                        id.map(Event::Covers)
                    }
                }
            };
            if let Some(event) = event {
                return Ok(event);
            }
        }
    }

    async fn block(&mut self) -> Result<Block, Cut> {
        loop {
            match self.parser.next_block() {
                Ok(Some(block)) => {
                    self.retry = block.retry_ms.map(Duration::from_millis).or(self.retry);
                    return Ok(block);
                }
                Ok(None) => {}
                Err(TooLong) => {
                    let why = format!("the server sent an event larger than {ITEM_BYTES_MAX} bytes");
                    return Err(Cut::Final(Error::Unexpected(why)));
                }
            }
            match timeout(self.silence, self.response.chunk()).await {
                Ok(Ok(Some(chunk))) => self.parser.feed(chunk),
                Ok(Ok(None)) => return Err(self.ended("the event stream ended".to_owned())),
                Ok(Err(error)) => return Err(self.ended(super::error::describe(&error))),
                Err(_) => return Err(self.ended("the event stream fell silent".to_owned())),
            }
        }
    }

    fn ended(&self, why: String) -> Cut {
        Cut::Again { why, hint: self.retry, blame: Blame::Transport }
    }
}
