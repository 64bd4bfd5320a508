//! One authenticated client: who it is, what it may do, what it reads.

mod identity;
mod subscription;
mod writer;

use std::collections::HashSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Code, Error, Result, Stored};
use crate::feed::Bell;
use crate::hub::Shared;
use crate::log::{Channel, Cursor, Found, Gap, Limit, Message, Position, Start};
use crate::policy::{Delivery, Namespace, Publish, Subscribe};
use crate::presence::Roster;
use crate::reader::Reader;

pub use identity::{Client, Credentials, Identity, Keys};
pub use subscription::{Batch, End, Fact, Subscription};
use subscription::{Joined, weakest};
pub use writer::{Stopped, Writer};

/// A client whose credentials are verified.
#[derive(Clone)]
pub struct Session {
    hub: Arc<Shared>,
    identity: Identity,
}

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

/// A page of messages, over one or many channels.
#[derive(Debug)]
pub struct Read {
    /// What is missing before the messages, and where.
    pub gap: Option<(Channel, Gap)>,
    /// The messages: in order within each channel.
    pub messages: Vec<Arc<Message>>,
    /// Where to read on: one place for each channel.
    pub cursor: Cursor,
    /// Whether more is there now.
    pub more: bool,
    /// When the newest message of these channels was stored.
    pub newest_ms: Option<u64>,
    /// The weakest guarantee of the channels.
    pub delivery: Delivery,
}

/// A channel whose start is found.
struct Place {
    channel: Channel,
    namespace: Arc<Namespace>,
    found: Found,
    recovered: Option<bool>,
}

/// What one channel gives to a page.
struct Share {
    at: Position,
    /// What is missing at `at`, and not told yet.
    gap: Option<Gap>,
    messages: Vec<Arc<Message>>,
    /// Whether the end of the channel was reached.
    ended: bool,
}

/// Channels that one request may name.
const CHANNELS_MAX: usize = Cursor::CHANNELS_MAX;
/// Messages that are read at once from one channel for a page.
const READ_MESSAGES_MAX: usize = 1_000;

impl Session {
    pub(crate) fn new(hub: Arc<Shared>, identity: Identity) -> Self {
        Session { hub, identity }
    }

    /// Who the client is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// When its token ends, in milliseconds since the Unix epoch.
    pub fn expires_ms(&self) -> Option<u64> {
        match &self.identity {
            Identity::Client(client) => Some(client.expires_ms),
            Identity::Anonymous | Identity::Backend => None,
        }
    }

    /// Milliseconds since the Unix epoch, by the node's clock.
    pub fn now_ms(&self) -> u64 {
        self.hub.clock.now_ms()
    }

    /// Checks that a live read can begin: it ends at its token's `exp`, without leeway. One that begins after
    /// that could only end at once, and would come back, and end at once, for as long as the leeway lasts.
    pub fn may_stay(&self) -> Result<()> {
        match self.expires_ms() {
            Some(at_ms) if at_ms <= self.now_ms() => Err(Error::new(
                Code::TokenExpired,
                "the token has expired, and a live read ends with its token",
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Waits for what cuts a request short whose body is still arriving: the node drains, or the token would
    /// be accepted no more.
    pub async fn cut(&self) -> Error {
        let expired = async {
            let Identity::Client(client) = &self.identity else { return pending().await };
            loop {
                match client.refused_ms().saturating_sub(self.now_ms()) {
                    0 => return,
                    left_ms => tokio::time::sleep(Duration::from_millis(left_ms)).await,
                }
            }
        };
        let error = tokio::select! {
            () = self.hub.drained() => Error::new(Code::Draining, "this node is shutting down"),
            () = expired => Error::new(Code::TokenExpired, "the token expired before the body had arrived"),
        };
        error.stored(Stored::No)
    }

    /// Checks the right to administer: an API key.
    pub fn may_administer(&self) -> Result<()> {
        match &self.identity {
            Identity::Backend => Ok(()),
            Identity::Anonymous => Err(no_credentials("this needs an API key")),
            Identity::Client(_) => {
                Err(Error::new(Code::Forbidden, "this needs an API key; a client's token is not enough"))
            }
        }
    }

    /// Checks the right to publish to a channel.
    pub fn writer(&self, channel: &Channel) -> Result<Writer> {
        let namespace = self.hub.policy.of(channel)?;
        let allowed = match (&self.identity, namespace.publish) {
            (Identity::Backend, _) | (Identity::Client(_), Publish::User) => true,
            (Identity::Anonymous, _) => {
                return Err(no_credentials(&format!("publishing to `{channel}` needs credentials")));
            }
            (Identity::Client(_), Publish::Server) => false,
            (Identity::Client(client), Publish::Token) => client.may_publish(channel),
        };
        if !allowed {
            return Err(Error::new(
                Code::Forbidden,
                format!("these credentials do not allow publishing to `{channel}`"),
            ));
        }
        let from = match &self.identity {
            Identity::Client(client) => client.user.clone(),
            Identity::Anonymous | Identity::Backend => None,
        };
        Ok(Writer { hub: self.hub.clone(), channel: channel.clone(), namespace, from })
    }

    /// Checks the right to read all of these channels, or says which one is refused.
    pub fn may_read(&self, channels: &[Channel]) -> Result<()> {
        channels.iter().try_for_each(|channel| self.may_subscribe(channel).map(drop))
    }

    /// Whether reading these channels needed a token, so that no shared cache may keep the answer.
    pub fn is_private(&self, channels: &[Channel]) -> bool {
        channels.iter().any(|channel| {
            self.hub.policy.of(channel).is_ok_and(|namespace| namespace.subscribe != Subscribe::Public)
        })
    }

    /// Reads a page, at once.
    pub async fn read(&self, want: Want, limit: usize) -> Result<Read> {
        let places = self.find(want).await?;
        let mut shares: Vec<_> = places.iter().map(Share::new).collect();
        let mut gap = None;
        let mut left = limit;
        // A page may be too small for a part of each channel: which of them comes to its turn last,
        // and so has most to take, changes with the cursor. Else a busy one would starve the others.
        let turn = turn(&places);
        for step in 0..places.len() {
            let at = (turn + step) % places.len();
            let part = left / (places.len() - step);
            left -= self.fill(&places[at], &mut shares[at], part, &mut gap).await?;
        }
        // A second round gives busy channels what quiet ones left.
        for step in 0..places.len() {
            let at = (turn + step) % places.len();
            if left > 0 && !shares[at].ended {
                left -= self.fill(&places[at], &mut shares[at], left, &mut gap).await?;
            }
        }
        let ends = places.iter().zip(&shares).map(|(place, share)| (&place.channel, share.place()));
        Ok(Read {
            gap,
            cursor: Cursor::composite(ends),
            more: shares.iter().any(|share| !share.ended),
            newest_ms: places.iter().filter_map(|place| place.found.newest_ms).max(),
            delivery: weakest(places.iter().map(|place| place.namespace.delivery)),
            messages: shares.into_iter().flat_map(|share| share.messages).collect(),
        })
    }

    /// Joins the live tails of channels. What was acknowledged to a publisher before this returns comes, or is covered by the cursor.
    pub async fn follow(&self, want: Want) -> Result<Subscription> {
        if self.hub.is_draining() {
            return Err(Error::new(Code::Draining, "this node is shutting down"));
        }
        let places = self.find(want).await?;
        let bell = Arc::new(Bell::new(places.len()));
        let mut joined = Joined {
            readers: Vec::with_capacity(places.len()),
            facts: Vec::with_capacity(places.len()),
            namespaces: Vec::with_capacity(places.len()),
            expires_ms: self.expires_ms(),
            delivered: self
                .hub
                .metrics
                .delivered(places.first().map_or("", |place| place.channel.namespace())),
            members: Vec::new(),
            bell,
        };
        for (number, place) in places.into_iter().enumerate() {
            let rules = place.namespace.rules();
            let Place { channel, namespace, found, recovered } = place;
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let lease = self.hub.feeds.join(&channel, rules, &joined.bell, number);
            let lease = lease.ok_or_else(|| {
                Error::new(Code::Overloaded, "this node follows as many channels as it may")
            })?;
            joined.readers.push(Reader::new(channel.clone(), rules, found.at_before_gap(), found.gap, lease));
            joined.facts.push(Fact { channel, delivery: namespace.delivery, recovered });
            joined.namespaces.push(namespace);
        }
        // Only now, since who is refused at one channel was never in the others.
        for (fact, namespace) in joined.facts.iter().zip(&joined.namespaces) {
            joined.members.extend(self.enter(&fact.channel, namespace));
        }
        Ok(Subscription::new(self.hub.clone(), joined))
    }

    /// Counts a request of a long-poll that was answered at once as presence, until some time after it.
    pub fn linger(&self, channels: &[Channel]) {
        for channel in channels {
            if let Ok(namespace) = self.hub.policy.of(channel)
                && let Some(mut member) = self.enter(channel, &namespace)
            {
                member.linger();
            }
        }
    }

    /// Who is in a channel.
    pub async fn presence(&self, channel: &Channel) -> Result<Roster> {
        let namespace = self.may_subscribe(channel)?;
        if !namespace.presence {
            return Err(Error::new(
                Code::PresenceOff,
                format!("the namespace of `{channel}` keeps no presence"),
            ));
        }
        self.hub.presence.roster(channel).await
    }

    fn enter(&self, channel: &Channel, namespace: &Namespace) -> Option<crate::presence::Member> {
        match &self.identity {
            Identity::Client(client) if namespace.presence => self.hub.presence.enter(channel, client),
            _ => None,
        }
    }

    fn may_subscribe(&self, channel: &Channel) -> Result<Arc<Namespace>> {
        let namespace = self.hub.policy.of(channel)?;
        let allowed = match (&self.identity, namespace.subscribe) {
            (Identity::Backend, _) | (_, Subscribe::Public) | (Identity::Client(_), Subscribe::User) => true,
            (Identity::Anonymous, _) => {
                return Err(no_credentials(&format!("reading `{channel}` needs credentials")));
            }
            (Identity::Client(client), Subscribe::Token) => client.may_subscribe(channel),
        };
        match allowed {
            true => Ok(namespace),
            false => Err(Error::new(
                Code::Forbidden,
                format!("these credentials do not allow reading `{channel}`"),
            )),
        }
    }

    async fn find(&self, want: Want) -> Result<Vec<Place>> {
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

    /// Adds what follows a place to a channel's share of a page, up to `max` messages; returns how many.
    async fn fill(
        &self,
        place: &Place,
        share: &mut Share,
        max: usize,
        told: &mut Option<(Channel, Gap)>,
    ) -> Result<usize> {
        let mut left = max;
        loop {
            if let Some(gap) = share.gap {
                if told.is_some() || !share.messages.is_empty() {
                    // One gap a page, and before its messages: this one is found again from where the reader stands.
                    return Ok(max - left);
                }
                *told = Some((place.channel.clone(), gap));
                share.at = gap.until;
                share.gap = None;
            }
            let end = place.found.end;
            share.ended |= share.at.epoch == end.epoch && share.at.offset >= end.offset;
            if left == 0 || share.ended {
                return Ok(max - left);
            }
            let limit = Limit { messages: left.min(READ_MESSAGES_MAX), bytes: usize::MAX };
            let rules = place.namespace.rules();
            let page = self.hub.broker.read(&place.channel, share.at, limit, &rules).await?;
            if page.gap.is_some() {
                share.gap = page.gap;
                continue;
            }
            share.at = page.messages.last().map_or(share.at, |message| message.position);
            share.ended = page.messages.len() < limit.messages;
            left -= page.messages.len();
            share.messages.extend(page.messages);
        }
    }
}

impl Share {
    fn new(place: &Place) -> Self {
        Share { at: place.found.at, gap: place.found.gap, messages: Vec::new(), ended: false }
    }

    /// Where the reader stands who got this.
    fn place(&self) -> Position {
        self.gap.map_or(self.at, |gap| gap.after.unwrap_or(self.at))
    }
}

/// Whose turn is first: another channel for another cursor, and the same on every node.
fn turn(places: &[Place]) -> usize {
    let sum = places.iter().fold(0u64, |sum, place| sum.wrapping_add(place.found.at.offset));
    let mixed = sum.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    usize::try_from(mixed).unwrap_or(0) % places.len().max(1)
}

impl Found {
    /// Where a reader stands before it reports the gap.
    fn at_before_gap(&self) -> Position {
        self.gap.map_or(self.at, |gap| gap.after.unwrap_or(gap.until))
    }
}

fn no_credentials(detail: &str) -> Error {
    Error::new(Code::NoCredentials, detail)
}
