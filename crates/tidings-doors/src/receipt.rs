//! What a publisher is told of a message that is stored: the same at every door.

use serde::Serialize;
use tidings_core::log::Appended;
use tidings_core::{Channel, Code, Cursor, Error, Result, Writer};

use crate::item::Item;

/// `{"channel","cursor","id","duplicate"}`.
#[derive(Debug, Serialize)]
pub struct Receipt {
    channel: String,
    cursor: String,
    id: Box<str>,
    duplicate: bool,
}

impl Receipt {
    /// The receipt of a message in a channel.
    pub fn of(channel: &Channel, stored: Appended) -> Self {
        Receipt {
            channel: channel.to_string(),
            cursor: Cursor::one(channel, stored.position).to_string(),
            id: stored.id,
            duplicate: stored.duplicate,
        }
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

/// A broker that answers and does not say where it stored the message.
pub fn no_result() -> Error {
    Error::new(Code::BrokerUnavailable, "the broker gave no result")
}
