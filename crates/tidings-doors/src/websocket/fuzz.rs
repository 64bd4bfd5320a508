//! Fuzz targets of WebSockets: frames in any pieces, compressed or not, and the JSON in them.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue, SEC_WEBSOCKET_EXTENSIONS};
use soketto::base::OpCode;
use tidings_core::fuzzing::pieces;

use super::decoder::{Decoder, Event, Violation};
use super::deflate::Deflate;
use super::publishing::bad_frame;
use super::{connect, frame};
use crate::fuzzing::{described, refused};
use crate::item::{Item, Loose};

/// The longest payload of a control frame (RFC 6455 section 5.5), and the longest header.
const CONTROL_BYTES_MAX: usize = 125;
const HEAD_BYTES_MAX: usize = 14;

/// What a client sends once it is upgraded. The first byte says whether compression was agreed, and how
/// large a message may be; the second, in which pieces it arrives.
pub fn websocket(data: &[u8]) {
    let [how, seed, bytes @ ..] = data else { return };
    let max = [20, 200, 4_000, 70_000][usize::from(how >> 1 & 3)];
    let deflates = how & 1 == 1;
    let whole = decode(deflates, max, [bytes]);
    assert_eq!(whole, decode(deflates, max, pieces(bytes, *seed)), "pieces change nothing");
    for event in &whole.0 {
        match event {
            Event::Text(text) => {
                assert!(std::str::from_utf8(text).is_ok() && text.len() <= max);
                echoed(OpCode::Text, text);
            }
            Event::Binary(bytes) => {
                assert!(bytes.len() <= max);
                echoed(OpCode::Binary, bytes);
            }
            Event::Ping(payload) => assert!(payload.len() <= CONTROL_BYTES_MAX),
            Event::Close(code) => assert!(code.is_none_or(|code| (1000..5000).contains(&code))),
            Event::Pong => {}
        }
    }
    echoed(OpCode::Binary, bytes);
    offered(bytes);
}

/// Events up to a violation or the end, by a decoder that stays within its bounds.
fn decode<'a>(
    deflates: bool,
    max: usize,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Event>, Option<Violation>) {
    let mut decoder = Decoder::new(max);
    decoder.inflates(deflates);
    let mut events = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            match decoder.read(piece) {
                Ok((used, event)) => {
                    assert!(used > 0 && used <= piece.len(), "it reads on");
                    assert!(event.is_some() || used == piece.len(), "it reads until something is whole");
                    events.extend(event);
                    piece = &piece[used..];
                }
                Err(violation) => return (events, Some(violation)),
            }
            assert!(decoder.held() <= max + CONTROL_BYTES_MAX + HEAD_BYTES_MAX, "held {}", decoder.held());
        }
    }
    (events, None)
}

/// What the server would send is read as what it was, compressed or not.
fn echoed(opcode: OpCode, payload: &[u8]) {
    let mut headers = HeaderMap::new();
    let offer = "permessage-deflate; server_max_window_bits=9";
    headers.insert(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(offer));
    let deflate = Deflate::negotiate(&headers).map(|(deflate, _)| deflate);
    let frames = [Some(frame::frame(opcode, payload)), deflate.map(|deflate| deflate.frame(opcode, payload))];
    for frame in frames.into_iter().flatten() {
        let (events, violation) = decode(true, payload.len(), [masked(&frame).as_slice()]);
        assert_eq!(violation, None);
        let [Event::Text(read) | Event::Binary(read)] = events.as_slice() else {
            panic!("one frame became {} events", events.len())
        };
        assert_eq!(read, payload);
    }
}

/// A frame of the server as a client could send it: masked with zeros, which changes no byte.
fn masked(frame: &[u8]) -> Vec<u8> {
    let [first, second, rest @ ..] = frame else { return Vec::new() };
    let length_bytes = match second {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let (length, payload) = rest.split_at(length_bytes);
    [&[*first, second | 0x80], length, &[0; 4], payload].concat()
}

/// An offer of compression is met or passed over; what was agreed, offered again, is agreed again.
fn offered(bytes: &[u8]) {
    let agree = |value: HeaderValue| {
        let mut headers = HeaderMap::new();
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, value);
        Deflate::negotiate(&headers)
    };
    let Some((deflate, accepted)) = HeaderValue::from_bytes(bytes).ok().and_then(agree) else { return };
    assert_eq!(agree(accepted.clone()), Some((deflate, accepted)));
}

/// The text of a frame, on a channel's own WebSocket and on `/v1/connect`.
pub fn frames(data: &[u8]) {
    let text = Bytes::copy_from_slice(data);
    match Loose::parse(&text).and_then(|loose| Item::read(&text, loose)).map_err(bad_frame) {
        Ok(item) => described(&item),
        Err(error) => refused(error.code),
    }
    connect::fuzz::request(&text);
}
