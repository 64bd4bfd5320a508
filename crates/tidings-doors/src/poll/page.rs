//! The body of a page, written message by message, so that it is never in memory twice.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use tidings_core::Read;
use tidings_core::log::{Kind, Message};

use crate::wire::{self, GapReport};

/// `{"messages":[…],"cursor":"…","gap":null,"delivery":"…"}`, and `"ended"` where a channel ends.
pub(super) struct Page {
    messages: std::vec::IntoIter<Arc<Message>>,
    first: bool,
    /// Parts of the message under way.
    ready: std::collections::VecDeque<Bytes>,
    tail: Option<Bytes>,
    begun: bool,
    len: u64,
}

/// Small messages are joined up to about this many bytes.
const CHUNK: usize = 16 * 1024;
/// Data from this size on goes out as it is, without a copy.
const WHOLE: usize = 4 * 1024;

impl Page {
    pub(super) fn new(read: Read) -> Self {
        let gap = read.gap.as_ref();
        let gap = gap.map_or("null".into(), |(channel, gap)| GapReport::new(channel, gap).to_json());
        let tail = format!(
            "],\"cursor\":\"{}\",\"gap\":{gap},\"delivery\":\"{}\"{}}}",
            read.cursor,
            read.delivery.as_str(),
            wire::ended(&read)
        );
        let mut page = Page {
            messages: Vec::new().into_iter(),
            first: true,
            ready: std::collections::VecDeque::new(),
            tail: Some(tail.into()),
            begun: false,
            len: 0,
        };
        // Encoding twice costs less than holding a page of large messages as text.
        page.len = page.count(&read.messages);
        page.messages = read.messages.into_iter();
        page
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    fn count(&self, messages: &[Arc<Message>]) -> u64 {
        let mut scratch = BytesMut::new();
        let each: u64 = messages
            .iter()
            .map(|message| {
                scratch.clear();
                wire::before_data(&mut scratch, message);
                let data = match message.payload.kind {
                    Kind::Json => message.payload.bytes.len(),
                    Kind::Bytes => message.payload.bytes.len().div_ceil(3) * 4 + 2,
                    // To write 8 MiB only to count them would hold the thread for many milliseconds.
                    Kind::Text => wire::text_len(&wire::readable(&message.payload.bytes)),
                };
                (scratch.len() + data + 1) as u64
            })
            .sum();
        let commas = messages.len().saturating_sub(1) as u64;
        b"{\"messages\":[".len() as u64
            + each
            + commas
            + self.tail.as_ref().map_or(0, |tail| tail.len() as u64)
    }

    fn fill(&mut self) {
        let mut out = BytesMut::new();
        if !self.begun {
            self.begun = true;
            out.put_slice(b"{\"messages\":[");
        }
        while out.len() < CHUNK {
            let Some(message) = self.messages.next() else {
                if let Some(tail) = self.tail.take() {
                    out.put_slice(&tail);
                }
                break;
            };
            if !std::mem::take(&mut self.first) {
                out.put_u8(b',');
            }
            wire::before_data(&mut out, &message);
            if message.payload.kind == Kind::Json && message.payload.bytes.len() >= WHOLE {
                self.ready.push_back(out.split().freeze());
                self.ready.push_back(message.payload.bytes.clone());
            } else {
                wire::data(&mut out, &message);
            }
            out.put_u8(b'}');
        }
        if !out.is_empty() {
            self.ready.push_back(out.freeze());
        }
    }
}

impl http_body::Body for Page {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.ready.is_empty() {
            self.fill();
        }
        let next = self.ready.pop_front();
        let sent = next.as_ref().map_or(0, |bytes| bytes.len() as u64);
        self.len = self.len.saturating_sub(sent);
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.len == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len)
    }
}
