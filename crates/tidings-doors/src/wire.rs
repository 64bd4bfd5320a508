//! Messages and gaps as JSON, the same on every transport.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::{BufMut, BytesMut};
use serde::Serialize;
use tidings_core::log::{Gap, Kind, Message, Position};
use tidings_core::{Channel, Cursor, Read};

/// The event name of a message that has none.
pub const MESSAGE: &str = "message";

/// Appends the full message: `{"channel","cursor","id","event",…,"data"}`.
pub fn message(out: &mut BytesMut, message: &Message) {
    before_data(out, message);
    data(out, message);
    out.put_u8(b'}');
}

/// A message in three parts, so that JSON data need not be copied: what stands before and behind it.
pub fn before_data(out: &mut BytesMut, message: &Message) {
    out.put_slice(b"{\"channel\":\"");
    // Channel names and cursors hold nothing that JSON escapes.
    out.put_slice(message.channel.as_str().as_bytes());
    out.put_slice(b"\",\"cursor\":\"");
    out.put_slice(&Cursor::part(message.channel.tag(), message.position));
    out.put_slice(b"\",\"id\":");
    text(out, &message.id);
    out.put_slice(b",\"event\":");
    text(out, message.event.as_deref().unwrap_or(MESSAGE));
    if let Some(key) = &message.key {
        out.put_slice(b",\"key\":");
        text(out, key);
    }
    if let Some(from) = &message.from {
        out.put_slice(b",\"from\":");
        text(out, from);
    }
    out.put_slice(b",\"time\":\"");
    put(out, time(message.time_ms));
    out.put_u8(b'"');
    if message.payload.kind == Kind::Bytes {
        out.put_slice(b",\"encoding\":\"base64\"");
    }
    out.put_slice(b",\"data\":");
}

/// Appends the data of a message as a JSON value.
pub fn data(out: &mut BytesMut, message: &Message) {
    let bytes = &message.payload.bytes;
    match message.payload.kind {
        Kind::Json => out.put_slice(bytes),
        Kind::Text => text(out, &readable(bytes)),
        Kind::Bytes => {
            out.put_u8(b'"');
            base64(out, bytes);
            out.put_u8(b'"');
        }
    }
}

/// Bytes that were checked to be UTF-8 when they came, as text.
pub fn readable(bytes: &[u8]) -> Cow<'_, str> {
    // The lossy way looks at one character after the other, which is an order slower.
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Appends bytes as base64 (RFC 4648 section 4, padded).
pub fn base64(out: &mut BytesMut, bytes: &[u8]) {
    out.put_slice(BASE64_STANDARD.encode(bytes).as_bytes());
}

/// Appends a string with its quotes.
pub fn text(out: &mut BytesMut, text: &str) {
    // Writing to memory cannot fail.
    let _ = serde_json::to_writer((&mut *out).writer(), text);
}

/// The bytes that [`text`] appends.
pub fn text_len(text: &str) -> usize {
    // RFC 8259 section 7, as serde_json has it: two bytes where there is a short form, else six. Without a branch and
    // in small sums, which a processor counts sixteen at a time: a page may have megabytes of text.
    let more = |byte: &u8| {
        let is_control = u8::from(*byte < 0x20);
        let is_short = u8::from(matches!(*byte, 0x08 | 0x09 | 0x0a | 0x0c | 0x0d));
        let is_quoted = u8::from(*byte == b'"') + u8::from(*byte == b'\\');
        5 * is_control - 4 * is_short + is_quoted
    };
    let sums = text.as_bytes().chunks(u8::MAX as usize / 5).map(|part| part.iter().map(more).sum::<u8>());
    text.len() + 2 + sums.map(usize::from).sum::<usize>()
}

/// RFC 3339 with milliseconds.
pub fn time(ms: u64) -> impl std::fmt::Display {
    // A clock beyond the year 9999 is no clock.
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(ms.min(253_402_300_799_999)))
}

/// A gap as it goes out.
#[derive(Debug, Serialize)]
pub struct GapReport {
    channel: String,
    after: Option<String>,
    until: String,
    why: &'static str,
    missed: Option<u64>,
}

impl GapReport {
    /// The report of a gap in a channel.
    pub fn new(channel: &Channel, gap: &Gap) -> Self {
        GapReport {
            channel: channel.to_string(),
            after: gap.after.map(|after| Cursor::one(channel, after).to_string()),
            until: Cursor::one(channel, gap.until).to_string(),
            why: gap.why.as_str(),
            missed: gap.missed,
        }
    }

    /// As JSON text.
    pub fn to_json(&self) -> String {
        // A struct of strings and numbers always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The end of a channel as it goes out: `{"channel","cursor"}`.
#[derive(Debug, Clone, Serialize)]
pub struct EndReport {
    channel: String,
    cursor: String,
}

impl EndReport {
    /// The report that a channel ends before this place.
    pub fn new(channel: &Channel, end: Position) -> Self {
        EndReport { channel: channel.to_string(), cursor: Cursor::one(channel, end).to_string() }
    }

    /// As JSON text.
    pub fn to_json(&self) -> String {
        // A struct of strings always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What stands in a page for the channels that end in it; nothing where none does.
pub fn ended(read: &Read) -> String {
    if read.ended.is_empty() {
        return String::new();
    }
    let ended: Vec<_> = read.ended.iter().map(|(channel, end)| EndReport::new(channel, *end)).collect();
    // Structs of strings always serialise.
    format!(",\"ended\":{}", serde_json::to_string(&ended).unwrap_or_default())
}

fn put(out: &mut BytesMut, value: impl std::fmt::Display) {
    // Writing to memory cannot fail.
    let _ = write!(out, "{value}");
}

/// Reads a JSON object. A derived reader takes the fields from an array as well, in an order that nobody was told.
///
/// # Errors
///
/// What is wrong with it.
pub fn object<'a, T: serde::Deserialize<'a>>(text: &'a [u8]) -> serde_json::Result<T> {
    match text.trim_ascii_start().first() {
        Some(b'[') => Err(serde::de::Error::custom("it is an array, and no object")),
        _ => serde_json::from_slice(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use tidings_core::log::Payload;

    fn json(kind: Kind, bytes: &'static [u8]) -> String {
        let mut out = BytesMut::new();
        let payload = Payload { kind, bytes: Bytes::from_static(bytes) };
        message(
            &mut out,
            &Message {
                channel: Channel::parse("orders:42").unwrap(),
                position: Position { epoch: 1, offset: 2 },
                id: "a\"b".into(),
                event: None,
                key: Some("k".into()),
                payload,
                time_ms: 1_700_000_000_123,
                from: Some("alice".into()),
            },
        );
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn a_length_is_that_of_what_is_written() {
        let all: String = (0..0x3000).filter_map(char::from_u32).collect();
        for one in ["", "a", "\u{7f}\u{2028}\u{1f600}", &all] {
            let mut out = BytesMut::new();
            text(&mut out, one);
            assert_eq!(text_len(one), out.len());
        }
    }

    #[test]
    fn the_full_message() {
        let cursor = "S_4a9q22rlAAAAAAAAAAAQAAAAAAAAAC";
        assert_eq!(
            json(Kind::Json, b"{\"n\": 1.00}"),
            format!(
                "{{\"channel\":\"orders:42\",\"cursor\":\"{cursor}\",\"id\":\"a\\\"b\",\"event\":\"message\",\"key\":\"k\",\
                 \"from\":\"alice\",\"time\":\"2023-11-14T22:13:20.123Z\",\"data\":{{\"n\": 1.00}}}}"
            )
        );
        assert!(json(Kind::Text, b"a\nb").ends_with("\"data\":\"a\\nb\"}"));
        assert!(json(Kind::Bytes, &[0xff, 0]).ends_with("\"encoding\":\"base64\",\"data\":\"/wA=\"}"));
    }
}
