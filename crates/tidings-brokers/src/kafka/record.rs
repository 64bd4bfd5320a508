//! What a record of a partition says. Its key is the channel.
//!
//! A log describes itself: each record carries by which rules it was written, so that every node that
//! reads the partition comes to the same state of every channel, whatever it was told itself.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tidings_core::log::{Draft, Kind, Once, Payload, Retain, Rules, Terms};

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) head: Head,
    pub(super) body: Body,
}

/// What each record has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// The life of the partition that it was written for.
    pub(super) log: u64,
    /// By which the writer knows it again.
    pub(super) nonce: u64,
    /// When it was written, by the writer's clock.
    pub(super) written_ms: u64,
    pub(super) retain: Retain,
    pub(super) dedupe_ms: u64,
    pub(super) compact: bool,
    pub(super) implicit: bool,
}

/// What it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    /// Begins a life of the partition, in place of another one (0: of none).
    Begin { replaces: u64 },
    /// Stores messages, and the end of a log.
    Messages(Vec<Draft>),
    /// Creates a channel, or gives it other terms.
    Create(Terms),
    /// Deletes a channel; `only_over`: if its time to live has passed.
    Delete { only_over: bool },
    /// Says again what a channel is like, for when the records that made it so have expired.
    Rest(Rest),
}

/// A channel without its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Rest {
    /// The record that touched it last. If there is a newer one, this says nothing.
    pub(super) seen: u64,
    pub(super) life: u64,
    pub(super) last: u64,
    pub(super) end: u64,
    pub(super) written_ms: u64,
    pub(super) newest_ms: u64,
    pub(super) begun: bool,
    pub(super) terms: Option<Terms>,
}

const VERSION: u8 = 1;
const COMPACT: u8 = 1;
const IMPLICIT: u8 = 2;
const HAS_EVENT: u8 = 1;
const HAS_KEY: u8 = 1 << 1;
const HAS_FROM: u8 = 1 << 2;
const ONCE_ID: u8 = 1 << 3;
const ONCE_STREAM: u8 = 1 << 4;

impl Head {
    pub(super) fn new(log: u64, nonce: u64, written_ms: u64, rules: &Rules) -> Self {
        let Rules { retain, dedupe_ms, compact, implicit, .. } = *rules;
        Head { log, nonce, written_ms, retain, dedupe_ms, compact, implicit }
    }
}

impl Record {
    /// Its bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let Head { log, nonce, written_ms, retain, dedupe_ms, compact, implicit } = self.head;
        let kind = match &self.body {
            Body::Begin { .. } => 0,
            Body::Messages(_) => 1,
            Body::Create(_) => 2,
            Body::Delete { .. } => 3,
            Body::Rest(_) => 4,
        };
        let flags = if compact { COMPACT } else { 0 } | if implicit { IMPLICIT } else { 0 };
        let mut bytes = BytesMut::with_capacity(256);
        bytes.put_slice(&[VERSION, kind, flags]);
        for word in [log, nonce, written_ms, retain.messages, retain.age_ms, dedupe_ms] {
            bytes.put_u64(word);
        }
        match &self.body {
            Body::Begin { replaces } => bytes.put_u64(*replaces),
            Body::Messages(drafts) => drafts.iter().for_each(|draft| put_draft(&mut bytes, draft)),
            Body::Create(terms) => put_terms(&mut bytes, *terms),
            Body::Delete { only_over } => bytes.put_u8(u8::from(*only_over)),
            Body::Rest(rest) => {
                let Rest { seen, life, last, end, written_ms, newest_ms, begun, terms } = *rest;
                for word in [seen, life, last, end, written_ms, newest_ms] {
                    bytes.put_u64(word);
                }
                bytes.put_slice(&[u8::from(begun), u8::from(terms.is_some())]);
                put_terms(&mut bytes, terms.unwrap_or_default());
            }
        }
        bytes.to_vec()
    }

    /// The record that some bytes are, if they are one.
    pub(super) fn decode(bytes: &[u8]) -> Option<Record> {
        let mut bytes = Bytes::copy_from_slice(bytes);
        let (version, kind, flags) = (byte(&mut bytes)?, byte(&mut bytes)?, byte(&mut bytes)?);
        if version != VERSION {
            return None;
        }
        let head = Head {
            log: word(&mut bytes)?,
            nonce: word(&mut bytes)?,
            written_ms: word(&mut bytes)?,
            retain: Retain { messages: word(&mut bytes)?, age_ms: word(&mut bytes)? },
            dedupe_ms: word(&mut bytes)?,
            compact: flags & COMPACT != 0,
            implicit: flags & IMPLICIT != 0,
        };
        let body = match kind {
            0 => Body::Begin { replaces: word(&mut bytes)? },
            1 => {
                let mut drafts = Vec::new();
                while bytes.has_remaining() {
                    drafts.push(take_draft(&mut bytes)?);
                }
                Body::Messages(drafts)
            }
            2 => Body::Create(take_terms(&mut bytes)?),
            3 => Body::Delete { only_over: byte(&mut bytes)? != 0 },
            4 => Body::Rest(take_rest(&mut bytes)?),
            _ => return None,
        };
        Some(Record { head, body })
    }
}

fn take_rest(bytes: &mut Bytes) -> Option<Rest> {
    let mut rest = Rest {
        seen: word(bytes)?,
        life: word(bytes)?,
        last: word(bytes)?,
        end: word(bytes)?,
        written_ms: word(bytes)?,
        newest_ms: word(bytes)?,
        begun: byte(bytes)? != 0,
        terms: None,
    };
    let has_terms = byte(bytes)? != 0;
    rest.terms = Some(take_terms(bytes)?).filter(|_| has_terms);
    Some(rest)
}

/// 0 stands for nothing: no channel keeps 0 messages or lives 0 ms.
fn put_terms(bytes: &mut BytesMut, terms: Terms) {
    let retain = terms.retain.unwrap_or(Retain { messages: 0, age_ms: 0 });
    for word in [u64::from(terms.retain.is_some()), retain.messages, retain.age_ms] {
        bytes.put_u64(word);
    }
    bytes.put_u64(u64::from(terms.ttl_ms.is_some()));
    bytes.put_u64(terms.ttl_ms.unwrap_or(0));
}

fn take_terms(bytes: &mut Bytes) -> Option<Terms> {
    let has_retain = word(bytes)? != 0;
    let retain = Retain { messages: word(bytes)?, age_ms: word(bytes)? };
    let has_ttl = word(bytes)? != 0;
    let ttl_ms = word(bytes)?;
    Some(Terms { retain: has_retain.then_some(retain), ttl_ms: has_ttl.then_some(ttl_ms) })
}

fn put_draft(bytes: &mut BytesMut, draft: &Draft) {
    let has = |is: bool, flag: u8| if is { flag } else { 0 };
    let flags = has(draft.event.is_some(), HAS_EVENT)
        | has(draft.key.is_some(), HAS_KEY)
        | has(draft.from.is_some(), HAS_FROM)
        | match draft.once {
            Once::No => 0,
            Once::Id => ONCE_ID,
            Once::Stream { .. } => ONCE_STREAM,
        };
    let kind = match draft.payload.kind {
        Kind::Json => 0,
        Kind::Text => 1,
        Kind::Bytes => 2,
    };
    bytes.put_slice(&[flags, kind]);
    let texts = [Some(&*draft.id), draft.event.as_deref(), draft.key.as_deref(), draft.from.as_deref()];
    texts.into_iter().flatten().for_each(|text| put(bytes, text.as_bytes()));
    if let Once::Stream { key, index } = &draft.once {
        put(bytes, key.as_bytes());
        bytes.put_u64(*index);
    }
    put(bytes, &draft.payload.bytes);
}

fn take_draft(bytes: &mut Bytes) -> Option<Draft> {
    let (flags, kind) = (byte(bytes)?, byte(bytes)?);
    let has = |flag| flags & flag != 0;
    let id = text(bytes)?;
    let event = if has(HAS_EVENT) { Some(text(bytes)?) } else { None };
    let key = if has(HAS_KEY) { Some(text(bytes)?) } else { None };
    let from = if has(HAS_FROM) { Some(Arc::from(&*text(bytes)?)) } else { None };
    let once = match (has(ONCE_ID), has(ONCE_STREAM)) {
        (false, false) => Once::No,
        (true, false) => Once::Id,
        _ => Once::Stream { key: Arc::from(&*text(bytes)?), index: word(bytes)? },
    };
    let kind = match kind {
        0 => Kind::Json,
        1 => Kind::Text,
        2 => Kind::Bytes,
        _ => return None,
    };
    let payload = Payload { kind, bytes: piece(bytes)? };
    Some(Draft { id, once, event, key, payload, from })
}

fn put(bytes: &mut BytesMut, piece: &[u8]) {
    bytes.put_u32(u32::try_from(piece.len()).unwrap_or(u32::MAX));
    bytes.put_slice(piece);
}

fn byte(bytes: &mut Bytes) -> Option<u8> {
    bytes.has_remaining().then(|| bytes.get_u8())
}

fn word(bytes: &mut Bytes) -> Option<u64> {
    (bytes.remaining() >= 8).then(|| bytes.get_u64())
}

fn piece(bytes: &mut Bytes) -> Option<Bytes> {
    let length = (bytes.remaining() >= 4).then(|| bytes.get_u32())?;
    let length = usize::try_from(length).ok()?;
    (bytes.remaining() >= length).then(|| bytes.split_to(length))
}

fn text(bytes: &mut Bytes) -> Option<Box<str>> {
    String::from_utf8(piece(bytes)?.to_vec()).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<Record> {
        let head = Head {
            log: 1,
            nonce: 2,
            written_ms: 3,
            retain: Retain { messages: 4, age_ms: 5 },
            dedupe_ms: 6,
            compact: true,
            implicit: false,
        };
        let draft = |once, event: Option<&str>| Draft {
            id: "id \u{e4}".into(),
            once,
            event: event.map(Into::into),
            key: event.map(|_| "".into()),
            payload: Payload { kind: Kind::Bytes, bytes: Bytes::from_static(b"\x00\xff") },
            from: event.map(|_| "u".into()),
        };
        let terms = Terms { retain: Some(head.retain), ttl_ms: Some(9) };
        let stream = Once::Stream { key: "k".into(), index: 7 };
        let bodies = [
            Body::Begin { replaces: 8 },
            Body::Messages(vec![draft(Once::No, None), draft(Once::Id, Some("e\r\n")), draft(stream, None)]),
            Body::Create(terms),
            Body::Create(Terms::default()),
            Body::Delete { only_over: true },
            Body::Rest(Rest { seen: 1, life: 2, terms: Some(terms), begun: true, ..Rest::default() }),
        ];
        bodies.into_iter().map(|body| Record { head, body }).collect()
    }

    #[test]
    fn records_come_back_as_they_were() {
        for record in records() {
            assert_eq!(Record::decode(&record.encode()), Some(record));
        }
    }

    #[test]
    fn other_bytes_are_no_record() {
        for record in records() {
            let whole = record.encode();
            for length in 0..whole.len() {
                assert_ne!(Record::decode(&whole[..length]), Some(record.clone()), "{length}");
            }
        }
        assert_eq!(Record::decode(b"{\"someone\": \"else's\"}"), None);
    }
}
