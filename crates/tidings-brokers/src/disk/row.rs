//! A message as the store keeps it: what it is sought by in columns, the rest in one value with a checksum.

use std::sync::Arc;

use bytes::Bytes;
use tidings_core::log::{Channel, Kind, Message, Payload, Position};

/// A row as it is read.
pub(super) struct Row<'a> {
    pub(super) id: i64,
    pub(super) offset: u64,
    pub(super) time_ms: u64,
    pub(super) key: Option<&'a str>,
    pub(super) value: &'a [u8],
}

const KIND: u8 = 0b11;
const HAS_EVENT: u8 = 0b100;
const HAS_FROM: u8 = 0b1000;
/// The checksum.
const SUM_BYTES: usize = 4;

/// The value of a message: checksum, flags, the texts with their lengths, the data.
pub(super) fn encode(id: i64, message: &Message) -> Vec<u8> {
    let mut value = Vec::with_capacity(32 + message.id.len() + message.payload.bytes.len());
    value.extend([0; SUM_BYTES]);
    let kind = match message.payload.kind {
        Kind::Json => 0,
        Kind::Text => 1,
        Kind::Bytes => 2,
    };
    let has = |is: bool, flag: u8| if is { flag } else { 0 };
    value.push(kind | has(message.event.is_some(), HAS_EVENT) | has(message.from.is_some(), HAS_FROM));
    for text in [Some(&*message.id), message.event.as_deref(), message.from.as_deref()].into_iter().flatten()
    {
        value.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        value.extend(text.as_bytes());
    }
    value.extend(&message.payload.bytes);
    let row = Row {
        id,
        offset: message.position.offset,
        time_ms: message.time_ms,
        key: message.key.as_deref(),
        value: &value,
    };
    let sum = row.sum().to_be_bytes();
    value[..SUM_BYTES].copy_from_slice(&sum);
    value
}

impl<'a> Row<'a> {
    /// A row of `offset, time_ms, key, value`, whatever stands in it.
    pub(super) fn of(id: i64, row: &'a rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let number = |at| row.get_ref(at).map(|value| value.as_i64().unwrap_or_default().cast_unsigned());
        Ok(Row {
            id,
            offset: number(0)?,
            time_ms: number(1)?,
            key: row.get_ref(2)?.as_str_or_null().ok().flatten(),
            value: row.get_ref(3)?.as_blob().unwrap_or_default(),
        })
    }

    /// The message, if the row is as it was written.
    pub(super) fn decode(&self, channel: &Channel, epoch: u64) -> Option<Message> {
        let (sum, rest) = self.value.split_first_chunk::<SUM_BYTES>()?;
        if u32::from_be_bytes(*sum) != self.sum() {
            return None;
        }
        let (flags, mut rest) = rest.split_first()?;
        let mut text = || -> Option<String> {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let (text, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
            rest = after;
            String::from_utf8(text.to_vec()).ok()
        };
        let id = text()?.into();
        let event = if flags & HAS_EVENT == 0 { None } else { Some(text()?.into()) };
        let from = if flags & HAS_FROM == 0 { None } else { Some(Arc::from(text()?)) };
        let kind = match flags & KIND {
            0 => Kind::Json,
            1 => Kind::Text,
            _ => Kind::Bytes,
        };
        Some(Message {
            channel: channel.clone(),
            position: Position { epoch, offset: self.offset },
            id,
            event,
            key: self.key.map(Into::into),
            payload: Payload { kind, bytes: Bytes::copy_from_slice(rest) },
            time_ms: self.time_ms,
            from,
        })
    }

    /// Of all that the row holds, but the sum itself.
    fn sum(&self) -> u32 {
        let mut sum = crc32fast::Hasher::new();
        sum.update(&self.id.to_be_bytes());
        sum.update(&self.offset.to_be_bytes());
        sum.update(&self.time_ms.to_be_bytes());
        sum.update(self.key.unwrap_or_default().as_bytes());
        sum.update(self.value.get(SUM_BYTES..).unwrap_or_default());
        sum.finalize()
    }
}
