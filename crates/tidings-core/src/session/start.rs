//! Where the reads of a session begin.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::broker::answer;
use crate::error::{Code, Error, Result};
use crate::log::{Channel, Cursor, Found, Position, Rules, Start};
use crate::policy::Namespace;

use super::consumer::{Consumer, Places};
use super::{Judge, Session};

/// Which channels to read, and from where.
#[derive(Debug, Clone)]
pub struct Want {
    /// The channels; doubles are folded.
    pub channels: Vec<Channel>,
    /// Where to begin.
    pub from: From,
    /// Who begins after what it acknowledged last; only one that is new begins at `from`.
    pub consumer: Option<Consumer>,
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

/// A channel whose start is found; see [`Session::join`].
pub struct Place {
    pub(super) channel: Channel,
    pub(super) namespace: Arc<Namespace>,
    pub(super) rules: Rules,
    /// The number of the settings that it was judged by.
    pub(super) judged_by: u64,
    pub(super) found: Found,
    pub(super) recovered: Option<bool>,
}

/// Channels that one request may name.
const CHANNELS_MAX: usize = Cursor::CHANNELS_MAX;
/// Questions to the broker that one request has under way: a hundred channels are
/// not a hundred waits one after the other, and do not flood the broker either.
pub(super) const ASKED_AT_ONCE: usize = 16;

impl Session {
    /// Finds where each channel begins: all of them, or none.
    pub async fn find(&self, want: Want) -> Result<Vec<Place>> {
        let mut seen = HashSet::new();
        let channels: Vec<_> =
            want.channels.into_iter().filter(|channel| seen.insert(channel.clone())).collect();
        // All or nothing, and rights before the query.
        let Judge { settings, number, identity } = self.judge()?;
        let namespaces = channels.iter().map(|channel| settings.may_subscribe(&identity, channel));
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
        let places =
            want.consumer.as_ref().map(|consumer| self.places_of(&channels, consumer)).transpose()?;
        let mut kept = match &places {
            Some(places) => self.all_kept(places).await?.into_iter(),
            None => Vec::new().into_iter(),
        };
        let asked: Vec<_> = channels
            .into_iter()
            .zip(namespaces)
            .map(|(channel, namespace)| {
                let kept = kept.next().flatten().map(Start::After);
                let start = kept.or_else(|| want.from.start(&channel)).unwrap_or(want.default);
                (channel, namespace.rules(), start, namespace)
            })
            .collect();
        let broker = &self.hub.broker;
        let finds =
            asked.iter().map(|(channel, rules, start, _)| answer(broker.find(channel, *start, rules)));
        let finds: Vec<_> = finds.collect();
        let found: Vec<Found> = stream::iter(finds).buffered(ASKED_AT_ONCE).try_collect().await?;
        let missing =
            asked.iter().zip(&found).find(|((_, rules, ..), found)| !rules.implicit && !found.created);
        if let Some(((channel, ..), _)) = missing {
            return Err(Error::new(Code::UnknownChannel, format!("nobody created the channel `{channel}`")));
        }
        if let Some(places) = places {
            self.begin_consumers(&places, &found).await?;
        }
        let places = asked.into_iter().zip(found).map(|((channel, rules, start, namespace), found)| {
            let from_cursor = matches!(start, Start::After(_) | Start::Unreadable);
            let recovered = from_cursor.then_some(found.gap.is_none());
            Place { channel, namespace, rules, judged_by: number, found, recovered }
        });
        Ok(places.collect())
    }
}

impl Session {
    /// The log of a consumer's places in each channel.
    fn places_of(&self, channels: &[Channel], consumer: &Consumer) -> Result<Vec<Places>> {
        channels.iter().map(|channel| self.places(channel, consumer)).collect()
    }

    async fn all_kept(&self, places: &[Places]) -> Result<Vec<Option<Position>>> {
        let kept: Vec<_> = places.iter().map(|places| self.kept(places)).collect();
        stream::iter(kept).buffered(ASKED_AT_ONCE).try_collect().await
    }

    /// A new consumer has its place from where it begins, or what came before its first
    /// acknowledgement would not come again.
    async fn begin_consumers(&self, places: &[Places], found: &[Found]) -> Result<()> {
        for (places, found) in places.iter().zip(found) {
            if self.kept(places).await?.is_none() {
                self.keep(places, found.at).await?;
            }
        }
        Ok(())
    }
}

impl From {
    /// Where a channel begins, if this says it.
    fn start(&self, channel: &Channel) -> Option<Start> {
        match self {
            From::Default => None,
            From::Earliest => Some(Start::Earliest),
            From::Latest => Some(Start::Latest),
            From::Last(n) => Some(Start::Last(*n)),
            From::Cursor(cursor) => cursor.get(channel).map(|position| match position {
                // The place of one who was not told yet that its cursor cannot be read.
                Position { epoch: 0, .. } => Start::Unreadable,
                position => Start::After(position),
            }),
            From::Unreadable => Some(Start::Unreadable),
        }
    }
}

impl Place {
    /// Where a reader stands before it is told of the gap.
    pub(super) fn before_gap(&self) -> Position {
        self.found.gap.map_or(self.found.at, |gap| gap.begins_at())
    }
}
