//! Frames that a client sends (RFC 6455 section 5), read without I/O.
//!
//! The rules of a header (reserved bits and opcodes, control frames, lengths)
//! and the masking come from soketto; what is added here is the joining of
//! fragments, the checking of UTF-8 as it arrives, and the bounds. An idle
//! decoder owns no memory.

use soketto::Parsing;
use soketto::base::{Codec, Header, OpCode};

use super::deflate::inflate;

/// What a client said.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A whole text message. Valid UTF-8.
    Text(Vec<u8>),
    /// A whole binary message.
    Binary(Vec<u8>),
    /// A ping, to be answered with its payload.
    Ping(Vec<u8>),
    /// A pong.
    Pong,
    /// The closing handshake began, with this code if there was one.
    Close(Option<u16>),
}

/// A frame that breaks the protocol: the connection fails with this code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// 1002.
    #[error("the frame breaks RFC 6455")]
    Protocol,
    /// 1007.
    #[error("the text is not UTF-8")]
    Utf8,
    /// 1009.
    #[error("the message is too large")]
    TooLarge,
}

/// Joins bytes to messages.
#[derive(Debug)]
pub struct Decoder {
    message_bytes_max: usize,
    /// Whether messages may be compressed (RFC 7692).
    inflates: bool,
    /// The beginning of a header that is not whole.
    head: Vec<u8>,
    frame: Option<Frame>,
    /// The text or binary message under way, and how much of it is known to be UTF-8.
    message: Option<Message>,
    control: Vec<u8>,
}

#[derive(Debug)]
struct Frame {
    header: Header,
    /// Payload bytes read so far.
    read: usize,
}

#[derive(Debug)]
struct Message {
    is_text: bool,
    is_compressed: bool,
    bytes: Vec<u8>,
    valid: usize,
}

/// The longest header (section 5.2).
const HEAD_BYTES_MAX: usize = 14;

impl Decoder {
    /// A decoder of messages up to this many bytes, however they are fragmented.
    pub fn new(message_bytes_max: usize) -> Self {
        Decoder {
            message_bytes_max,
            inflates: false,
            head: Vec::new(),
            frame: None,
            message: None,
            control: Vec::new(),
        }
    }

    /// Sets whether messages may be compressed.
    pub fn inflates(&mut self, inflates: bool) {
        self.inflates = inflates;
    }

    /// Whether nothing is under way.
    #[cfg(test)]
    fn is_idle(&self) -> bool {
        self.head.is_empty() && self.frame.is_none() && self.message.is_none()
    }

    /// Bytes that it holds of what is not whole.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn held(&self) -> usize {
        self.head.len() + self.control.len() + self.message.as_ref().map_or(0, |message| message.bytes.len())
    }

    /// Reads from `input` until an event is whole, or all is read. Gives how
    /// much it read; call again with the rest.
    pub fn read(&mut self, input: &[u8]) -> Result<(usize, Option<Event>), Violation> {
        let mut used = 0;
        loop {
            if self.frame.is_none() {
                let (taken, frame) = self.read_head(&input[used..])?;
                used += taken;
                match frame {
                    Some(header) => self.begin(header)?,
                    None => return Ok((used, None)),
                }
            }
            used += self.read_payload(&input[used..])?;
            match &self.frame {
                Some(frame) if frame.read < frame.header.payload_len() => return Ok((used, None)),
                _ => {}
            }
            if let Some(event) = self.end_frame()? {
                return Ok((used, Some(event)));
            }
        }
    }

    fn read_head(&mut self, input: &[u8]) -> Result<(usize, Option<Header>), Violation> {
        let known = self.head.len();
        let more = input.len().min(HEAD_BYTES_MAX - known);
        self.head.extend_from_slice(&input[..more]);
        let mut codec = Codec::new();
        codec.set_max_data_size(usize::MAX >> 1);
        codec.add_reserved_bits((self.inflates, false, false));
        match codec.decode_header(&self.head) {
            Ok(Parsing::Done { value, offset }) => {
                self.head = Vec::new();
                Ok((offset - known, Some(value)))
            }
            Ok(Parsing::NeedMore(_)) => Ok((more, None)),
            Err(soketto::base::Error::PayloadTooLarge { .. }) => Err(Violation::TooLarge),
            Err(_) => Err(Violation::Protocol),
        }
    }

    fn begin(&mut self, header: Header) -> Result<(), Violation> {
        if !header.is_masked() {
            return Err(Violation::Protocol);
        }
        match (header.opcode(), &self.message) {
            (OpCode::Continue, None) | (OpCode::Text | OpCode::Binary, Some(_)) => {
                return Err(Violation::Protocol);
            }
            (OpCode::Text | OpCode::Binary, None) => {
                let (is_text, is_compressed) = (header.opcode() == OpCode::Text, header.is_rsv1());
                self.message = Some(Message { is_text, is_compressed, bytes: Vec::new(), valid: 0 });
            }
            // Only the first frame of a message says that it is compressed (RFC 7692 section 6.1).
            _ if header.is_rsv1() => return Err(Violation::Protocol),
            _ => {}
        }
        if let (false, Some(message)) = (header.opcode().is_control(), &self.message) {
            // Judged by the length that the header claims, before a byte of it is kept.
            if header.payload_len() > self.message_bytes_max.saturating_sub(message.bytes.len()) {
                return Err(Violation::TooLarge);
            }
        }
        self.frame = Some(Frame { header, read: 0 });
        Ok(())
    }

    fn read_payload(&mut self, input: &[u8]) -> Result<usize, Violation> {
        let Some(frame) = &mut self.frame else { return Ok(0) };
        let taken = input.len().min(frame.header.payload_len() - frame.read);
        let target = match (&mut self.message, frame.header.opcode().is_control()) {
            (Some(message), false) => &mut message.bytes,
            _ => &mut self.control,
        };
        let before = target.len();
        target.extend_from_slice(&input[..taken]);
        unmask(&frame.header, frame.read, &mut target[before..]);
        frame.read += taken;
        match &mut self.message {
            // What is compressed is text once it is whole.
            Some(message) if message.is_text && !message.is_compressed => message.check_utf8()?,
            _ => {}
        }
        Ok(taken)
    }

    fn end_frame(&mut self) -> Result<Option<Event>, Violation> {
        let Some(frame) = self.frame.take() else { return Ok(None) };
        match frame.header.opcode() {
            OpCode::Ping => Ok(Some(Event::Ping(std::mem::take(&mut self.control)))),
            OpCode::Pong => {
                self.control = Vec::new();
                Ok(Some(Event::Pong))
            }
            OpCode::Close => {
                close_code(&std::mem::take(&mut self.control)).map(|code| Some(Event::Close(code)))
            }
            _ if !frame.header.is_fin() => Ok(None),
            _ => match self
                .message
                .take()
                .map(|message| message.inflated(self.message_bytes_max))
                .transpose()?
            {
                Some(message) if message.is_text && message.valid < message.bytes.len() => {
                    Err(Violation::Utf8)
                }
                Some(message) if message.is_text => Ok(Some(Event::Text(message.bytes))),
                Some(message) => Ok(Some(Event::Binary(message.bytes))),
                None => Err(Violation::Protocol),
            },
        }
    }
}

impl Message {
    /// The message as it was before its compression, if it is compressed.
    fn inflated(mut self, max: usize) -> Result<Self, Violation> {
        if self.is_compressed {
            self.bytes = inflate(&self.bytes, max)?;
            if self.is_text {
                self.check_utf8()?;
            }
        }
        Ok(self)
    }

    /// Fails at the first byte that no continuation can make valid.
    fn check_utf8(&mut self) -> Result<(), Violation> {
        match std::str::from_utf8(&self.bytes[self.valid..]) {
            Ok(_) => self.valid = self.bytes.len(),
            Err(error) if error.error_len().is_none() => self.valid += error.valid_up_to(),
            Err(_) => return Err(Violation::Utf8),
        }
        Ok(())
    }
}

/// Masking (section 5.3) of a part that begins `from` bytes into the payload.
fn unmask(header: &Header, from: usize, part: &mut [u8]) {
    let mut turned = header.clone();
    turned.set_mask(header.mask().rotate_left((from % 4) as u32 * 8));
    Codec::apply_mask(&turned, part);
}

/// The code of a close frame (sections 5.5.1, 7.4), which must be one that may be sent.
fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let [high, low, reason @ ..] = payload else {
        return if payload.is_empty() { Ok(None) } else { Err(Violation::Protocol) };
    };
    let code = u16::from_be_bytes([*high, *low]);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Violation::Protocol);
    }
    match std::str::from_utf8(reason) {
        Ok(_) => Ok(Some(code)),
        Err(_) => Err(Violation::Utf8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Masked frames, whole.
    fn client(opcode: u8, fin: bool, payload: &[u8]) -> Vec<u8> {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let mut out = vec![opcode | if fin { 0x80 } else { 0 }];
        match payload.len() {
            len @ 0..=125 => out.push(0x80 | len as u8),
            len @ 126..=65_535 => {
                out.push(0x80 | 126);
                out.extend((len as u16).to_be_bytes());
            }
            len => {
                out.push(0x80 | 127);
                out.extend((len as u64).to_be_bytes());
            }
        }
        out.extend(mask);
        out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
        out
    }

    /// Feeds bytes in pieces of this size.
    fn decode(bytes: &[u8], piece: usize, max: usize) -> Result<Vec<Event>, Violation> {
        let mut decoder = Decoder::new(max);
        let mut events = Vec::new();
        for mut chunk in bytes.chunks(piece) {
            while !chunk.is_empty() {
                let (used, event) = decoder.read(chunk)?;
                events.extend(event);
                chunk = &chunk[used..];
            }
        }
        assert!(decoder.is_idle() || !events.iter().any(|event| matches!(event, Event::Close(_))));
        Ok(events)
    }

    #[test]
    fn the_examples_of_the_rfc() {
        // Section 5.7: a single-frame masked text message "Hello".
        let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        for piece in 1..=hello.len() {
            assert_eq!(decode(&hello, piece, 100).unwrap(), [Event::Text(b"Hello".to_vec())]);
        }
        let unmasked = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
        assert_eq!(decode(&unmasked, 100, 100), Err(Violation::Protocol));
    }

    #[test]
    fn fragments_are_joined_around_a_ping() {
        let bytes =
            [client(1, false, "grü".as_bytes()), client(9, true, b"p"), client(0, true, b"n")].concat();
        for piece in 1..=bytes.len() {
            let events = decode(&bytes, piece, 100).unwrap();
            assert_eq!(events, [Event::Ping(b"p".to_vec()), Event::Text("grün".as_bytes().to_vec())]);
        }
    }

    #[test]
    fn bounds_count_all_fragments() {
        let bytes = [client(2, false, &[0; 60]), client(0, true, &[0; 60])].concat();
        assert_eq!(decode(&bytes, 7, 119), Err(Violation::TooLarge));
        assert_eq!(decode(&bytes, 7, 120).unwrap(), [Event::Binary(vec![0; 120])]);
    }

    #[test]
    fn utf8_fails_at_the_first_wrong_byte() {
        let mut bytes = client(1, false, b"a\xff");
        bytes.extend([0x80, 0xff]); // The rest never comes.
        assert_eq!(decode(&bytes, 1, 100), Err(Violation::Utf8));
        let cut = [client(1, true, &"ü".as_bytes()[..1])].concat();
        assert_eq!(decode(&cut, 100, 100), Err(Violation::Utf8));
    }

    #[test]
    fn close_frames() {
        let close = |payload: &[u8]| decode(&client(8, true, payload), 100, 100);
        assert_eq!(close(b"").unwrap(), [Event::Close(None)]);
        assert_eq!(close(b"\x03\xe8bye").unwrap(), [Event::Close(Some(1000))]);
        assert_eq!(close(b"\x03"), Err(Violation::Protocol));
        for code in [0u16, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
            assert_eq!(close(&code.to_be_bytes()), Err(Violation::Protocol), "{code}");
        }
        assert_eq!(close(b"\x03\xe8\xff"), Err(Violation::Utf8));
    }
}
