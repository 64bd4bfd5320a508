//! A message as a publisher describes it: in a batch, a frame, or beside a body.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use tidings_core::log::{Draft, Kind, Once, Payload};
use tidings_core::{Channel, Code, Error, Result, Writer};

/// What is to be stored, checked.
#[derive(Debug)]
pub struct Item {
    /// The channel, where the description names one.
    pub channel: Option<Channel>,
    event: Option<Box<str>>,
    key: Option<Box<str>>,
    id: Option<Box<str>>,
    payload: Payload,
}

/// A description as JSON, before it is checked.
#[derive(Deserialize)]
pub struct Loose<'a> {
    #[serde(borrow, default)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    encoding: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
}

/// Bytes of an event name.
const EVENT_BYTES_MAX: usize = 128;
/// Bytes of a key, and of an id.
const NAME_BYTES_MAX: usize = 255;

/// `"data":null` is data; only an absent `data` is none.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Loose<'a> {
    /// Reads a JSON object.
    pub fn parse(text: &'a [u8]) -> Result<Self> {
        let bad = |why: String| Error::new(Code::BadJson, format!("not a message object ({why})"));
        crate::wire::object(text).map_err(|error| bad(error.to_string()))
    }

    /// The id, where there is one.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

impl Item {
    /// Checks a description that stands in `text`; its data shares the bytes of `text`.
    pub fn read(text: &Bytes, loose: Loose<'_>) -> Result<Self> {
        let data = loose.data.ok_or_else(|| Error::new(Code::BadJson, "the message has no `data`"))?;
        let payload = match loose.encoding.as_deref() {
            None => Payload { kind: Kind::Json, bytes: text.slice_ref(data.get().as_bytes()) },
            Some("base64") => {
                let encoded = serde_json::from_str::<Cow<'_, str>>(data.get()).ok();
                let bytes = encoded.and_then(|encoded| BASE64_STANDARD.decode(encoded.as_bytes()).ok());
                let bytes =
                    bytes.ok_or_else(|| Error::new(Code::BadJson, "`data` is not a string of base64"))?;
                Payload { kind: Kind::Bytes, bytes: bytes.into() }
            }
            Some(_) => return Err(Error::new(Code::BadJson, "`encoding` is `base64` or absent")),
        };
        let channel = match &loose.channel {
            Some(name) => Some(channel(name)?),
            None => None,
        };
        Item { channel, ..Item::of(payload) }.named(
            loose.event.as_deref(),
            loose.key.as_deref(),
            loose.id.as_deref(),
        )
    }

    /// An item with nothing but data.
    pub fn of(payload: Payload) -> Self {
        Item { channel: None, event: None, key: None, id: None, payload }
    }

    /// The same, with the names that go with it.
    pub fn named(mut self, event: Option<&str>, key: Option<&str>, id: Option<&str>) -> Result<Self> {
        self.event = event.map(check_event).transpose()?;
        self.key = key.map(check_key).transpose()?;
        self.id = id.map(check_id).transpose()?;
        Ok(self)
    }

    /// What it holds: event, key, id and data.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn parts(&self) -> ([Option<&str>; 3], &Payload) {
        ([self.event.as_deref(), self.key.as_deref(), self.id.as_deref()], &self.payload)
    }

    /// The draft that it becomes.
    pub fn draft(self, writer: &Writer) -> Draft {
        let once = if self.id.is_some() { Once::Id } else { Once::No };
        Draft {
            id: self.id.unwrap_or_else(|| writer.new_id()),
            once,
            event: self.event,
            key: self.key,
            payload: self.payload,
            from: None,
        }
    }
}

/// A channel name as it comes from outside.
pub fn channel(name: &str) -> Result<Channel> {
    Channel::parse(name).map_err(|error| Error::new(Code::BadChannel, error.to_string()))
}

/// An event name; `message` is none.
pub fn check_event(event: &str) -> Result<Box<str>> {
    let bad = |detail: String| Err(Error::new(Code::BadEvent, detail));
    match event {
        _ if event.is_empty() => bad("the event name is empty".into()),
        _ if event.len() > EVENT_BYTES_MAX => bad(format!("the event name has {} bytes", event.len())),
        _ if event.contains(['\r', '\n', '\0']) => bad("the event name holds a line break or NUL".into()),
        _ if event.starts_with("tidings.") => {
            bad("event names that begin with `tidings.` are reserved".into())
        }
        _ => Ok(event.into()),
    }
}

/// A compaction key.
pub fn check_key(key: &str) -> Result<Box<str>> {
    let fits = (1..=NAME_BYTES_MAX).contains(&key.len()) && !key.chars().any(char::is_control);
    if !fits {
        return Err(Error::new(
            Code::BadKey,
            format!("the key has {} bytes, or holds a control character", key.len()),
        ));
    }
    Ok(key.into())
}

/// An idempotency key.
pub fn check_id(id: &str) -> Result<Box<str>> {
    let fits =
        (1..=NAME_BYTES_MAX).contains(&id.len()) && id.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if !fits {
        return Err(Error::new(
            Code::BadId,
            "the idempotency key is empty, too long, or not printable ASCII",
        ));
    }
    Ok(id.into())
}
