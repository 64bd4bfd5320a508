//! A message as the server keeps it, and as it is announced.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use tidings_core::broker::BrokerError;
use tidings_core::log::{Channel, Draft, Kind, Message, Payload, Position};

use super::epoch::{Epoch, life_of};

/// What a step of a channel tells its followers.
#[derive(Debug)]
pub(super) struct Announcement {
    /// The life of the channel's bucket.
    pub(super) life: u64,
    /// How much the bucket had stored by then.
    pub(super) count: u64,
    /// The epoch of the channel.
    pub(super) epoch: u64,
    /// What was stored. Nothing: something else has changed.
    pub(super) messages: Vec<Arc<Message>>,
}

const KIND: u8 = 0b11;
const HAS_EVENT: u8 = 0b100;
const HAS_KEY: u8 = 0b1000;
const HAS_FROM: u8 = 0b1_0000;
const IS_END: u8 = 0b10_0000;

/// The value of a draft: flags, the texts with their lengths, the data.
pub(super) fn encode(draft: &Draft) -> Vec<u8> {
    let mut value = Vec::with_capacity(32 + draft.id.len() + draft.payload.bytes.len());
    let kind = match draft.payload.kind {
        Kind::Json => 0,
        Kind::Text => 1,
        Kind::Bytes => 2,
    };
    let has = |is: bool, flag: u8| if is { flag } else { 0 };
    value.push(
        kind | has(draft.event.is_some(), HAS_EVENT)
            | has(draft.key.is_some(), HAS_KEY)
            | has(draft.from.is_some(), HAS_FROM)
            | has(draft.is_end(), IS_END),
    );
    let texts = [Some(&*draft.id), draft.event.as_deref(), draft.key.as_deref(), draft.from.as_deref()];
    for text in texts.into_iter().flatten() {
        value.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        value.extend(text.as_bytes());
    }
    value.extend(&draft.payload.bytes);
    value
}

/// The message of a value. Its data is a part of the value's bytes, which are not copied.
pub(super) fn decode(
    channel: &Channel,
    position: Position,
    time_ms: u64,
    value: Bytes,
) -> Result<Message, BrokerError> {
    parse(channel, position, time_ms, value).ok_or_else(|| {
        BrokerError::Corrupt(format!(
            "message {} of {channel} is not as a node writes it; see whether something else uses these keys, and \
             choose another broker.prefix",
            position.offset
        ))
    })
}

fn parse(channel: &Channel, position: Position, time_ms: u64, mut rest: Bytes) -> Option<Message> {
    let flags = rest.try_get_u8().ok()?;
    let mut text = |flag: u8| -> Option<Option<String>> {
        if flag != 0 && flags & flag == 0 {
            return Some(None);
        }
        let length = usize::try_from(rest.try_get_u32().ok()?).ok()?;
        let text = (length <= rest.len()).then(|| rest.split_to(length))?;
        String::from_utf8(text.into()).ok().map(Some)
    };
    let id = text(0)??;
    let (event, key, from) = (text(HAS_EVENT)?, text(HAS_KEY)?, text(HAS_FROM)?);
    if flags & IS_END != 0 {
        return Some(Message::end(channel.clone(), position, time_ms));
    }
    let kind = match flags & KIND {
        0 => Kind::Json,
        1 => Kind::Text,
        _ => Kind::Bytes,
    };
    Some(Message {
        channel: channel.clone(),
        position,
        id: id.into(),
        event: event.map(Into::into),
        key: key.map(Into::into),
        payload: Payload { kind, bytes: rest },
        time_ms,
        from: from.map(Into::into),
    })
}

impl Announcement {
    /// An announcement as the scripts write it; `None` if it is none.
    pub(super) fn parse(channel: &Channel, mut rest: Bytes) -> Option<Self> {
        let head = line(&mut rest)?;
        let mut words = head.split(' ');
        let (life, seed) = (words.next()?, words.next()?);
        let count = words.next()?.parse().ok()?;
        let epoch = Epoch { life, seed }.number();
        let mut messages = Vec::new();
        while !rest.is_empty() {
            let head = line(&mut rest)?;
            let mut words = head.split(' ').map(str::parse::<u64>);
            let mut word = || words.next()?.ok();
            let (offset, time_ms, length) = (word()?, word()?, usize::try_from(word()?).ok()?);
            let value = (length <= rest.len()).then(|| rest.split_to(length))?;
            let message = parse(channel, Position { epoch, offset }, time_ms, value)?;
            messages.push(Arc::new(message));
        }
        Some(Announcement { life: life_of(life), count, epoch, messages })
    }
}

/// Takes a line of words off the front.
fn line(rest: &mut Bytes) -> Option<String> {
    let length = rest.iter().take(512).position(|byte| *byte == b'\n')?;
    let line = rest.split_to(length);
    rest.advance(1);
    String::from_utf8(line.into()).ok()
}
