//! `permessage-deflate` without context takeover (RFC 7692).
//!
//! Each message is compressed by itself. So a message is compressed once for all
//! who read it, a connection keeps no window, and an idle one costs nothing more.

use std::cell::RefCell;
use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use http::header::{HeaderMap, HeaderValue, SEC_WEBSOCKET_EXTENSIONS};
use soketto::base::OpCode;
use tidings_core::Slot;

use super::decoder::Violation;
use super::frame;

/// What was agreed: the size of the server's window, as a power of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deflate {
    window_bits: u8,
}

/// The largest window (RFC 1951), and the smallest that the compressor has.
const WINDOW_BITS: std::ops::RangeInclusive<u8> = 9..=15;
/// Shorter payloads do not get shorter.
const WORTH_BYTES: usize = 96;
/// What ends a message, and is left out of its frame (section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// Bytes that are made at once.
const CHUNK: usize = 16 * 1024;
/// The encodings of messages, one for each size of a window, stand from here on.
const FIRST_SLOT: u8 = 16;

thread_local! {
    /// The compressor of this thread, and its window: nearly all clients leave that at its size.
    static COMPRESSOR: RefCell<Option<(u8, Compress)>> = const { RefCell::new(None) };
}

impl Deflate {
    /// The first offer that can be met, and its acceptance (section 7.1). An offer that is malformed
    /// or asks for what is unknown is passed over, as if it was not there (section 5.1).
    pub fn negotiate(headers: &HeaderMap) -> Option<(Self, HeaderValue)> {
        let offers =
            headers.get_all(SEC_WEBSOCKET_EXTENSIONS).into_iter().filter_map(|value| value.to_str().ok());
        let deflate = offers.flat_map(|value| value.split(',')).find_map(Self::meet)?;
        HeaderValue::from_str(&deflate.to_string()).ok().map(|accepted| (deflate, accepted))
    }

    fn meet(offer: &str) -> Option<Self> {
        let mut parts = offer.split(';').map(str::trim);
        if parts.next() != Some("permessage-deflate") {
            return None;
        }
        let mut seen = Vec::new();
        let mut window_bits = *WINDOW_BITS.end();
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
                None => (part, None),
            };
            if seen.contains(&name) {
                return None;
            }
            seen.push(name);
            let bits =
                || value.and_then(|value| value.parse::<u8>().ok().filter(|bits| (8..=15).contains(bits)));
            match (name, value) {
                ("server_no_context_takeover" | "client_no_context_takeover", None) => {}
                ("server_max_window_bits", Some(_)) => {
                    window_bits = bits().filter(|bits| WINDOW_BITS.contains(bits))?;
                }
                // A hint: a smaller window of the client's is read as well.
                ("client_max_window_bits", None) => {}
                ("client_max_window_bits", Some(_)) => drop(bits()?),
                _ => return None,
            }
        }
        Some(Deflate { window_bits })
    }

    /// Where the frame of a message stands among its encodings.
    pub fn slot(self) -> Slot {
        Slot(FIRST_SLOT + self.window_bits)
    }

    /// One unfragmented frame, compressed where that makes it shorter.
    pub fn frame(self, opcode: OpCode, payload: &[u8]) -> Bytes {
        if payload.len() < WORTH_BYTES {
            return frame::frame(opcode, payload);
        }
        match self.compress(payload) {
            Some(short) => frame::compressed(opcode, &short),
            None => frame::frame(opcode, payload),
        }
    }

    /// `None` where it does not get shorter.
    fn compress(self, payload: &[u8]) -> Option<BytesMut> {
        COMPRESSOR.with_borrow_mut(|place| {
            let compressor = match place {
                Some((bits, compressor)) if *bits == self.window_bits => {
                    compressor.reset();
                    compressor
                }
                _ => {
                    let new = Compress::new_with_window_bits(Compression::fast(), false, self.window_bits);
                    &mut place.insert((self.window_bits, new)).1
                }
            };
            let mut out = BytesMut::zeroed(payload.len());
            // All at once: there is no room for what would not be shorter.
            let status = compressor.compress(payload, &mut out, FlushCompress::Sync).ok()?;
            let (read, made) = (compressor.total_in() as usize, compressor.total_out() as usize);
            let whole = status == Status::Ok && read == payload.len() && made < payload.len();
            if !whole || !out[..made].ends_with(&TAIL) {
                return None;
            }
            out.truncate(made - TAIL.len());
            Some(out)
        })
    }
}

impl fmt::Display for Deflate {
    /// As it stands in the acceptance.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("permessage-deflate; server_no_context_takeover; client_no_context_takeover")?;
        match self.window_bits {
            15 => Ok(()),
            bits => write!(f, "; server_max_window_bits={bits}"),
        }
    }
}

/// The message that a client compressed, of at most `max` bytes: what is more is not even made.
pub fn inflate(compressed: &[u8], max: usize) -> Result<Vec<u8>, Violation> {
    let mut inflater = Decompress::new(false);
    let mut out = Vec::new();
    let mut chunk = [0; CHUNK];
    for input in [compressed, &TAIL] {
        let mut used = 0;
        loop {
            let (read, made) = (inflater.total_in(), inflater.total_out());
            let status = inflater.decompress(&input[used..], &mut chunk, FlushDecompress::Sync);
            let status = status.map_err(|_| Violation::Protocol)?;
            used += (inflater.total_in() - read) as usize;
            let made = (inflater.total_out() - made) as usize;
            if made > max - out.len() {
                return Err(Violation::TooLarge);
            }
            out.put_slice(&chunk[..made]);
            match status {
                // A block that says it is the last: what a compressor of messages need not do, and may (section 7.2.3.4).
                Status::StreamEnd => return Ok(out),
                _ if used == input.len() && made < CHUNK => break,
                Status::BufError if made == 0 => return Err(Violation::Protocol),
                _ => {}
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiate(offer: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_str(offer).unwrap());
        Deflate::negotiate(&headers).map(|(_, accepted)| accepted.to_str().unwrap().to_owned())
    }

    #[test]
    fn offers() {
        let plain = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        for met in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; client_max_window_bits=10; server_no_context_takeover",
            "permessage-deflate; server_max_window_bits=\"15\"",
            "x-other, permessage-deflate; unknown, permessage-deflate",
        ] {
            assert_eq!(negotiate(met).as_deref(), Some(plain), "{met}");
        }
        let small = format!("{plain}; server_max_window_bits=9");
        assert_eq!(negotiate("permessage-deflate; server_max_window_bits=9"), Some(small));
        for unmet in [
            "",
            "x-webkit-deflate-frame",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
        ] {
            assert_eq!(negotiate(unmet), None, "{unmet}");
        }
    }

    #[test]
    fn the_examples_of_the_rfc() {
        // Section 7.2.3.1, .3, .4 and .5: "Hello" in one block, stored, final, and in two blocks.
        for compressed in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        ] {
            assert_eq!(inflate(compressed, 5).unwrap(), b"Hello", "{compressed:x?}");
        }
    }

    #[test]
    fn there_and_back() {
        for window_bits in WINDOW_BITS {
            for length in [200, 16_384, 16_385, 300_000] {
                let text: Vec<_> = (0..length).map(|n| b"tidings "[n % 8 * (n % 97) % 8]).collect();
                let short = Deflate { window_bits }.compress(&text).unwrap();
                assert!(short.len() < text.len());
                assert_eq!(inflate(&short, length).unwrap(), text);
                assert_eq!(inflate(&short, length - 1), Err(Violation::TooLarge));
            }
        }
        let mut noise = vec![0; 4_096];
        getrandom::fill(&mut noise).unwrap();
        assert_eq!(Deflate { window_bits: 15 }.compress(&noise), None);
    }

    /// Bytes of which so many bits are noise: the fewer, the better they compress.
    fn noise(length: usize, bits: u32) -> Vec<u8> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64 + u64::from(bits);
        let next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8 & (0xff >> (8 - bits))
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    #[test]
    fn what_hardly_compresses() {
        for window_bits in [9, 12, 15] {
            let deflate = Deflate { window_bits };
            for length in [100, 4_096, 16_383, 65_535, 65_536, 131_072, 1 << 20] {
                for bits in 1..=8 {
                    let bytes = noise(length, bits);
                    if let Some(short) = deflate.compress(&bytes) {
                        assert!(inflate(&short, length).unwrap() == bytes, "{window_bits} {length} {bits}");
                    }
                }
            }
        }
    }

    #[test]
    fn bombs_and_garbage() {
        let zeros = Deflate { window_bits: 15 }.compress(&vec![0; 50 << 20]).unwrap();
        assert!(zeros.len() < 1 << 20, "{}", zeros.len());
        assert_eq!(inflate(&zeros, 1 << 20), Err(Violation::TooLarge));
        assert_eq!(inflate(&[0xff; 100], 1 << 20), Err(Violation::Protocol));
        for cut in 0..20 {
            // It ends; whether as a message or as a violation is the garbage's.
            let _ = inflate(&zeros[..cut], 1 << 20);
        }
    }
}
