//! What a publisher is told of a message that is stored: the same at every door.

use serde::Serialize;
use tidings_core::log::Appended;
use tidings_core::{Channel, Code, Cursor, Error, Result, Writer};

use crate::http::problem::Problem;
use crate::item::Item;
use crate::wire::EndReport;

/// `{"channel","cursor","id","duplicate"}`, and `"end"` where the channel was closed behind it.
#[derive(Debug, Serialize)]
pub struct Receipt {
    channel: String,
    cursor: String,
    id: Box<str>,
    duplicate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<EndReport>,
}

/// `{"channel","cursor","end"}`: what a close without a message is told.
#[derive(Debug, Serialize)]
struct Closing {
    #[serde(flatten)]
    place: EndReport,
    end: EndReport,
}

impl Receipt {
    /// The receipt of a message in a channel.
    pub fn of(channel: &Channel, stored: Appended) -> Self {
        Receipt {
            channel: channel.to_string(),
            cursor: Cursor::one(channel, stored.position).to_string(),
            id: stored.id,
            duplicate: stored.duplicate,
            end: None,
        }
    }

    /// The problem of what was to follow this message.
    pub fn midway(&self, problem: Problem) -> Problem {
        problem.midway(1, self.cursor.parse().ok().as_ref())
    }

    /// The same, of a message behind which the channel was closed.
    #[must_use]
    pub fn before(mut self, end: Option<EndReport>) -> Self {
        self.end = end;
        self
    }

    /// As JSON text.
    pub fn to_json(&self) -> String {
        // A struct of strings always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Stores one item in the channel of its writer.
pub async fn store(writer: &Writer, channel: &Channel, item: Item) -> Result<Receipt> {
    writer.spend(1)?;
    let stored = writer.append(vec![item.draft(writer)]).await.map_err(|stopped| stopped.error)?;
    stored.into_iter().next().map(|one| Receipt::of(channel, one)).ok_or_else(no_result)
}

/// Closes a channel and nothing else; gives the reply.
pub async fn close_alone(writer: &Writer, channel: &Channel) -> Result<String> {
    let end = close(writer, channel).await?;
    // A struct of strings always serialises.
    Ok(serde_json::to_string(&Closing { place: end.clone(), end }).unwrap_or_default())
}

/// Closes a channel.
pub async fn close(writer: &Writer, channel: &Channel) -> Result<EndReport> {
    Ok(EndReport::new(channel, writer.close().await?.position))
}

/// A broker that answers and does not say where it stored the message.
pub fn no_result() -> Error {
    Error::new(Code::BrokerUnavailable, "the broker gave no result")
}
