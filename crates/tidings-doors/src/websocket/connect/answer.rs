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

use crate::consumer::Acknowledged;
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
    /// Go on as this session, and do what else the first frame asked for.
    Begin(Session, Option<Box<Result<Done>>>),
    /// Say this, and end the connection.
    Unfit(Error),
}

/// A channel to read.
pub(super) struct Joining {
    pub(super) place: Place,
    pub(super) watcher: Option<Watcher>,
}

/// A request on its way to the broker.
pub(super) struct Asking {
    pub(super) hub: Hub,
    pub(super) session: Session,
    /// A free place among the watches of the connection, for who needs one.
    pub(super) watch: Result<WatchPlace>,
    /// What its reply repeats.
    pub(super) id: Option<Box<RawValue>>,
}

impl Asking {
    /// Finds what a frame asks for, under the token that it brings, if it brings one.
    pub(super) async fn answer(mut self, token: Option<String>, ask: Option<Ask>) -> Result<Done> {
        let begun = match token {
            None => None,
            Some(token) => match self.refreshed(token).await {
                Ok(session) => Some(session),
                // Without the token that it was to have, the connection is of no use.
                Err(error) => return Ok(Done::Unfit(error)),
            },
        };
        if let Some(session) = &begun {
            self.session = session.clone();
        }
        let found = match ask {
            Some(ask) => Some(self.find(ask).await),
            None => None,
        };
        match (begun, found) {
            (Some(session), found) => Ok(Done::Begin(session, found.map(Box::new))),
            (None, Some(found)) => found,
            (None, None) => Err(Error::new(Code::BadFrame, "the frame asks for nothing")),
        }
    }

    async fn find(self, ask: Ask) -> Result<Done> {
        let session = &self.session;
        let id = self.id.as_deref();
        match ask {
            Ask::Subscribe { channel, from, consumer, presence } => {
                session.may_stay()?;
                let channels = vec![channel.clone()];
                let want = Want { channels, from, consumer, default: Start::Latest };
                let mut places = session.find(want).await?;
                let watcher = match presence {
                    true => Some(session.watch(&channel, &self.watch?).await?),
                    false => None,
                };
                let place =
                    places.pop().ok_or_else(|| Error::new(Code::BadFrame, "there is no such channel"))?;
                Ok(Done::Join(Box::new(Joining { place, watcher })))
            }
            Ask::Ack { channel, consumer, cursor } => {
                let at = session.acknowledge(&channel, &consumer, &cursor).await?;
                let acknowledged = Acknowledged::new(&channel, &consumer, Some(at));
                Ok(Done::Reply(reply::acknowledged(id, acknowledged)))
            }
            Ask::Unsubscribe(channel) => Ok(Done::Leave(channel)),
            Ask::Publish { channel, item } => {
                let receipt = receipt::store(&session.writer(&channel)?, &channel, *item).await?;
                Ok(Done::Reply(reply::published(id, receipt)))
            }
            Ask::Presence(channel) => {
                let roster = session.presence(&channel).await?;
                Ok(Done::Reply(reply::presence(id, &channel, &roster)))
            }
            Ask::History { channel, from, limit } => {
                let channels = vec![channel];
                let want = Want { channels, from, consumer: None, default: Start::Earliest };
                let read = session.read(want, limit).await?;
                Ok(Done::Reply(reply::history(id, &read)))
            }
            Ask::Refresh(token) => self.refreshed(token).await.map(Done::Refresh),
        }
    }

    /// Opens the session that goes on from here: of the same user, or of the first who is named.
    async fn refreshed(&self, token: String) -> Result<Session> {
        let next = self.hub.admit(&[], &Credentials::Bearer(token)).await?;
        next.may_stay()?;
        match (self.session.user(), next.user()) {
            (Some(before), now) if now != Some(before) => Err(Error::new(
                Code::Forbidden,
                "the token is of another user than this connection: open another",
            )),
            _ => Ok(next),
        }
    }
}
