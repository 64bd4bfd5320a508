//! Frames that the server sends (RFC 6455 section 5.2). A server does not mask.

use bytes::{BufMut, Bytes, BytesMut};
use soketto::base::{Codec, Header, OpCode};

/// One unfragmented frame.
pub fn frame(opcode: OpCode, payload: &[u8]) -> Bytes {
    with(Header::new(opcode), payload)
}

/// One unfragmented frame whose payload is compressed (RFC 7692 section 6).
pub fn compressed(opcode: OpCode, payload: &[u8]) -> Bytes {
    let mut header = Header::new(opcode);
    header.set_rsv1(true);
    with(header, payload)
}

fn with(mut header: Header, payload: &[u8]) -> Bytes {
    header.set_fin(true).set_payload_len(payload.len());
    let mut codec = Codec::new();
    let head = codec.encode_header(&header);
    let mut out = BytesMut::with_capacity(head.len() + payload.len());
    out.put_slice(head);
    out.put_slice(payload);
    out.freeze()
}

/// A text frame.
pub fn text(payload: &[u8]) -> Bytes {
    frame(OpCode::Text, payload)
}

/// A close frame: a code, and a reason of at most 123 bytes (section 5.5).
pub fn close(code: u16, reason: &str) -> Bytes {
    let mut payload = code.to_be_bytes().to_vec();
    let fits = (0..=reason.len().min(123)).rev().find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
    payload.extend_from_slice(&reason.as_bytes()[..fits]);
    frame(OpCode::Close, &payload)
}

/// The answer to a close frame: its own code, if it had one (section 5.5.1).
pub fn answer_close(code: Option<u16>) -> Bytes {
    match code {
        Some(code) => close(code, ""),
        None => frame(OpCode::Close, b""),
    }
}
