//! NDJSON: each line is the data of one message.

use bytes::{Buf, Bytes, BytesMut};
use serde_json::value::RawValue;
use tidings_core::log::{Kind, Payload};
use tidings_core::{Code, Error, Result};

use super::stream::{Piece, Split};

/// Splits a body into lines as it arrives.
#[derive(Debug)]
pub struct Lines {
    held: BytesMut,
    line_bytes_max: usize,
    /// How much of `held` is known to have no line end.
    searched: usize,
}

impl Lines {
    /// Lines of at most this many bytes.
    pub fn new(line_bytes_max: usize) -> Self {
        Lines { held: BytesMut::new(), line_bytes_max, searched: 0 }
    }

    fn message(&self, line: Bytes) -> Result<Option<Piece>> {
        // Spaces around the data count: of a line that is not whole yet nobody knows what is around it.
        if line.strip_suffix(b"\r").unwrap_or(&line).len() > self.line_bytes_max {
            return Err(self.too_large());
        }
        let line = trim(line);
        if line.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice::<&RawValue>(&line)
            .map_err(|error| Error::new(Code::BadJson, format!("the line is not JSON ({error})")))?;
        Ok(Some(Piece { event: None, payload: Payload { kind: Kind::Json, bytes: line } }))
    }

    fn too_large(&self) -> Error {
        Error::new(Code::TooLarge, format!("a line has more than {} bytes", self.line_bytes_max))
    }
}

impl Split for Lines {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<Piece>) -> Result<()> {
        self.held.extend_from_slice(bytes);
        while let Some(at) = self.held[self.searched..].iter().position(|byte| *byte == b'\n') {
            let line = self.held.split_to(self.searched + at).freeze();
            self.held.advance(1);
            self.searched = 0;
            out.extend(self.message(line)?);
        }
        self.searched = self.held.len();
        // A carriage return may still belong to the line end.
        if self.held.len() > self.line_bytes_max + 1 {
            return Err(self.too_large());
        }
        Ok(())
    }

    fn is_within(&self) -> bool {
        !self.held.is_empty()
    }

    fn end(&mut self, out: &mut Vec<Piece>) -> Result<()> {
        let line = std::mem::take(&mut self.held).freeze();
        out.extend(self.message(line)?);
        Ok(())
    }
}

fn trim(line: Bytes) -> Bytes {
    line.slice_ref(line.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, piece: usize) -> Result<Vec<String>> {
        let mut lines = Lines::new(20);
        let mut out = Vec::new();
        for chunk in text.as_bytes().chunks(piece) {
            lines.push(chunk, &mut out)?;
        }
        lines.end(&mut out)?;
        Ok(out.iter().map(|piece| String::from_utf8(piece.payload.bytes.to_vec()).unwrap()).collect())
    }

    #[test]
    fn lines_in_pieces_of_any_size() {
        let text = "{\"a\": 1}\r\n\n  \n[2]\n\"x\"";
        for piece in 1..text.len() {
            assert_eq!(split(text, piece).unwrap(), ["{\"a\": 1}", "[2]", "\"x\""]);
        }
    }

    #[test]
    fn what_is_too_large_is_not_for_the_network_to_choose() {
        let padded = format!("1\n2{}\n3\n", " ".repeat(20));
        let blank = format!("1\n{}\n3\n", " ".repeat(22));
        let fits = format!("1\n{}\r\n3\n", " ".repeat(20));
        for piece in 1..=fits.len() {
            assert_eq!(split(&padded, piece).unwrap_err().code, Code::TooLarge, "in pieces of {piece}");
            assert_eq!(split(&blank, piece).unwrap_err().code, Code::TooLarge, "in pieces of {piece}");
            assert_eq!(split(&fits, piece).unwrap().len(), 2, "in pieces of {piece}");
        }
    }

    #[test]
    fn wrong_and_long_lines() {
        assert_eq!(split("1\nnonsense\n", 3).unwrap_err().code, Code::BadJson);
        assert_eq!(split(&format!("\"{}\"", "x".repeat(19)), 3).unwrap_err().code, Code::TooLarge);
        assert_eq!(split(&format!("\"{}\"\n", "x".repeat(18)), 30).unwrap().len(), 1);
    }
}
