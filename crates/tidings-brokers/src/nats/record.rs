//! A record of a channel: a message, the end, or a note, and the state of the channel after it.
//!
//! The newest record of a channel says all that there is to know of it, so appending looks at one
//! record and writes one.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use tidings_core::log::{Channel, Draft, Kind, Message, Payload, Retain, Terms};

use super::place::Place;

/// A record, and where the stream has it.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// Its sequence in the stream.
    pub(super) seq: u64,
    pub(super) head: Head,
    pub(super) body: Body,
}

/// What each record says of its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Head {
    /// The life of the channel: its epoch, before the stream's losses are counted in.
    pub(super) life: u64,
    /// The record before this one; 0 where there is none.
    pub(super) prev: u64,
    /// The message before this record.
    pub(super) before: Place,
    /// Up to where messages are gone, though they may still be there.
    pub(super) lost: Place,
    /// The end of a log that was closed before this record; 0 where it is open.
    pub(super) end: u64,
    /// When the channel was created or last written to. For a message: when it was stored.
    pub(super) written_ms: u64,
    /// When the message before this record was stored.
    pub(super) newest_ms: u64,
    pub(super) terms: Option<Terms>,
}

/// What a record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    /// A message.
    Message(Content),
    /// Nothing follows.
    End,
    /// The channel was created, given other terms, deleted, or emptied by its age.
    Note,
}

/// What a message has besides its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) id: Box<str>,
    pub(super) event: Option<Box<str>>,
    pub(super) key: Option<Box<str>>,
    pub(super) from: Option<Arc<str>>,
    pub(super) payload: Payload,
}

const VERSION: u8 = 1;
const MESSAGE: u8 = 0;
const END: u8 = 1;
const NOTE: u8 = 2;
const HAS_TERMS: u8 = 1;
const HAS_RETAIN: u8 = 1 << 1;
const HAS_TTL: u8 = 1 << 2;
const HAS_EVENT: u8 = 1 << 3;
const HAS_KEY: u8 = 1 << 4;
const HAS_FROM: u8 = 1 << 5;

impl Content {
    pub(super) fn of(draft: &Draft) -> Self {
        Content {
            id: draft.id.clone(),
            event: draft.event.clone(),
            key: draft.key.clone(),
            from: draft.from.clone(),
            payload: draft.payload.clone(),
        }
    }
}

impl Record {
    /// Where it stands, if it is a message.
    pub(super) fn place(&self) -> Place {
        Place { seq: self.seq, number: self.head.before.number + 1 }
    }

    pub(super) fn key(&self) -> Option<&str> {
        if let Body::Message(content) = &self.body { content.key.as_deref() } else { None }
    }

    /// The message that it is.
    pub(super) fn message(&self, channel: &Channel, epoch: u64) -> Option<Message> {
        let Body::Message(content) = &self.body else { return None };
        let Content { id, event, key, from, payload } = content.clone();
        let (position, time_ms) = (self.place().position(epoch), self.head.written_ms);
        Some(Message { channel: channel.clone(), position, id, event, key, payload, time_ms, from })
    }
}

/// The bytes of a record.
pub(super) fn encode(head: &Head, body: &Body) -> Bytes {
    let data = if let Body::Message(content) = body { content.payload.bytes.len() } else { 0 };
    let mut bytes = BytesMut::with_capacity(160 + data);
    let (kind, payload_kind) = match body {
        Body::Message(content) => (MESSAGE, kind_number(content.payload.kind)),
        Body::End => (END, 0),
        Body::Note => (NOTE, 0),
    };
    let has = |is: bool, flag: u8| if is { flag } else { 0 };
    let terms = head.terms.unwrap_or_default();
    let mut flags = has(head.terms.is_some(), HAS_TERMS)
        | has(terms.retain.is_some(), HAS_RETAIN)
        | has(terms.ttl_ms.is_some(), HAS_TTL);
    if let Body::Message(content) = body {
        flags |= has(content.event.is_some(), HAS_EVENT)
            | has(content.key.is_some(), HAS_KEY)
            | has(content.from.is_some(), HAS_FROM);
    }
    bytes.put_slice(&[VERSION, kind, flags, payload_kind]);
    let Head { life, prev, before, lost, end, written_ms, newest_ms, terms: _ } = *head;
    let words = [life, prev, before.seq, before.number, lost.seq, lost.number, end, written_ms, newest_ms];
    let retain = terms.retain.map(|retain| [retain.messages, retain.age_ms]);
    for word in words.into_iter().chain(retain.into_iter().flatten()).chain(terms.ttl_ms) {
        bytes.put_u64(word);
    }
    if let Body::Message(content) = body {
        let Content { id, event, key, from, payload } = content;
        for text in [Some(&**id), event.as_deref(), key.as_deref(), from.as_deref()].into_iter().flatten() {
            bytes.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
            bytes.put_slice(text.as_bytes());
        }
        bytes.put_slice(&payload.bytes);
    }
    bytes.freeze()
}

/// The record that some bytes are, if they are one.
pub(super) fn decode(seq: u64, mut bytes: Bytes) -> Option<Record> {
    let [VERSION, kind, flags, payload_kind] = *take(&mut bytes, 4)? else { return None };
    let mut word = || Some(u64::from_be_bytes(take(&mut bytes, 8)?.as_ref().try_into().ok()?));
    let mut head = Head {
        life: word()?,
        prev: word()?,
        before: Place { seq: word()?, number: word()? },
        lost: Place { seq: word()?, number: word()? },
        end: word()?,
        written_ms: word()?,
        newest_ms: word()?,
        terms: None,
    };
    let has = |flag| flags & flag != 0;
    if has(HAS_TERMS) {
        let retain = if has(HAS_RETAIN) { Some(Retain { messages: word()?, age_ms: word()? }) } else { None };
        let ttl_ms = if has(HAS_TTL) { Some(word()?) } else { None };
        head.terms = Some(Terms { retain, ttl_ms });
    }
    let body = match kind {
        MESSAGE => {
            let id = text(&mut bytes)?.into();
            let event = if has(HAS_EVENT) { Some(text(&mut bytes)?.into()) } else { None };
            let key = if has(HAS_KEY) { Some(text(&mut bytes)?.into()) } else { None };
            let from = if has(HAS_FROM) { Some(text(&mut bytes)?.into()) } else { None };
            let kind = match payload_kind {
                0 => Kind::Json,
                1 => Kind::Text,
                2 => Kind::Bytes,
                _ => return None,
            };
            Body::Message(Content { id, event, key, from, payload: Payload { kind, bytes } })
        }
        END => Body::End,
        NOTE => Body::Note,
        _ => return None,
    };
    // One more is added to it for the message itself.
    (head.before.number < u64::MAX).then_some(Record { seq, head, body })
}

fn kind_number(kind: Kind) -> u8 {
    match kind {
        Kind::Json => 0,
        Kind::Text => 1,
        Kind::Bytes => 2,
    }
}

fn take(bytes: &mut Bytes, count: usize) -> Option<Bytes> {
    (bytes.len() >= count).then(|| bytes.split_to(count))
}

fn text(bytes: &mut Bytes) -> Option<String> {
    let length = u32::from_be_bytes(take(bytes, 4)?.as_ref().try_into().ok()?);
    let text = take(bytes, usize::try_from(length).ok()?)?;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let place = |seq, number| Place { seq, number };
        let terms = Terms { retain: Some(Retain { messages: 3, age_ms: 4 }), ttl_ms: Some(5) };
        Head {
            life: 1,
            prev: 2,
            before: place(3, 4),
            lost: place(1, 1),
            end: 0,
            written_ms: 6,
            newest_ms: 7,
            terms: Some(terms),
        }
    }

    #[test]
    fn records_come_back_as_they_were() {
        let payload = Payload { kind: Kind::Bytes, bytes: Bytes::from_static(b"\x00\xff") };
        let content = |event: Option<&str>, key: Option<&str>| Content {
            id: "id \u{e4}".into(),
            event: event.map(Into::into),
            key: key.map(Into::into),
            from: Some("u".into()),
            payload: payload.clone(),
        };
        let bodies = [
            Body::Message(content(Some("e\r\n"), None)),
            Body::Message(content(None, Some(""))),
            Body::End,
            Body::Note,
        ];
        for body in bodies {
            for head in [head(), Head { terms: Some(Terms::default()), ..head() }, Head::default()] {
                let record = decode(9, encode(&head, &body)).unwrap();
                assert_eq!((record.seq, record.head, record.body), (9, head, body.clone()));
            }
        }
    }

    #[test]
    fn other_bytes_are_no_record() {
        let content = Content {
            id: "id".into(),
            event: None,
            key: None,
            from: None,
            payload: Payload { kind: Kind::Text, bytes: Bytes::new() },
        };
        let whole = encode(&head(), &Body::Message(content));
        for length in 0..whole.len() {
            assert!(decode(1, whole.slice(..length)).is_none(), "{length}");
        }
        for (at, byte) in [(0, 9), (1, 9), (3, 9)] {
            let mut other = whole.to_vec();
            other[at] = byte;
            assert!(decode(1, other.into()).is_none());
        }
        assert!(decode(1, Bytes::from_static(b"{\"someone\": \"else's\"}")).is_none());
    }
}
