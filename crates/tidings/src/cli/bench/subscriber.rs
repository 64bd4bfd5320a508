//! One subscriber: a socket, and how far it has come.

use std::io::{ErrorKind, Read, Write};

use super::failure;
use super::link::Link;
use super::mark::Finder;
use super::plan::Plan;
use super::stream::{Got, Stream, Transport};

/// The answer to the key in [`Plan::subscribe`], from RFC 6455 section 1.3.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// A response head longer than this is not one.
const HEAD_MAX: usize = 16 * 1024;

/// One subscriber.
#[derive(Debug)]
pub struct Subscriber {
    /// Its socket, to be watched.
    pub socket: Link,
    /// Its channel's place in the plan.
    pub channel: usize,
    /// Its own place among the channel's subscribers.
    pub place: usize,
    /// Folded from the numbers of its messages: equal for all that saw the same messages in one order.
    pub order: u64,
    /// Whether the server has greeted it: from then on nothing may be lost.
    pub live: bool,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// What came of it, and whether compression is to be agreed in it.
    Head(Vec<u8>, bool),
    Body(Stream),
}

impl Subscriber {
    /// Connects and asks; the answer is read later.
    pub fn connect(plan: &Plan, channel: usize, place: usize) -> anyhow::Result<Self> {
        let mut socket = Link::connect(&plan.server)?;
        socket.write_all(plan.subscribe(channel).as_bytes())?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            channel,
            place,
            order: 0,
            live: false,
            phase: Phase::Head(Vec::new(), plan.deflate),
        })
    }

    /// Reads once into `buffer`, and says what that meant and how many bytes it was.
    pub fn read(
        &mut self,
        transport: Transport,
        buffer: &mut [u8],
        finder: &mut Finder,
        got: &mut Got,
    ) -> anyhow::Result<usize> {
        got.clear();
        let bytes = match self.socket.read(buffer) {
            Ok(0) => return Err(ended("without a word")),
            Ok(length) => &buffer[..length],
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(0);
            }
            Err(error) => return Err(ended(&error.to_string())),
        };
        match &mut self.phase {
            Phase::Body(stream) => stream.feed(bytes, finder, got),
            Phase::Head(head, deflate) => {
                head.extend_from_slice(bytes);
                if let Some(length) = head.windows(4).position(|end| end == b"\r\n\r\n") {
                    let mut stream = accept(transport, *deflate, head, length)?;
                    stream.feed(&head[length + 4..], finder, got);
                    self.phase = Phase::Body(stream);
                } else if head.len() > HEAD_MAX {
                    return Err(refused(head));
                }
            }
        }
        self.live |= got.greeted;
        for mark in &got.marks {
            self.order = self.order.wrapping_mul(0x100_0000_01b3) ^ u64::from(mark.seq);
        }
        if let Some(payload) = got.ping.take() {
            self.pong(&payload)?;
        }
        match got.end.take() {
            Some(reason) => Err(ended(&reason)),
            None => Ok(bytes.len()),
        }
    }

    /// Answers a ping. A client's frames are masked; a key of zeros leaves the payload as it is.
    fn pong(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        let mut frame = vec![0x8a, 0x80 | (payload.len() as u8 & 127), 0, 0, 0, 0];
        frame.extend_from_slice(payload);
        self.socket.write_all(&frame).map_err(|error| ended(&error.to_string()))
    }
}

fn accept(transport: Transport, deflate: bool, head: &[u8], length: usize) -> anyhow::Result<Stream> {
    let text = std::str::from_utf8(&head[..length]).map_err(|_| refused(head))?;
    let has = |name: &str, value: &str| {
        text.lines()
            .filter_map(|line| line.split_once(':'))
            .any(|(key, found)| key.eq_ignore_ascii_case(name) && found.trim().eq_ignore_ascii_case(value))
    };
    let status = text.split(' ').nth(1);
    let right = match transport {
        Transport::Ws => status == Some("101") && has("sec-websocket-accept", ACCEPT),
        Transport::Sse => status == Some("200"),
    };
    if !right {
        return Err(refused(head));
    }
    let agreed = |value: &str| value.trim().starts_with("permessage-deflate; server_no_context_takeover");
    let has_agreed = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .any(|(key, value)| key.eq_ignore_ascii_case("sec-websocket-extensions") && agreed(value));
    if deflate && !has_agreed {
        return Err(failure(
            "the server compresses no WebSocket messages".into(),
            "set `[websocket] deflate = true` in its configuration",
        ));
    }
    Ok(Stream::new(transport, has("transfer-encoding", "chunked")))
}

fn refused(head: &[u8]) -> anyhow::Error {
    let text = String::from_utf8_lossy(&head[..head.len().min(2048)]);
    let status = text.lines().next().unwrap_or_default();
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body.trim());
    failure(
        format!("the server refused a subscriber: {status} {body}"),
        "a --channel in a declared namespace, or a --token that may read it",
    )
}

fn ended(reason: &str) -> anyhow::Error {
    failure(
        format!("the server ended a subscriber's connection: {reason}"),
        "look into the server's log; fewer --subscribers if it was at its limit",
    )
}
