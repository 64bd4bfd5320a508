//! What becomes of a request: the part that waits for the broker.
//!
//! It has no hold on the connection. What it found is then applied to the
//! connection's readers at once, between two writes.

use bytes::Bytes;
use serde_json::value::RawValue;
use tidings_core::log::Start;
use tidings_core::{
    Channel, Code, Credentials, Error, Hub, Place, Result, Session, Want, WatchPlace, Watcher,
};

use crate::receipt;

use super::reply;
use super::request::Ask;

/// What is to be done on the connection.
pub(super) enum Done {
    /// Say this.
    Reply(Bytes),
    /// Read one more channel, from this place; and watch its presence.
    Join(Box<Joining>),
    /// Read a channel no more.
    Leave(Channel),
    /// Go on as this session.
    Refresh(Session),
}

/// A channel to read.
pub(super) struct Joining {
    pub(super) place: Place,
    pub(super) watcher: Option<Watcher>,
}

/// Finds what a request asks for. `watch` is a free place among the watches of the connection.
pub(super) async fn answer(
    hub: Hub,
    session: Session,
    watch: Result<WatchPlace>,
    id: Box<RawValue>,
    ask: Ask,
) -> Result<Done> {
    match ask {
        Ask::Subscribe { channel, from, presence } => {
            session.may_stay()?;
            let want = Want { channels: vec![channel.clone()], from, default: Start::Latest };
            let mut places = session.find(want).await?;
            let watcher = match presence {
                true => Some(session.watch(&channel, &watch?).await?),
                false => None,
            };
            let place = places.pop().ok_or_else(|| Error::new(Code::BadFrame, "there is no such channel"))?;
            Ok(Done::Join(Box::new(Joining { place, watcher })))
        }
        Ask::Unsubscribe(channel) => Ok(Done::Leave(channel)),
        Ask::Publish { channel, item } => {
            let receipt = receipt::store(&session.writer(&channel)?, &channel, *item).await?;
            Ok(Done::Reply(reply::published(&id, receipt)))
        }
        Ask::Presence(channel) => {
            let roster = session.presence(&channel).await?;
            Ok(Done::Reply(reply::presence(&id, &channel, &roster)))
        }
        Ask::History { channel, from, limit } => {
            let want = Want { channels: vec![channel], from, default: Start::Earliest };
            let read = session.read(want, limit).await?;
            Ok(Done::Reply(reply::history(&id, &read)))
        }
        Ask::Refresh(token) => refresh(&hub, &session, token).map(Done::Refresh),
    }
}

/// Opens the session that goes on from here: of the same user, or of the first who is named.
pub(super) fn refresh(hub: &Hub, session: &Session, token: String) -> Result<Session> {
    let next = hub.open(&[], &Credentials::Bearer(token))?;
    next.may_stay()?;
    match (session.user(), next.user()) {
        (Some(before), now) if now != Some(before) => Err(Error::new(
            Code::Forbidden,
            "the token is of another user than this connection: open another",
        )),
        _ => Ok(next),
    }
}
