//! What a log holds.

use std::sync::Arc;

use bytes::Bytes;

use super::{Channel, Position};

/// How the bytes of a payload are to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// JSON text, kept to the letter.
    Json,
    /// UTF-8 text.
    Text,
    /// Anything.
    Bytes,
}

/// The data of a message. Whoever makes one has checked that `bytes` are of `kind`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// How to understand the bytes.
    pub kind: Kind,
    /// The data, shared by everyone who reads it.
    pub bytes: Bytes,
}

/// How often a draft may be stored.
///
/// The same id within the window is the same message, however it came: message
/// `n` of the stream with key `K` has the id `K/n`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Once {
    /// Each time it is sent.
    No,
    /// Once within the dedupe window, told by its id.
    Id,
    /// Message `index` of a streamed body that may be sent again whole.
    Stream {
        /// The idempotency key of the whole stream.
        key: Arc<str>,
        /// The message's number in the stream, from 0.
        index: u64,
    },
}

/// A message before a broker gave it a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Unique in the channel within the dedupe window.
    pub id: Box<str>,
    /// How often it may be stored.
    pub once: Once,
    /// The event name; `None` means `message`.
    pub event: Option<Box<str>>,
    /// The compaction key.
    pub key: Option<Box<str>>,
    /// The data.
    pub payload: Payload,
    /// The publisher's user id.
    pub from: Option<Arc<str>>,
}

/// The event name of the record that ends a closed log. No publisher may use it.
const END: &str = "tidings.end";

impl Draft {
    /// The record that closes a log: what would follow it does not exist.
    pub(crate) fn end() -> Self {
        Draft { event: Some(END.into()), key: None, ..Draft::of_key("end".into(), "null".into()) }
    }

    /// Whether it closes its log.
    pub fn is_end(&self) -> bool {
        self.event.as_deref() == Some(END)
    }

    /// An entry of a log of the server's own: the newest JSON of its key is what holds.
    pub(crate) fn of_key(key: String, json: String) -> Self {
        Draft {
            id: key.as_str().into(),
            once: Once::No,
            event: None,
            key: Some(key.into()),
            payload: Payload { kind: Kind::Json, bytes: Bytes::from(json) },
            from: None,
        }
    }
}

/// A message in its place in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The log.
    pub channel: Channel,
    /// The place just after this message.
    pub position: Position,
    /// The draft's id.
    pub id: Box<str>,
    /// The event name; `None` means `message`.
    pub event: Option<Box<str>>,
    /// The compaction key.
    pub key: Option<Box<str>>,
    /// The data.
    pub payload: Payload,
    /// When it was stored, by the storing node's clock, in milliseconds. Says nothing of order.
    pub time_ms: u64,
    /// The publisher's user id.
    pub from: Option<Arc<str>>,
}

impl Message {
    /// The message that this draft becomes at this place.
    pub fn new(channel: Channel, position: Position, time_ms: u64, draft: Draft) -> Self {
        let Draft { id, once: _, event, key, payload, from } = draft;
        Message { channel, position, id, event, key, payload, time_ms, from }
    }

    /// What a tail gives where its log was closed, at the place after the end. No log keeps it.
    pub fn end(channel: Channel, position: Position, time_ms: u64) -> Self {
        Message::new(channel, position, time_ms, Draft::end())
    }

    /// Whether it says that its log is closed.
    pub fn is_end(&self) -> bool {
        self.event.as_deref() == Some(END)
    }

    /// About how many bytes of memory it holds, for the bounds of rings and brokers.
    pub fn weight(&self) -> usize {
        let texts = self.id.len()
            + self.event.as_ref().map_or(0, |e| e.len())
            + self.key.as_ref().map_or(0, |k| k.len())
            + self.from.as_ref().map_or(0, |f| f.len());
        std::mem::size_of::<Self>() + 64 + texts + self.payload.bytes.len()
    }
}
