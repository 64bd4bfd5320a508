//! A body that publishes as it arrives.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tidings_core::log::{Draft, Once, Payload};
use tidings_core::{Channel, Code, Cursor, Error, Result, Stopped, Writer};

use crate::http::problem::Problem;
use crate::receipt;
use crate::wire::EndReport;

use super::body::Incoming;

/// Takes bytes, gives the messages that are whole.
pub trait Split {
    /// Adds to `out` what became whole. On an error, what is in `out` came before it.
    fn push(&mut self, bytes: &[u8], out: &mut Vec<Piece>) -> Result<()>;
    /// Whether something of a message has come that is not whole.
    fn is_within(&self) -> bool;
    /// Adds what only the end of the body makes whole.
    fn end(&mut self, out: &mut Vec<Piece>) -> Result<()>;
}

/// One message of a body.
#[derive(Debug)]
pub struct Piece {
    /// Its own event name; else that of the request.
    pub event: Option<Box<str>>,
    /// Its data.
    pub payload: Payload,
}

/// What goes with every message of a body.
pub struct Common {
    /// The event name.
    pub event: Option<Box<str>>,
    /// The compaction key.
    pub key: Option<Box<str>>,
    /// The idempotency key of the whole stream.
    pub id: Option<Box<str>>,
}

/// What was stored of a body.
#[derive(Debug, Default, Serialize)]
pub struct Tally {
    published: u64,
    cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<EndReport>,
}

impl Tally {
    /// Closes the channel behind what was stored.
    pub async fn close(&mut self, writer: &Writer, channel: &Channel) -> Result<(), Problem> {
        let last = self.cursor.as_deref().and_then(|cursor| cursor.parse().ok());
        let closed = receipt::close(writer, channel).await;
        self.end = Some(closed.map_err(|error| Problem::from(error).midway(self.published, last.as_ref()))?);
        Ok(())
    }
}

/// Messages stored at once, so that one burst holds bounded memory.
const AT_ONCE: usize = 64;

/// Stores each message when it is whole, in order. An error says how many were stored.
pub async fn publish(
    writer: &Writer,
    channel: &Channel,
    mut body: Incoming<'_>,
    mut split: impl Split,
    common: Common,
) -> Result<Tally, Problem> {
    let mut stored = Stored { channel, count: 0, last: None };
    let at_once = AT_ONCE.min(writer.at_once_max());
    let key: Option<Arc<str>> = common.id.as_deref().map(Arc::from);
    loop {
        let chunk = body.next().await.map_err(|error| stored.problem(error))?;
        let at_end = chunk.is_none();
        let mut pieces = Vec::new();
        let found = match &chunk {
            Some(bytes) => split.push(bytes, &mut pieces),
            None => split.end(&mut pieces),
        };
        let has_come = !pieces.is_empty();
        let mut pieces = pieces.into_iter();
        while pieces.len() > 0 {
            // A stream that is too fast is read more slowly.
            let count = pieces.len().min(at_once);
            while let Err(error) = writer.spend(count) {
                let wait_ms = error.retry_ms.filter(|_| error.code == Code::RateLimited);
                let Some(wait_ms) = wait_ms else { return Err(stored.problem(error)) };
                body.pause(Duration::from_millis(wait_ms)).await.map_err(|error| stored.problem(error))?;
            }
            let drafts: Vec<_> = pieces
                .by_ref()
                .take(count)
                .enumerate()
                .map(|(at, piece)| draft(writer, piece, &common, key.as_ref(), stored.count + at as u64))
                .collect();
            stored.append(writer, drafts).await?;
        }
        found.map_err(|error| stored.problem(error))?;
        // Pauses between messages are the publisher's; a message that has begun is held in memory.
        if has_come || split.is_within() != body.has_begun() {
            body.begin(split.is_within());
        }
        if at_end {
            return Ok(Tally {
                published: stored.count,
                cursor: stored.last.map(|cursor| cursor.to_string()),
                end: None,
            });
        }
    }
}

fn draft(writer: &Writer, piece: Piece, common: &Common, key: Option<&Arc<str>>, index: u64) -> Draft {
    let (id, once) = match key {
        Some(key) => (format!("{key}/{index}").into(), Once::Stream { key: key.clone(), index }),
        None => (writer.new_id(), Once::No),
    };
    let event = piece.event.or_else(|| common.event.clone());
    Draft { id, once, event, key: common.key.clone(), payload: piece.payload, from: None }
}

struct Stored<'a> {
    channel: &'a Channel,
    count: u64,
    last: Option<Cursor>,
}

impl Stored<'_> {
    async fn append(&mut self, writer: &Writer, drafts: Vec<Draft>) -> Result<(), Problem> {
        match writer.append(drafts).await {
            Ok(appended) => {
                self.note(&appended);
                Ok(())
            }
            Err(Stopped { stored, error }) => {
                self.note(&stored);
                Err(self.problem(error))
            }
        }
    }

    fn note(&mut self, appended: &[tidings_core::log::Appended]) {
        self.count += appended.len() as u64;
        if let Some(last) = appended.last() {
            self.last = Some(Cursor::one(self.channel, last.position));
        }
    }

    fn problem(&self, error: Error) -> Problem {
        Problem::from(error).midway(self.count, self.last.as_ref())
    }
}
