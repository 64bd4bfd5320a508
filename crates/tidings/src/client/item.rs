//! What a reader gives, and how it is told on the wire.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::Transport;
use super::error::{Cut, Error, Problem};

/// What [`Reader::next`](super::Reader::next) gives.
#[derive(Debug, Clone)]
pub enum Item {
    /// A message, never given before by this reader.
    Message(Message),
    /// Messages are missing here, and why.
    Gap(Gap),
    /// A channel was closed: the end record, as JSON. No message of it follows.
    Closed(Box<str>),
    /// How the connection is. Needs no action.
    Status(Status),
    /// The reader is at its end: the limit is reached, or the server said so. Comes for ever.
    End,
}

/// A message, with the text that the server sent.
#[derive(Debug, Clone)]
pub struct Message {
    text: Box<str>,
    channel: Box<str>,
    cursor: Arc<str>,
}

/// The parts of a message, borrowed from its text.
#[derive(Debug, Deserialize)]
pub struct Parts<'a> {
    /// The log it stands in.
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
    /// What kind of message it is, `message` by default.
    #[serde(borrow, default = "default_event")]
    pub event: Cow<'a, str>,
    /// The data as JSON text, every digit as it was published.
    #[serde(borrow, deserialize_with = "raw")]
    pub data: &'a RawValue,
    /// The publisher's idempotency key, or a generated one.
    #[serde(default)]
    pub id: Option<String>,
    /// For compaction.
    #[serde(default)]
    pub key: Option<String>,
    /// When it was stored: RFC 3339 with milliseconds.
    #[serde(default)]
    pub time: Option<String>,
    /// The publisher's user id, if it has one.
    #[serde(default)]
    pub from: Option<String>,
    /// `base64` if the data is bytes.
    #[serde(default)]
    pub encoding: Option<String>,
}

/// A report of what cannot be delivered.
#[derive(Debug, Clone)]
pub struct Gap {
    /// The report as JSON text on one line: `{"channel","after","until","why","missed"}`.
    pub text: Box<str>,
    /// The channel that misses something.
    pub channel: String,
    /// Where it ends: the cursor of its channel to go on from.
    pub until: Option<String>,
    /// `expired`, `epoch` or `lagged`.
    pub why: String,
    /// How many messages, if the server knows.
    pub missed: Option<u64>,
}

/// The parts of an end record.
#[derive(Debug, Default, Deserialize)]
pub(super) struct End {
    /// The channel that is closed.
    #[serde(default)]
    pub(super) channel: String,
    /// The place after its end.
    #[serde(default)]
    pub(super) cursor: String,
}

/// How a reader's connection is.
#[derive(Debug, Clone)]
pub enum Status {
    /// Messages flow.
    Connected {
        /// Over which transport.
        transport: Transport,
        /// The weakest guarantee of the channels, if the server said it.
        delivery: Option<String>,
    },
    /// There is no connection; the next try is over `transport`, after `delay`.
    Waiting {
        /// Over which transport the next try goes.
        transport: Transport,
        /// Why the last one ended.
        why: String,
        /// How long until then.
        delay: Duration,
    },
}

impl Message {
    /// Takes the text of a full message.
    pub(super) fn parse(text: &str) -> Result<Self, Cut> {
        match Frame::parse(text)? {
            Frame::Message(message) => Ok(message),
            _ => Err(unexpected("an item that is no message", text)),
        }
    }

    /// Takes an event of a channel's own stream, which holds the data alone. What was JSON is not told
    /// there; what parses as such is taken for it.
    pub(super) fn bare(channel: &str, cursor: &str, event: &str, data: &str) -> Self {
        let text = || serde_json::Value::from(data).to_string();
        let data = match serde_json::from_str::<&RawValue>(data) {
            Ok(json) => one_line(json.get()),
            Err(_) => text().into(),
        };
        let [name, place, event] = [channel, cursor, event].map(serde_json::Value::from);
        let text = format!(r#"{{"channel":{name},"cursor":{place},"event":{event},"data":{data}}}"#);
        Self { text: text.into(), channel: channel.into(), cursor: cursor.into() }
    }

    /// The message as JSON text on one line, as the server sent it.
    pub fn json(&self) -> &str {
        &self.text
    }

    /// The log it stands in.
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// The place just after it in its channel. Two messages with one cursor are the same message.
    pub fn cursor(&self) -> &str {
        &self.cursor
    }

    pub(super) fn shared_cursor(&self) -> Arc<str> {
        Arc::clone(&self.cursor)
    }

    /// The parts of it.
    ///
    /// # Errors
    ///
    /// If the server sent something that is no full message.
    pub fn parts(&self) -> Result<Parts<'_>, Error> {
        serde_json::from_str(&self.text).map_err(|error| {
            Error::Unexpected(format!("the server sent a message without its parts: {error}"))
        })
    }
}

impl Gap {
    pub(super) fn parse(text: &str) -> Result<Self, Cut> {
        #[derive(Deserialize)]
        struct Fields {
            #[serde(default)]
            channel: String,
            #[serde(default)]
            until: Option<String>,
            #[serde(default)]
            why: String,
            #[serde(default)]
            missed: Option<u64>,
        }
        let Fields { channel, until, why, missed } =
            serde_json::from_str(text).map_err(|_| unexpected("a gap that is not readable", text))?;
        Ok(Self { text: one_line(text), channel, until, why, missed })
    }
}

/// A frame of a WebSocket, told by its keys.
#[derive(Debug)]
pub(super) enum Frame {
    Message(Message),
    Subscribed(Subscribed),
    Gap(Gap),
    Closed(Box<str>),
    Cursor(String),
    Error(Problem),
    /// The answer to a request of a session.
    Refused(Problem),
    /// A channel of a session that is read no more, and why.
    Unsubscribed(Problem),
    Heartbeat,
    /// What this client did not ask for, or does not know.
    Other,
}

/// What the server says before the first item.
#[derive(Debug, Default)]
pub(crate) struct Greeting {
    /// From where the read of all channels starts.
    pub(super) cursor: Option<String>,
    /// From where the read of each starts: channels and cursors.
    pub(super) places: Vec<(String, String)>,
    /// The weakest guarantee of the channels.
    pub(crate) delivery: Option<String>,
}

/// The body of a frame `subscribed`. On a session it is of one channel.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Subscribed {
    #[serde(default)]
    pub(super) channel: Option<String>,
    #[serde(default)]
    pub(super) cursor: Option<String>,
    #[serde(default)]
    pub(super) delivery: Option<String>,
}

impl Frame {
    pub(super) fn parse(text: &str) -> Result<Self, Cut> {
        if text.trim() == "{}" {
            return Ok(Self::Heartbeat);
        }
        #[derive(Deserialize)]
        struct Why {
            #[serde(default)]
            error: Option<Problem>,
        }
        #[derive(Deserialize)]
        struct Keys<'a> {
            #[serde(borrow, default)]
            id: Option<&'a RawValue>,
            #[serde(borrow, default, deserialize_with = "present")]
            data: Option<&'a RawValue>,
            #[serde(default)]
            subscribed: Option<Subscribed>,
            #[serde(default)]
            unsubscribed: Option<Why>,
            #[serde(borrow, default)]
            gap: Option<&'a RawValue>,
            #[serde(borrow, default)]
            end: Option<&'a RawValue>,
            #[serde(default)]
            error: Option<Problem>,
            #[serde(default)]
            channel: Option<Box<str>>,
            #[serde(default)]
            cursor: Option<String>,
            #[serde(borrow, default)]
            published: Option<&'a RawValue>,
            #[serde(borrow, default)]
            presence: Option<&'a RawValue>,
        }
        let keys: Keys<'_> =
            serde_json::from_str(text).map_err(|_| unexpected("an unreadable frame", text))?;
        Ok(match keys {
            Keys { data: Some(_), channel: Some(channel), cursor: Some(cursor), .. } => {
                Self::Message(Message { text: one_line(text), channel, cursor: cursor.into() })
            }
            Keys { subscribed: Some(subscribed), .. } => Self::Subscribed(subscribed),
            Keys { unsubscribed: Some(Why { error: Some(problem) }), .. } => Self::Unsubscribed(problem),
            Keys { gap: Some(gap), .. } => Self::Gap(Gap::parse(gap.get())?),
            Keys { end: Some(end), .. } => Self::Closed(one_line(end.get())),
            Keys { error: Some(problem), id: Some(_), .. } => Self::Refused(problem),
            Keys { error: Some(problem), .. } => Self::Error(problem),
            Keys { published: Some(_), .. } | Keys { presence: Some(_), .. } | Keys { data: Some(_), .. } => {
                Self::Other
            }
            Keys { cursor: Some(cursor), .. } => Self::Cursor(cursor),
            _ => Self::Other,
        })
    }
}

/// The text on one line. Line breaks in JSON are space between tokens: strings escape theirs.
pub(super) fn one_line(json: &str) -> Box<str> {
    if json.contains(['\n', '\r']) { json.replace(['\n', '\r'], " ").into() } else { json.into() }
}

/// An error that shows the beginning of what was not understood.
pub(super) fn unexpected(what: &str, text: &str) -> Cut {
    let start: String = text.chars().take(80).collect();
    Cut::Final(Error::Unexpected(format!("the server sent {what}: {start}")))
}

fn default_event() -> Cow<'static, str> {
    Cow::Borrowed("message")
}

/// A value that may be `null`, which is data like any other.
fn raw<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<&'a RawValue, D::Error> {
    Deserialize::deserialize(deserializer)
}

/// A key that is there, even as `null`.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_told_by_its_keys() {
        let message = r#"{"channel":"a","cursor":"c1","id":"i","data":null}"#;
        let Frame::Message(message) = Frame::parse(message).unwrap() else { panic!("no message") };
        assert_eq!((message.channel(), message.cursor()), ("a", "c1"));
        let parts = message.parts().unwrap();
        assert_eq!((parts.event.as_ref(), parts.data.get()), ("message", "null"));
        assert!(matches!(Frame::parse(r#"{"cursor":"x"}"#), Ok(Frame::Cursor(c)) if c == "x"));
        assert!(matches!(
            Frame::parse(r#"{"subscribed":{"channels":[],"cursor":"x"}}"#),
            Ok(Frame::Subscribed(Subscribed { cursor: Some(_), .. }))
        ));
        let gap =
            r#"{"gap":{"channel":"a","after":"x","until":"y","why":"expired","missed":null},"cursor":"y"}"#;
        assert!(matches!(Frame::parse(gap), Ok(Frame::Gap(gap)) if gap.until.as_deref() == Some("y")));
        assert!(matches!(Frame::parse(r#"{"error":{"code":"bad-json"}}"#), Ok(Frame::Error(_))));
        assert!(matches!(Frame::parse(r#"{"id":7,"error":{"code":"forbidden"}}"#), Ok(Frame::Refused(_))));
        let ended = r#"{"unsubscribed":{"channel":"a","error":{"code":"forbidden"}}}"#;
        assert!(matches!(Frame::parse(ended), Ok(Frame::Unsubscribed(p)) if p.code == "forbidden"));
        assert!(matches!(Frame::parse(r#"{"id":1,"unsubscribed":{"channel":"a"}}"#), Ok(Frame::Other)));
        assert!(matches!(Frame::parse("{}"), Ok(Frame::Heartbeat)));
        assert!(matches!(Frame::parse(r#"{"published":{"cursor":"x"},"id":"k"}"#), Ok(Frame::Other)));
        assert!(matches!(Frame::parse(r#"{"from":"the","future":1}"#), Ok(Frame::Other)));
        assert!(Frame::parse("<html>").is_err());
    }

    #[test]
    fn data_keeps_its_text_but_for_line_breaks() {
        let text = "{\"channel\":\"a\",\"cursor\":\"c\",\"data\":{\"b\": 1.00,\n\"a\":\"x\\ny\"}}";
        let message = Message::parse(text).unwrap();
        assert_eq!(message.json(), text.replace('\n', " "));
        assert_eq!(message.parts().unwrap().data.get(), "{\"b\": 1.00, \"a\":\"x\\ny\"}");
    }
}
