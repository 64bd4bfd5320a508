//! Messages that a server compressed each by itself (RFC 7692, `server_no_context_takeover`).

use flate2::{Decompress, FlushDecompress, Status};

/// What ends a message, and is left out of its frame (section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// No message of a load is longer.
const TEXT_MAX: usize = 1 << 20;

/// Inflates one message after the other. It is kept and reused, so that reading allocates nothing.
#[derive(Debug, Default)]
pub struct Inflater {
    inflate: Option<Decompress>,
    compressed: Vec<u8>,
    text: Vec<u8>,
}

impl Inflater {
    /// The message of a frame's payload; `None` where that is none, or is over 1 MiB.
    pub fn inflate(&mut self, payload: &[u8]) -> Option<&[u8]> {
        self.compressed.clear();
        self.compressed.extend_from_slice(payload);
        self.compressed.extend_from_slice(&TAIL);
        self.text.clear();
        let inflate = self.inflate.get_or_insert_with(|| Decompress::new(false));
        inflate.reset(false);
        loop {
            let used = inflate.total_in() as usize;
            self.text.reserve(4096);
            let status =
                inflate.decompress_vec(&self.compressed[used..], &mut self.text, FlushDecompress::Sync);
            let (status, moved) = (status.ok()?, inflate.total_in() as usize > used);
            let has_room = self.text.len() < self.text.capacity();
            if status == Status::StreamEnd || inflate.total_in() as usize == self.compressed.len() && has_room
            {
                return Some(&self.text);
            }
            if self.text.len() > TEXT_MAX || has_room && !moved {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_and_what_is_none() {
        let mut inflater = Inflater::default();
        for _ in 0..2 {
            // Section 7.2.3.1 and .3: in one block, and stored.
            for compressed in [
                &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
                &[0, 5, 0, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0],
            ] {
                assert_eq!(inflater.inflate(compressed), Some(&b"Hello"[..]));
            }
            assert_eq!(inflater.inflate(&[0xff; 9]), None);
        }
    }
}
