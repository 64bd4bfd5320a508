//! Messages and gaps as events.

use bytes::{BufMut, Bytes, BytesMut};
use tidings_core::log::{Gap, Kind, Message, Position};
use tidings_core::{Channel, Cursor, Slot};

use crate::wire::{self, EndReport, GapReport};

/// What stands in `data:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The data of the message alone, and its cursor as the `id:`: one channel.
    Data,
    /// The full message; the `id:` is a composite that stands apart, since it differs for each connection.
    Full,
}

impl Form {
    /// The slot of its encoding.
    pub fn slot(self) -> Slot {
        match self {
            Form::Data => Slot(1),
            Form::Full => Slot(2),
        }
    }
}

/// A message as an event. In the full form its `id:` line is missing, to be written before it.
pub fn event(form: Form, message: &Message) -> Bytes {
    let mut out = BytesMut::with_capacity(256 + message.payload.bytes.len());
    if form == Form::Data {
        out.put_slice(b"id: ");
        out.put_slice(&Cursor::part(message.channel.tag(), message.position));
        out.put_u8(b'\n');
    }
    if let Some(event) = message.event.as_deref().filter(|event| *event != wire::MESSAGE) {
        out.put_slice(b"event: ");
        out.put_slice(event.as_bytes());
        out.put_u8(b'\n');
    }
    match (form, message.payload.kind) {
        (Form::Data, Kind::Bytes) => {
            out.put_slice(b"data: ");
            wire::base64(&mut out, &message.payload.bytes);
            out.put_u8(b'\n');
        }
        (Form::Data, Kind::Json | Kind::Text) => lines(&mut out, &message.payload.bytes),
        (Form::Full, _) => {
            let mut json = BytesMut::with_capacity(256 + message.payload.bytes.len());
            wire::message(&mut json, message);
            lines(&mut out, &json);
        }
    }
    out.put_u8(b'\n');
    out.freeze()
}

/// A gap as an event, with the cursor to go on from.
pub fn gap(channel: &Channel, gap: &Gap, cursor: &Cursor) -> Bytes {
    format!("event: tidings.gap\nid: {cursor}\ndata: {}\n\n", GapReport::new(channel, gap).to_json()).into()
}

/// The end of a channel as an event, with the cursor to come back with.
pub fn end(channel: &Channel, end: Position, cursor: &Cursor) -> Bytes {
    format!("event: tidings.end\nid: {cursor}\ndata: {}\n\n", EndReport::new(channel, end).to_json()).into()
}

/// The private line of a connection over several channels.
pub fn id(cursor: &Cursor) -> Bytes {
    format!("id: {cursor}\n").into()
}

/// One `data:` line for each line; a line ends with CRLF, LF or CR.
fn lines(out: &mut BytesMut, text: &[u8]) {
    let mut rest = text;
    loop {
        out.put_slice(b"data: ");
        let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
            out.put_slice(rest);
            out.put_u8(b'\n');
            return;
        };
        out.put_slice(&rest[..end]);
        out.put_u8(b'\n');
        let ending = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[end + ending..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_line_end_makes_a_line() {
        let text = |bytes: &[u8]| {
            let mut out = BytesMut::new();
            lines(&mut out, bytes);
            String::from_utf8(out.to_vec()).unwrap()
        };
        assert_eq!(text(b""), "data: \n");
        assert_eq!(text(b"a"), "data: a\n");
        assert_eq!(text(b"a\nb\r\nc\rd"), "data: a\ndata: b\ndata: c\ndata: d\n");
        assert_eq!(text(b"a\n"), "data: a\ndata: \n");
        assert_eq!(text(b"\n\r"), "data: \ndata: \ndata: \n");
    }
}
