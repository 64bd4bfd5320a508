//! What comes down a subscriber's socket: WebSocket frames or SSE events, cut out of the bytes.

use clap::ValueEnum;
use serde::Serialize;

use super::inflate::Inflater;
use super::mark::{Finder, Mark};

/// How subscribers read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// WebSocket.
    Ws,
    /// Server-sent events over HTTP/1.1.
    Sse,
}

/// What one read brought. It is kept and reused, so that reading allocates nothing.
#[derive(Debug, Default)]
pub struct Got {
    /// The marks of this run's messages, in order.
    pub marks: Vec<Mark>,
    /// How many gaps were announced.
    pub gaps: u64,
    /// How many messages were not of this run.
    pub foreign: u64,
    /// Whether the greeting came: from here on nothing may be lost.
    pub greeted: bool,
    /// The payload of a ping that wants its pong.
    pub ping: Option<Vec<u8>>,
    /// What the server said when it ended the connection.
    pub end: Option<String>,
    inflater: Inflater,
}

/// The bytes of one subscriber's stream that are not yet a whole frame or event.
#[derive(Debug)]
pub struct Stream {
    transport: Transport,
    chunk: Option<Chunk>,
    rest: Vec<u8>,
}

/// A frame of a WebSocket.
struct Frame<'a> {
    opcode: u8,
    is_compressed: bool,
    payload: &'a [u8],
    /// With its head.
    length: usize,
}

/// Where a chunked body stands.
#[derive(Debug, Clone, Copy)]
enum Chunk {
    /// In the line that gives the length; whether its digits are over.
    Size { so_far: usize, over: bool },
    /// In the data, so many bytes before its end.
    Data(usize),
    /// In the line end after the data.
    After,
}

impl Got {
    /// Forgets what the last read brought.
    pub fn clear(&mut self) {
        self.marks.clear();
        self.gaps = 0;
        self.foreign = 0;
        self.greeted = false;
        self.ping = None;
        self.end = None;
    }

    fn frame(&mut self, frame: &Frame<'_>, finder: &mut Finder) {
        if !frame.is_compressed {
            return self.message(frame.opcode, frame.payload, finder);
        }
        let mut inflater = std::mem::take(&mut self.inflater);
        match inflater.inflate(frame.payload) {
            Some(text) => self.message(frame.opcode, text, finder),
            None => self.end(b"a compressed frame is none"),
        }
        self.inflater = inflater;
    }

    fn message(&mut self, opcode: u8, payload: &[u8], finder: &mut Finder) {
        match opcode {
            1 if payload.starts_with(b"{\"subscribed\"") => self.greeted = true,
            1 if payload.starts_with(b"{\"gap\"") => self.gaps += 1,
            1 if payload.starts_with(b"{\"error\"") || payload.starts_with(b"{\"end\"") => self.end(payload),
            1 => match finder.find(payload) {
                Some(mark) => self.marks.push(mark),
                None => self.foreign += 1,
            },
            // A close begins with two bytes of code; its reason is what a person wants to read.
            8 => self.end(payload.get(2..).unwrap_or_default()),
            9 => self.ping = Some(payload.to_vec()),
            _ => {}
        }
    }

    fn event(&mut self, block: &[u8], finder: &mut Finder) {
        if let Some(mark) = finder.find(block) {
            self.marks.push(mark);
            return;
        }
        let mut lines = block.split(|byte| *byte == b'\n');
        if lines.clone().any(|line| line == b"event: tidings.gap") {
            self.gaps += 1;
        } else if lines.clone().any(|line| line.starts_with(b"data:")) {
            self.foreign += 1;
        } else if lines.any(|line| line.starts_with(b"id:")) {
            self.greeted = true;
        }
    }

    fn end(&mut self, reason: &[u8]) {
        self.end = Some(String::from_utf8_lossy(reason).into_owned());
    }
}

impl Stream {
    /// A stream that begins after the response head.
    pub fn new(transport: Transport, chunked: bool) -> Self {
        let chunk = chunked.then_some(Chunk::Size { so_far: 0, over: false });
        Self { transport, chunk, rest: Vec::new() }
    }

    /// Cuts `bytes`, after what was left of earlier ones, into what they mean.
    pub fn feed(&mut self, bytes: &[u8], finder: &mut Finder, got: &mut Got) {
        if self.chunk.is_some() {
            self.unchunk(bytes, got);
        } else if self.rest.is_empty() {
            let used = cut(self.transport, bytes, finder, got);
            self.rest.extend_from_slice(&bytes[used..]);
            return;
        } else {
            self.rest.extend_from_slice(bytes);
        }
        let used = cut(self.transport, &self.rest, finder, got);
        self.rest.drain(..used);
    }

    fn unchunk(&mut self, mut bytes: &[u8], got: &mut Got) {
        while let (Some(state), [first, tail @ ..]) = (self.chunk, bytes) {
            self.chunk = Some(match state {
                Chunk::Size { so_far: 0, over } if *first == b'\n' && over => {
                    got.end(b"the body ended");
                    return;
                }
                Chunk::Size { so_far, .. } if *first == b'\n' => Chunk::Data(so_far),
                Chunk::Size { so_far, over } => match char::from(*first).to_digit(16) {
                    Some(digit) if !over => Chunk::Size { so_far: so_far << 4 | digit as usize, over },
                    _ => Chunk::Size { so_far, over: true },
                },
                Chunk::Data(left) => {
                    let now = left.min(bytes.len());
                    self.rest.extend_from_slice(&bytes[..now]);
                    bytes = &bytes[now..];
                    self.chunk = Some(if now == left { Chunk::After } else { Chunk::Data(left - now) });
                    continue;
                }
                Chunk::After if *first == b'\n' => Chunk::Size { so_far: 0, over: false },
                Chunk::After => Chunk::After,
            });
            bytes = tail;
        }
    }
}

/// Takes every whole frame or event from the front, and says how many bytes they were.
fn cut(transport: Transport, bytes: &[u8], finder: &mut Finder, got: &mut Got) -> usize {
    let mut used = 0;
    match transport {
        Transport::Ws => {
            while let Some(frame) = frame(&bytes[used..]) {
                got.frame(&frame, finder);
                used += frame.length;
            }
        }
        Transport::Sse => {
            while let Some(length) = event(&bytes[used..]) {
                got.event(&bytes[used..used + length], finder);
                used += length;
            }
        }
    }
    used
}

/// The first frame, unmasked as a server's frames are.
fn frame(bytes: &[u8]) -> Option<Frame<'_>> {
    let first = bytes.first()?;
    let (head, length) = match bytes.get(1)? & 127 {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, usize::from(short)),
    };
    let end = length.checked_add(head)?;
    let payload = bytes.get(head..end)?;
    Some(Frame { opcode: first & 15, is_compressed: first & 0x40 != 0, payload, length: end })
}

/// The length of the first event with the empty line that ends it.
fn event(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let line_end = from + bytes.get(from..)?.iter().position(|byte| *byte == b'\n')?;
        if bytes.get(line_end + 1)? == &b'\n' {
            return Some(line_end + 2);
        }
        from = line_end + 1;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Feeds `bytes` in pieces of every size; each must mean the same.
    fn check(transport: Transport, chunked: bool, bytes: &[u8], want: &[u32]) {
        for size in 1..=bytes.len() {
            let mut stream = Stream::new(transport, chunked);
            let (mut got, mut finder) = (Got::default(), Finder::new(1));
            bytes.chunks(size).for_each(|piece| stream.feed(piece, &mut finder, &mut got));
            let seqs: Vec<u32> = got.marks.iter().map(|mark| mark.seq).collect();
            assert_eq!(seqs, want, "{transport:?} in pieces of {size}");
            assert!(got.greeted);
            assert_eq!((got.gaps, got.foreign), (1, 1));
        }
    }

    fn text(seq: u32) -> Vec<u8> {
        let mut text = Vec::new();
        Mark { slot: 0, seq, time_ns: 9 }.write(1, &mut text);
        text
    }

    #[test]
    fn frames_are_cut_wherever_the_reads_end() {
        let mut bytes = Vec::new();
        let long = [text(6), vec![b'x'; 200]].concat();
        let frames: [&[u8]; 5] = [b"{\"subscribed\":{}}", &text(5), b"{\"gap\":{}}", b"{\"data\":1}", &long];
        for payload in frames {
            bytes.push(0x81);
            match u8::try_from(payload.len()) {
                Ok(short) if short < 126 => bytes.push(short),
                _ => bytes.extend([126, 0, payload.len() as u8]),
            }
            bytes.extend(payload);
        }
        check(Transport::Ws, false, &bytes, &[5, 6]);
    }

    #[test]
    fn compressed_frames_are_messages_too() {
        let mut bytes = b"\x81\x0e{\"subscribed\"}\x81\x07{\"gap\"}\x81\x01x".to_vec();
        for seq in [5, 6] {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&text(seq)).expect("memory takes all");
            encoder.flush().expect("memory takes all");
            // Without the tail of a flush (RFC 7692 section 7.2.1).
            let payload = encoder.get_ref().strip_suffix(&[0, 0, 0xff, 0xff]).expect("it was flushed");
            bytes.extend([0xc1, payload.len() as u8]);
            bytes.extend(payload);
        }
        check(Transport::Ws, false, &bytes, &[5, 6]);
    }

    fn events() -> Vec<u8> {
        let mut bytes = b"retry: 1000\nid: a\n\n: tidings 1\n\nid: b\ndata: ".to_vec();
        bytes.extend(text(5));
        bytes.extend(b"\n\nevent: tidings.gap\nid: c\ndata: {}\n\nid: d\ndata: 1\n\nid: e\ndata: ");
        bytes.extend(text(6));
        bytes.extend(b"\n\n");
        bytes
    }

    #[test]
    fn events_are_cut_wherever_the_reads_end() {
        check(Transport::Sse, false, &events(), &[5, 6]);
    }

    #[test]
    fn chunked_events_are_cut_too() {
        let mut bytes = Vec::new();
        for piece in events().chunks(37) {
            bytes.extend(format!("{:x};a=1\r\n", piece.len()).bytes());
            bytes.extend(piece);
            bytes.extend(b"\r\n");
        }
        check(Transport::Sse, true, &bytes, &[5, 6]);
    }

    #[test]
    fn the_end_of_a_chunked_body_is_an_end() {
        let mut stream = Stream::new(Transport::Sse, true);
        let mut got = Got::default();
        stream.feed(b"2\r\n\n\n\r\n0\r\n\r\n", &mut Finder::new(1), &mut got);
        assert_eq!(got.end.as_deref(), Some("the body ended"));
    }

    #[test]
    fn a_close_says_why() {
        let mut got = Got::default();
        let mut stream = Stream::new(Transport::Ws, false);
        stream.feed(b"\x88\x04\x0f\xa2ab\x89\x01p", &mut Finder::new(1), &mut got);
        assert_eq!(got.end.as_deref(), Some("ab"));
        assert_eq!(got.ping.as_deref(), Some(&b"p"[..]));
    }
}
