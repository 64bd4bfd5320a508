//! Frames from a client of the session protocol.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tidings_core::{Channel, Code, Consumer, Cursor, Error, From, Result};

use crate::http::query::begin;
use crate::item::{self, Item, Loose};

use super::super::publishing::bad_frame;

/// One frame, read.
pub(super) struct Request {
    /// What its reply repeats: the text of a JSON string or whole number.
    pub(super) id: Option<Box<RawValue>>,
    /// A token for this frame and those after it. On the first frame alone.
    pub(super) token: Option<String>,
    /// What is asked for; a heartbeat asks for nothing.
    pub(super) ask: Option<Ask>,
}

/// What a client can ask for.
pub(super) enum Ask {
    /// Read a channel from here on.
    Subscribe { channel: Channel, from: From, consumer: Option<Consumer>, presence: bool },
    /// Note that a consumer has done with what comes before a cursor.
    Ack { channel: Channel, consumer: Consumer, cursor: Cursor },
    /// Read it no more.
    Unsubscribe(Channel),
    /// Store a message.
    Publish { channel: Channel, item: Box<Item> },
    /// Say who is in a channel.
    Presence(Channel),
    /// Give a page of what is kept.
    History { channel: Channel, from: From, limit: usize },
    /// Go on with another token.
    Refresh(String),
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    token: Option<Cow<'a, str>>,
    #[serde(borrow)]
    subscribe: Option<Named<'a>>,
    #[serde(borrow)]
    ack: Option<Named<'a>>,
    #[serde(borrow)]
    unsubscribe: Option<Named<'a>>,
    #[serde(borrow)]
    publish: Option<&'a RawValue>,
    #[serde(borrow)]
    presence: Option<Named<'a>>,
    #[serde(borrow)]
    history: Option<Named<'a>>,
    #[serde(borrow)]
    refresh: Option<Refresh<'a>>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(borrow)]
    after: Option<Cow<'a, str>>,
    #[serde(borrow)]
    consumer: Option<Cow<'a, str>>,
    #[serde(borrow)]
    cursor: Option<Cow<'a, str>>,
    last: Option<u64>,
    limit: Option<u64>,
    #[serde(default)]
    presence: bool,
}

#[derive(Deserialize)]
struct Refresh<'a> {
    #[serde(borrow)]
    token: Cow<'a, str>,
}

/// A request that cannot be read, and the id that its refusal repeats.
pub(super) struct Unreadable {
    pub(super) id: Option<Box<RawValue>>,
    pub(super) error: Error,
}

/// Bytes of an id.
const ID_BYTES_MAX: usize = 64;
/// Messages of a page of history, unless the request says otherwise.
const LIMIT: u64 = 100;
const LIMIT_MAX: u64 = 1_000;

impl Request {
    /// Reads a frame.
    pub(super) fn read(text: &Bytes) -> Result<Self, Unreadable> {
        let frame: Frame<'_> = serde_json::from_slice(text).map_err(|error| Unreadable {
            id: None,
            error: bad(format!("the frame is no request ({error})")),
        })?;
        let id = match frame.id.map(check_id).transpose() {
            Ok(id) => id,
            Err(error) => return Err(Unreadable { id: None, error }),
        };
        match Ask::of(text, &frame) {
            Ok(ask) if ask.is_some() && id.is_none() => {
                Err(Unreadable { id, error: bad("a request needs an `id`, which its reply repeats".into()) })
            }
            Ok(ask) => Ok(Request { id, token: frame.token.map(Cow::into_owned), ask }),
            Err(error) => Err(Unreadable { id, error }),
        }
    }
}

impl Ask {
    fn of(text: &Bytes, frame: &Frame<'_>) -> Result<Option<Self>> {
        let mut asks = Vec::new();
        if let Some(named) = &frame.subscribe {
            let (channel, from) = (named.channel()?, named.from()?);
            let consumer = named.consumer()?;
            asks.push(Ask::Subscribe { channel, from, consumer, presence: named.presence });
        }
        if let Some(named) = &frame.ack {
            asks.push(named.ack()?);
        }
        if let Some(named) = &frame.unsubscribe {
            asks.push(Ask::Unsubscribe(named.channel()?));
        }
        if let Some(raw) = frame.publish {
            let inner = text.slice_ref(raw.get().as_bytes());
            let item = Loose::parse(&inner).and_then(|loose| Item::read(&inner, loose)).map_err(bad_frame)?;
            let channel = item.channel.clone().ok_or_else(|| bad("`publish` needs a `channel`".into()))?;
            asks.push(Ask::Publish { channel, item: Box::new(item) });
        }
        if let Some(named) = &frame.presence {
            asks.push(Ask::Presence(named.channel()?));
        }
        if let Some(named) = &frame.history {
            let limit = named.limit.or(named.last).unwrap_or(LIMIT).min(LIMIT_MAX);
            if limit == 0 && named.limit.is_some() {
                return Err(Error::new(Code::BadQuery, "`limit` must be at least 1"));
            }
            let from = match named.from()? {
                From::Last(n) => From::Last(n.min(LIMIT_MAX)),
                from => from,
            };
            asks.push(Ask::History { channel: named.channel()?, from, limit: limit as usize });
        }
        if let Some(refresh) = &frame.refresh {
            asks.push(Ask::Refresh(refresh.token.clone().into_owned()));
        }
        let ask = asks.pop();
        match (asks.is_empty(), &ask, frame.id) {
            (false, _, _) => Err(bad("the frame asks for two things: one request a frame".into())),
            (true, None, Some(_)) => Err(bad(
                "the frame asks for nothing that is known: `subscribe`, `unsubscribe`, `publish`, `ack`, \
                 `presence`, `history` or `refresh`"
                    .into(),
            )),
            _ => Ok(ask),
        }
    }
}

impl Named<'_> {
    fn channel(&self) -> Result<Channel> {
        item::channel(&self.channel)
    }

    fn consumer(&self) -> Result<Option<Consumer>> {
        self.consumer.as_deref().map(Consumer::parse).transpose()
    }

    fn ack(&self) -> Result<Ask> {
        let (Some(consumer), Some(cursor)) = (self.consumer()?, self.cursor.as_deref()) else {
            return Err(bad("`ack` needs a `channel`, a `consumer` and a `cursor`".into()));
        };
        let cursor = cursor.parse();
        let cursor = cursor.map_err(|error| Error::new(Code::BadCursor, format!("`cursor` is {error}")))?;
        Ok(Ask::Ack { channel: self.channel()?, consumer, cursor })
    }

    fn from(&self) -> Result<From> {
        begin(self.after.as_deref(), self.last)
    }
}

/// An id is a string or a whole number, and short, since it is sent back.
fn check_id(id: &RawValue) -> Result<Box<RawValue>> {
    let text = id.get();
    // An escape of half a character is JSON and no text: whoever reads the reply might not get past it.
    let is_string = serde_json::from_str::<Cow<'_, str>>(text).is_ok();
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    if text.len() > ID_BYTES_MAX || !(is_string || is_number) {
        return Err(bad("an `id` is a string or a whole number of at most 64 bytes".into()));
    }
    Ok(id.to_owned())
}

fn bad(detail: String) -> Error {
    Error::new(Code::BadFrame, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: &str) -> Option<String> {
        let frame = format!("{{\"id\":{id},\"presence\":{{\"channel\":\"a\"}}}}");
        let request = Request::read(&Bytes::from(frame)).ok()?;
        request.id.map(|id| id.get().to_owned())
    }

    #[test]
    fn an_id_is_text_or_a_whole_number_and_repeated_to_the_letter() {
        for good in ["1", "\"a\"", "\"\"", r#""\u0061""#, r#""\ud83d\ude00""#] {
            assert_eq!(id(good).as_deref(), Some(good));
        }
        for bad in ["-1", "1.5", "null", "[1]", "true", r#""\ud83d""#, r#""\ud83d\ud0e0""#] {
            assert_eq!(id(bad), None, "{bad}");
        }
    }
}
