//! A page of a poll: one JSON object, whose length stands in the head before it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::stage::{Kind, Stage, with_other_cursor};

/// A page whose body is still to come.
#[derive(Debug)]
pub struct Page {
    head: Vec<u8>,
    length: usize,
}

#[derive(Deserialize, Serialize)]
struct Body {
    messages: Vec<Box<RawValue>>,
    cursor: String,
    gap: Option<Box<RawValue>>,
    delivery: String,
}

impl Page {
    /// The head of a response, and the length of its body.
    pub fn new(head: Vec<u8>, length: usize) -> Self {
        Self { head, length }
    }

    /// Takes the body; gives how many bytes it had. `None` if it is not whole.
    pub fn take(&self, bytes: &[u8], stage: &mut Stage, out: &mut Vec<u8>) -> Option<usize> {
        let body = bytes.get(..self.length)?;
        let spoilt = spoil(body, stage).unwrap_or_else(|| body.to_vec());
        let head = String::from_utf8_lossy(&self.head);
        for line in head.trim_end().split("\r\n") {
            let is_length = line.to_ascii_lowercase().starts_with("content-length:");
            let line = if is_length { format!("content-length: {}", spoilt.len()) } else { line.to_owned() };
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&spoilt);
        Some(self.length)
    }
}

/// `None` if it is no page.
fn spoil(body: &[u8], stage: &mut Stage) -> Option<Vec<u8>> {
    let mut page: Body = serde_json::from_slice(body).ok()?;
    let again = |message: &[u8]| with_other_cursor(message, b"\"cursor\":\"", b'"');
    let mut messages = Vec::new();
    for message in std::mem::take(&mut page.messages) {
        messages.extend(stage.take(Kind::Message, message.get().into(), again));
    }
    for message in messages {
        page.messages.push(RawValue::from_string(String::from_utf8(message).ok()?).ok()?);
    }
    if let Some(gap) = page.gap.take() {
        let gap = stage.take(Kind::Gap, gap.get().into(), <[u8]>::to_vec).pop();
        page.gap = gap.and_then(|gap| RawValue::from_string(String::from_utf8(gap).ok()?).ok());
    }
    serde_json::to_vec(&page).ok()
}
