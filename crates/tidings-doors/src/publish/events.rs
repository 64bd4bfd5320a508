//! An event stream as a body (WHATWG HTML, section 9.2.6): each event is one
//! message, so that a model's token stream can be piped in as it is.

use bytes::{Bytes, BytesMut};
use serde_json::value::RawValue;
use tidings_core::log::{Kind, Payload};
use tidings_core::{Code, Error, Result};

use super::stream::{Piece, Split};
use crate::item::check_event;

/// Splits a body into events as it arrives.
#[derive(Debug)]
pub struct Events {
    line: BytesMut,
    data: BytesMut,
    has_data: bool,
    event: Option<Box<str>>,
    began: bool,
    /// The last byte was a CR, so that an LF belongs to it.
    after_cr: bool,
    event_bytes_max: usize,
}

impl Events {
    /// Events with data of at most this many bytes.
    pub fn new(event_bytes_max: usize) -> Self {
        Events {
            line: BytesMut::new(),
            data: BytesMut::new(),
            has_data: false,
            event: None,
            began: false,
            after_cr: false,
            event_bytes_max,
        }
    }

    fn end_line(&mut self, out: &mut Vec<Piece>) -> Result<()> {
        let mut line = self.line.split().freeze();
        if !std::mem::replace(&mut self.began, true) && line.starts_with(b"\xef\xbb\xbf") {
            line = line.slice(3..);
        }
        if line.is_empty() {
            return self.dispatch(out);
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = (&line[..colon], line.get(colon + 1..).unwrap_or(b""));
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.extend_from_slice(b"\n");
                }
                self.data.extend_from_slice(value);
                if self.data.len() > self.event_bytes_max {
                    return Err(self.too_large());
                }
            }
            b"event" => {
                let event = std::str::from_utf8(value);
                let event = event.map_err(|_| Error::new(Code::BadEvent, "the event name is not UTF-8"))?;
                self.event = if event.is_empty() { None } else { Some(check_event(event)?) };
            }
            // A comment, `id`, `retry`, and what nobody knows.
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self, out: &mut Vec<Piece>) -> Result<()> {
        let event = self.event.take();
        let data = self.data.split().freeze();
        if std::mem::take(&mut self.has_data) {
            out.push(Piece { event, payload: payload(data)? });
        }
        Ok(())
    }

    fn too_large(&self) -> Error {
        Error::new(Code::TooLarge, format!("an event has more than {} bytes", self.event_bytes_max))
    }
}

impl Split for Events {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<Piece>) -> Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_cr) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            self.line.extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
            // The name and the colon of a field do not count as data.
            if self.line.len() > self.event_bytes_max + 64 {
                return Err(self.too_large());
            }
            let Some(end) = end else { return Ok(()) };
            self.after_cr = rest[end] == b'\r';
            rest = &rest[end + 1..];
            self.end_line(out)?;
        }
        Ok(())
    }

    fn is_within(&self) -> bool {
        !self.line.is_empty() || self.has_data || self.event.is_some()
    }

    /// An event that the end of the body cuts off is not published.
    fn end(&mut self, _out: &mut Vec<Piece>) -> Result<()> {
        Ok(())
    }
}

/// Data that is a JSON object or array is JSON. Anything else is text: `[DONE]`,
/// and a number too, which must not change its type in mid token stream.
fn payload(data: Bytes) -> Result<Payload> {
    let is_container = matches!(data.trim_ascii_start().first(), Some(b'{' | b'['));
    if is_container && serde_json::from_slice::<&RawValue>(&data).is_ok() {
        return Ok(Payload { kind: Kind::Json, bytes: data });
    }
    match std::str::from_utf8(&data) {
        Ok(_) => Ok(Payload { kind: Kind::Text, bytes: data }),
        Err(_) => Err(Error::new(Code::BadText, "an event is not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, piece: usize) -> Vec<(Option<String>, Kind, String)> {
        let mut events = Events::new(1_000);
        let mut out = Vec::new();
        for chunk in text.as_bytes().chunks(piece) {
            events.push(chunk, &mut out).unwrap();
        }
        events.end(&mut out).unwrap();
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        out.iter()
            .map(|p| (p.event.as_deref().map(str::to_owned), p.payload.kind, text(&p.payload.bytes)))
            .collect()
    }

    fn datas(text: &str) -> Vec<String> {
        let whole = split(text, usize::MAX);
        for piece in 1..text.len() {
            assert_eq!(split(text, piece), whole);
        }
        whole.into_iter().map(|(_, _, data)| data).collect()
    }

    #[test]
    fn the_examples_of_the_standard() {
        assert_eq!(datas("data: YHOO\ndata: +2\ndata: 10\n\n"), ["YHOO\n+2\n10"]);
        let second =
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
        assert_eq!(datas(second), ["first event", "second event", " third event"]);
        assert_eq!(datas("data\n\ndata\ndata\n\ndata:"), ["", "\n"]);
        assert_eq!(datas("data:test\n\ndata: test\n\n"), ["test", "test"]);
    }

    #[test]
    fn line_ends_and_byte_order_mark() {
        assert_eq!(datas("\u{feff}data: a\r\rdata: b\r\n\r\ndata: c\n\n"), ["a", "b", "c"]);
    }

    #[test]
    fn json_where_it_is_an_object_or_array() {
        let kinds: Vec<_> =
            split("data: {\"a\":1}\n\ndata: [DONE]\n\ndata: 42\n\ndata: [1]\n\nevent: end\ndata: x\n\n", 3);
        let kinds: Vec<_> = kinds.into_iter().map(|(event, kind, _)| (event, kind)).collect();
        let none = |kind| (None, kind);
        let end = (Some("end".to_owned()), Kind::Text);
        assert_eq!(kinds, [none(Kind::Json), none(Kind::Text), none(Kind::Text), none(Kind::Json), end]);
    }
}
