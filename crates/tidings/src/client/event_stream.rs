//! `text/event-stream`, by the rules of the WHATWG, within a bound.
//!
//! Written here because a stream from a stranger must not choose how much memory it takes:
//! the parsers at hand collect a line or an event without a limit. This one pulls: it goes
//! through a chunk one block at a time and keeps no queue.

use bytes::{Buf, Bytes};

/// What stood between two blank lines, if anything did.
///
/// A block without `data` fires no event, but its `id` and `retry` count all the same.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Block {
    /// The last `id:` in it. Empty is a value: it resets the last event id.
    pub id: Option<String>,
    /// The last `event:` in it; empty stands for `message`.
    pub event: String,
    /// The `data:` lines, joined by LF; `None` where there was none.
    pub data: Option<String>,
    /// The last valid `retry:` in it, in milliseconds.
    pub retry_ms: Option<u64>,
}

/// An event, or a line of one, is larger than the parser's bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// The parser of one stream. Holds at most one chunk and one block.
#[derive(Debug)]
pub struct Parser {
    max: usize,
    chunk: Bytes,
    line: Vec<u8>,
    block: Block,
    block_bytes: usize,
    after_cr: bool,
    first_line: bool,
}

impl Parser {
    /// A parser at the beginning of a stream, for blocks of at most `max` bytes.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            chunk: Bytes::new(),
            line: Vec::new(),
            block: Block::default(),
            block_bytes: 0,
            after_cr: false,
            first_line: true,
        }
    }

    /// Gives it the next bytes. Ask [`next_block`](Self::next_block) until it has none, before the next chunk.
    pub fn feed(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "the chunk before this one was not used up");
        self.chunk = chunk;
    }

    /// The next complete block; `None` when the chunk is used up.
    ///
    /// What the end of the stream cuts off is never given.
    ///
    /// # Errors
    ///
    /// [`TooLong`] for a block over the bound; the stream cannot be followed any further.
    pub fn next_block(&mut self) -> Result<Option<Block>, TooLong> {
        while !self.chunk.is_empty() {
            if std::mem::take(&mut self.after_cr) && self.chunk[0] == b'\n' {
                self.chunk.advance(1);
                continue;
            }
            let end = self.chunk.iter().position(|b| matches!(b, b'\r' | b'\n'));
            let length = end.unwrap_or(self.chunk.len());
            if self.block_bytes + self.line.len() + length > self.max {
                return Err(TooLong);
            }
            self.line.extend_from_slice(&self.chunk[..length]);
            self.after_cr = end.is_some_and(|end| self.chunk[end] == b'\r');
            self.chunk.advance(length + usize::from(end.is_some()));
            if end.is_some()
                && let Some(block) = self.end_line()
            {
                return Ok(Some(block));
            }
        }
        Ok(None)
    }

    fn end_line(&mut self) -> Option<Block> {
        let mut line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.first_line) && line.starts_with(b"\xEF\xBB\xBF") {
            line.drain(..3);
        }
        if line.is_empty() {
            self.line = line;
            self.block_bytes = 0;
            let mut block = std::mem::take(&mut self.block);
            if block == Block::default() {
                return None;
            }
            if let Some(data) = &mut block.data {
                data.pop();
            }
            return Some(block);
        }
        self.block_bytes += line.len();
        self.field(&String::from_utf8_lossy(&line));
        // The buffer is kept for the next line, unless this one was out of the ordinary.
        if line.capacity() <= 64 << 10 {
            line.clear();
            self.line = line;
        }
        None
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "data" => {
                let data = self.block.data.get_or_insert_default();
                data.push_str(value);
                data.push('\n');
            }
            "event" => value.clone_into(&mut self.block.event),
            "id" if !value.contains('\0') => self.block.id = Some(value.to_owned()),
            "retry" if value.bytes().all(|b| b.is_ascii_digit()) => {
                // One without digits, or too large to be waited for, changes nothing.
                self.block.retry_ms = value.parse().ok().or(self.block.retry_ms);
            }
            // An empty name is a comment; other fields are for others.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses `text` in chunks of `size` bytes.
    fn parse_in(text: &str, size: usize) -> Vec<Block> {
        let mut parser = Parser::new(1000);
        let mut blocks = Vec::new();
        for chunk in text.as_bytes().chunks(size) {
            parser.feed(Bytes::copy_from_slice(chunk));
            while let Some(block) = parser.next_block().unwrap() {
                blocks.push(block);
            }
        }
        blocks
    }

    /// Parses `text` however it is cut, which must make no difference.
    fn parse(text: &str) -> Vec<Block> {
        let whole = parse_in(text, usize::MAX);
        for size in 1..text.len() {
            assert_eq!(parse_in(text, size), whole, "in chunks of {size}");
        }
        whole
    }

    fn data(text: &str) -> Block {
        Block { data: Some(text.to_owned()), ..Block::default() }
    }

    #[test]
    fn the_specifications_examples() {
        assert_eq!(parse("data: YHOO\ndata: +2\ndata: 10\n\n"), [data("YHOO\n+2\n10")]);
        let blocks = parse(
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
        );
        assert_eq!(
            blocks,
            [
                Block { id: Some("1".to_owned()), ..data("first event") },
                Block { id: Some(String::new()), ..data("second event") },
            ]
        );
        assert_eq!(parse("data\n\ndata\ndata\n\ndata:"), [data(""), data("\n")]);
        assert_eq!(parse("data:test\n\ndata: test\n\n"), [data("test"), data("test")]);
    }

    #[test]
    fn every_line_end_and_a_byte_order_mark() {
        let text = "\u{FEFF}event: a\rdata: 1\r\rdata: 2\r\n\r\ndata: 3\n\n";
        assert_eq!(parse(text), [Block { event: "a".to_owned(), ..data("1") }, data("2"), data("3")]);
    }

    #[test]
    fn a_block_without_data_still_has_its_id_and_retry() {
        let text = "retry: 1500\n: tidings 17\nid: abc\n\nretry: 1x\nid: a\0b\n\n";
        let abc = Block { id: Some("abc".to_owned()), retry_ms: Some(1500), ..Block::default() };
        assert_eq!(parse(text), [abc]);
        let many = Block { retry_ms: Some(7), ..Block::default() };
        assert_eq!(parse("retry: 7\nretry: 99999999999999999999\nretry:\n\n"), [many]);
    }

    #[test]
    fn a_stream_cannot_choose_how_much_memory_it_takes() {
        let mut parser = Parser::new(10);
        parser.feed(Bytes::from_static(b"data: 12345"));
        assert_eq!(parser.next_block(), Err(TooLong));
        let mut parser = Parser::new(10);
        parser.feed(Bytes::from_static(b"data:1\ndata:2\n"));
        assert_eq!(parser.next_block(), Err(TooLong));
    }
}
