//! A path that is faulty on purpose: a check that cannot fail proves nothing.
//!
//! It understands enough of pages, event streams and WebSockets to drop, repeat or reorder messages and to
//! hide gaps. A response whose end it cannot see (chunks) goes through as it is.

mod events;
mod frames;
mod page;
mod stage;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::ValueEnum;
use serde::Serialize;

use page::Page;
use stage::Stage;

/// Every so many messages of a path, one is spoilt.
const EVERY: u64 = 30;

/// A head, an item or a page may be so long; longer ones go through as they are.
const ITEM_MAX: usize = 16 << 20;

/// What a faulty path does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Break {
    /// One message in thirty does not come
    Drop,
    /// One message in thirty comes again, with another cursor
    Repeat,
    /// Two messages in thirty come in the wrong order
    Reorder,
    /// Gaps do not come
    HideGap,
}

impl Break {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Repeat => "repeat",
            Self::Reorder => "reorder",
            Self::HideGap => "hide-gap",
        }
    }
}

/// What one path does to what goes through it, and how often it did.
#[derive(Debug, Clone)]
pub struct Spoiler {
    mode: Break,
    tally: Arc<Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    messages: AtomicU64,
    spoilt: AtomicU64,
}

impl Spoiler {
    /// One that has done nothing yet.
    pub fn new(mode: Break) -> Self {
        Self { mode, tally: Arc::default() }
    }

    /// How many items it spoilt.
    pub fn spoilt(&self) -> u64 {
        self.tally.spoilt.load(Ordering::Relaxed)
    }

    /// Counts a message; whether it is its turn.
    fn is_due(&self) -> bool {
        self.tally.messages.fetch_add(1, Ordering::Relaxed) % EVERY == EVERY / 2
    }

    fn count(&self) {
        self.tally.spoilt.fetch_add(1, Ordering::Relaxed);
    }
}

/// The responses of one connection, being spoilt. Holds one head, item or page at a time.
#[derive(Debug)]
pub struct Spoilt {
    stage: Stage,
    state: State,
    /// What came and is not whole yet.
    bytes: Vec<u8>,
}

/// Where in the responses it is.
#[derive(Debug)]
enum State {
    Head,
    Page(Page),
    /// So many bytes of a body that is of no interest.
    Body(usize),
    Events,
    Frames,
    /// The rest is not understood.
    Raw,
}

impl Spoilt {
    /// At the beginning of a connection.
    pub fn new(spoiler: &Spoiler) -> Self {
        Self { stage: Stage::new(spoiler.clone()), state: State::Head, bytes: Vec::new() }
    }

    /// Takes what came, and gives what goes on.
    pub fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.bytes.extend_from_slice(bytes);
        let mut out = Vec::new();
        while !self.bytes.is_empty() {
            let used = match &mut self.state {
                State::Head => self.head(&mut out),
                State::Page(page) => {
                    let used = page.take(&self.bytes, &mut self.stage, &mut out);
                    if used.is_some() {
                        self.state = State::Head;
                    }
                    used
                }
                State::Body(left) => {
                    let used = (*left).min(self.bytes.len());
                    out.extend_from_slice(&self.bytes[..used]);
                    *left -= used;
                    if *left == 0 {
                        self.state = State::Head;
                    }
                    Some(used)
                }
                State::Events => events::take(&self.bytes, &mut self.stage, &mut out),
                State::Frames => frames::take(&self.bytes, &mut self.stage, &mut out),
                State::Raw => {
                    out.extend_from_slice(&self.bytes);
                    Some(self.bytes.len())
                }
            };
            match used {
                Some(used) => drop(self.bytes.drain(..used)),
                None if self.bytes.len() > ITEM_MAX => self.state = State::Raw,
                None => break,
            }
        }
        out
    }

    /// Reads the head of a response, and gives it on, unless it belongs to a page.
    fn head(&mut self, out: &mut Vec<u8>) -> Option<usize> {
        let end = self.bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(&self.bytes[..end]).to_ascii_lowercase();
        let header = |name: &str| {
            text.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let status = text.split(' ').nth(1).unwrap_or_default();
        let length = header("content-length").and_then(|length| length.parse::<usize>().ok());
        let kind = header("content-type").unwrap_or_default();
        self.state = match (status, length) {
            ("101", _) => State::Frames,
            ("204" | "304", _) => State::Head,
            ("200", Some(length)) if kind.starts_with("application/json") && length <= ITEM_MAX => {
                self.state = State::Page(Page::new(self.bytes[..end].to_vec(), length));
                return Some(end);
            }
            (_, Some(0)) => State::Head,
            (_, Some(length)) => State::Body(length),
            ("200", None)
                if kind.starts_with("text/event-stream") && header("transfer-encoding").is_none() =>
            {
                State::Events
            }
            _ => State::Raw,
        };
        out.extend_from_slice(&self.bytes[..end]);
        Some(end)
    }
}
