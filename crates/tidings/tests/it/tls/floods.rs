//! Floods on HTTP/2: those that end with GOAWAY, and those that are only answered. And a body that trickles.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::Secure;
use crate::node::{KEY, TestNode};
use crate::raw::soon;

/// Kinds of frames (RFC 9113 section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
/// Both flags of one meaning each: of SETTINGS and PING.
const ACK: u8 = 1;
const ENHANCE_YOUR_CALM: u8 = 11;

/// A connection whose frames are written by hand.
struct Wire {
    stream: TlsStream<TcpStream>,
    next: u32,
}

/// A frame that the node sent.
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

impl Wire {
    async fn connect(secure: &Secure) -> Self {
        let stream = secure.authority.connect(secure.node.address, &["h2"]).await;
        let mut wire = Wire { stream, next: 1 };
        wire.send(&[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &[])].concat()).await;
        wire
    }

    /// Sends, as long as it is taken.
    async fn send(&mut self, bytes: &[u8]) {
        let _ = soon("send", self.stream.write_all(bytes)).await;
        let _ = soon("send", self.stream.flush()).await;
    }

    /// A long-poll of a channel, or a page of it (RFC 7541, literals without indexing), on a stream of its own.
    fn request(&mut self, query: &str) -> (u32, Vec<u8>) {
        let stream = self.next;
        self.next += 2;
        let path = format!("/v1/channels/orders:1{query}");
        let head =
            [&[0x82, 0x87, 0x04, path.len() as u8][..], path.as_bytes(), b"\x01\x09localhost"].concat();
        // END_STREAM and END_HEADERS.
        (stream, frame(HEADERS, 0x5, stream, &head))
    }

    fn reset(&mut self) -> Vec<u8> {
        let (stream, request) = self.request("?wait=5");
        [request, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    }

    /// The next frame; `None` once the connection has ended.
    async fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        soon("a frame", self.stream.read_exact(&mut head)).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        soon("a frame", self.stream.read_exact(&mut payload)).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The code with which the node says that it ends the connection.
    async fn goaway(&mut self) -> u8 {
        loop {
            let frame = self.frame().await.expect("a GOAWAY before the end");
            if frame.kind == GOAWAY {
                return frame.payload[7];
            }
        }
    }

    /// Asks for a page, and waits for its head: the connection lives.
    async fn is_answered(&mut self) {
        let (stream, request) = self.request("");
        self.send(&request).await;
        loop {
            let frame = self.frame().await.expect("an answer");
            assert_ne!(frame.kind, GOAWAY, "{:?}", frame.payload);
            if (frame.kind, frame.stream) == (HEADERS, stream) {
                return;
            }
        }
    }
}

#[tokio::test]
async fn requests_that_are_reset_before_they_are_seen_end_the_connection() {
    let secure = Secure::usual().await;
    let beside = secure.many().await;
    let mut wire = Wire::connect(&secure).await;
    // A page that is left: a few at once, and it goes on.
    for _ in 0..20 {
        let few: Vec<u8> = (0..10).flat_map(|_| wire.reset()).collect();
        wire.send(&few).await;
        wire.is_answered().await;
    }
    let many: Vec<u8> = (0..200).flat_map(|_| wire.reset()).collect();
    wire.send(&many).await;
    assert_eq!(wire.goaway().await, ENHANCE_YOUR_CALM);
    assert!(wire.frame().await.is_none(), "and its end");
    beside.publish("orders:1", "alive").await;
    secure.reading(0).await;
}

#[tokio::test]
async fn errors_in_a_thousand_streams_end_the_connection() {
    let secure = Secure::usual().await;
    let mut wire = Wire::connect(&secure).await;
    let mut refused = 0;
    // A window that grows too large is an error of its stream (RFC 9113 section 6.9.1).
    for _ in 0..1_100 / 10 {
        let ten = (0..10).flat_map(|_| {
            let (stream, request) = wire.request("?wait=5");
            [request, frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff])].concat()
        });
        let ten: Vec<u8> = ten.collect();
        wire.send(&ten).await;
        let mut reset = 0;
        while reset < 10 {
            let Some(frame) = wire.frame().await else { panic!("an end after {refused} errors") };
            if frame.kind == GOAWAY {
                assert_eq!(frame.payload[7], ENHANCE_YOUR_CALM);
                assert!((1_000..1_100).contains(&refused), "{refused}");
                return;
            }
            reset += usize::from(frame.kind == RST_STREAM);
        }
        refused += reset;
    }
    panic!("{refused} errors, and no end");
}

/// Nothing bounds their number but their price: each is answered, and the connection serves on.
#[tokio::test]
async fn pings_and_settings_are_answered() {
    let secure = Secure::usual().await;
    let mut wire = Wire::connect(&secure).await;
    for flood in [frame(PING, 0, 0, &[7; 8]), frame(SETTINGS, 0, 0, &[])] {
        for _ in 0..20 {
            wire.send(&flood.repeat(100)).await;
            let mut acknowledged = 0;
            while acknowledged < 100 {
                let frame = wire.frame().await.expect("an answer");
                assert_ne!(frame.kind, GOAWAY);
                acknowledged += usize::from(frame.kind == flood[3] && frame.flags & ACK != 0);
            }
        }
        wire.is_answered().await;
    }
}

/// Who takes no answers is not read on: what waits for it has a bound.
#[tokio::test]
async fn pings_whose_answers_nobody_takes_wait_in_the_network() {
    let secure = Secure::usual().await;
    let mut wire = Wire::connect(&secure).await;
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(4_000);
    let mut sent = 0;
    let send = async |wire: &mut Wire| {
        tokio::time::timeout(Duration::from_secs(1), wire.stream.write_all(&pings)).await.is_ok()
    };
    while send(&mut wire).await {
        sent += pings.len();
        assert!(sent < 256 << 20, "{sent} bytes of pings were read, and no answer was");
    }
    secure.many().await.publish("orders:1", "alive").await;
}

/// A stream ends for it, and no other on the connection.
#[tokio::test]
async fn a_body_that_trickles_is_refused() {
    let plan = TestNode::new().namespace("orders", |n| n).set("limits.body_time = \"500ms\"");
    let secure = Secure::run(plan).await;
    let mut wire = Wire::connect(&secure).await;
    let (path, bearer) = ("/v1/channels/orders:1", format!("Bearer {KEY}"));
    let head = [
        &[0x83, 0x87, 0x04, path.len() as u8][..],
        path.as_bytes(),
        b"\x01\x09localhost\x0f\x10\x0atext/plain\x0f\x08",
        &[bearer.len() as u8],
        bearer.as_bytes(),
    ];
    wire.send(&frame(HEADERS, 0x4, 1, &head.concat())).await;
    wire.next = 3;
    let mut answer = String::new();
    while !answer.contains("body-incomplete") {
        wire.send(&frame(DATA, 0, 1, b"x")).await;
        let next = tokio::time::timeout(Duration::from_millis(30), wire.stream.read_u8());
        let Ok(Ok(first)) = next.await else { continue };
        let mut rest = [0; 8];
        soon("a frame", wire.stream.read_exact(&mut rest)).await.unwrap();
        let mut payload = vec![0; u32::from_be_bytes([0, first, rest[0], rest[1]]) as usize];
        soon("a frame", wire.stream.read_exact(&mut payload)).await.unwrap();
        assert_ne!(rest[2], GOAWAY, "{payload:?}");
        if rest[2] == DATA {
            answer += &String::from_utf8_lossy(&payload);
        }
    }
    wire.is_answered().await;
    wire.is_answered().await;
}
