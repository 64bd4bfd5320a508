//! Where the reads of a session begin.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::{Code, Error, Result};
use crate::log::{Channel, Cursor, Found, Position, Start};
use crate::policy::Namespace;

use super::Session;

/// Which channels to read, and from where.
#[derive(Debug, Clone)]
pub struct Want {
    /// The channels; doubles are folded.
    pub channels: Vec<Channel>,
    /// Where to begin.
    pub from: From,
    /// Where a channel begins that `from` does not cover.
    pub default: Start,
}

/// Where a read begins, as a client says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// Not said.
    Default,
    /// With the oldest message kept.
    Earliest,
    /// With what comes next.
    Latest,
    /// With the N newest messages of each channel.
    Last(u64),
    /// After the places of a cursor.
    Cursor(Cursor),
    /// After a cursor that nobody can read: begins with a gap.
    Unreadable,
}

/// A channel whose start is found.
pub(super) struct Place {
    pub(super) channel: Channel,
    pub(super) namespace: Arc<Namespace>,
    pub(super) found: Found,
    pub(super) recovered: Option<bool>,
}

/// Channels that one request may name.
const CHANNELS_MAX: usize = Cursor::CHANNELS_MAX;

impl Session {
    /// Finds where each channel begins: all of them, or none.
    pub(super) async fn find(&self, want: Want) -> Result<Vec<Place>> {
        let mut seen = HashSet::new();
        let channels: Vec<_> =
            want.channels.into_iter().filter(|channel| seen.insert(channel.clone())).collect();
        // All or nothing, and rights before the query.
        let namespaces = channels.iter().map(|channel| self.may_subscribe(channel));
        let namespaces = namespaces.collect::<Result<Vec<_>>>()?;
        if channels.len() > CHANNELS_MAX {
            let detail = format!("{} channels in one request, of at most {CHANNELS_MAX}", channels.len());
            return Err(Error::new(Code::TooManyChannels, detail));
        }
        if let From::Cursor(cursor) = &want.from
            && !channels.iter().any(|channel| cursor.get(channel).is_some())
        {
            return Err(Error::new(Code::BadCursor, "the cursor covers none of the channels asked for"));
        }
        let mut places = Vec::with_capacity(channels.len());
        for (channel, namespace) in channels.into_iter().zip(namespaces) {
            let given = match &want.from {
                From::Cursor(cursor) => cursor.get(&channel).map(Start::After),
                From::Unreadable => Some(Start::Unreadable),
                From::Earliest => Some(Start::Earliest),
                From::Latest => Some(Start::Latest),
                From::Last(n) => Some(Start::Last(*n)),
                From::Default => None,
            };
            let start = given.unwrap_or(want.default);
            let found = self.hub.broker.find(&channel, start, &namespace.rules()).await?;
            let from_cursor = matches!(start, Start::After(_) | Start::Unreadable);
            let recovered = from_cursor.then_some(found.gap.is_none());
            places.push(Place { channel, namespace, found, recovered });
        }
        Ok(places)
    }
}

impl Found {
    /// Where a reader stands before it reports the gap.
    pub(super) fn at_before_gap(&self) -> Position {
        self.gap.map_or(self.at, |gap| gap.after.unwrap_or(gap.until))
    }
}
