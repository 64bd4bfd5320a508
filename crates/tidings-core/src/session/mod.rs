//! One authenticated client: who it is, what it may do, what it reads.

mod identity;
mod page;
mod subscription;

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Code, Error, Result, Stored};
use crate::feed::Bell;
use crate::hub::Shared;
use crate::log::{Appended, Channel, Cursor, Draft, Found, Position, Start};
use crate::policy::{Delivery, Namespace, Publish, Subscribe};
use crate::presence::Roster;
use crate::reader::Reader;

pub use identity::{Client, Credentials, Identity, Keys};
pub use page::Read;
pub use subscription::{Batch, End, Fact, Subscription};
use subscription::{Joined, weakest};

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

/// The right to publish to one channel.
pub struct Writer {
    hub: Arc<Shared>,
    channel: Channel,
    namespace: Arc<Namespace>,
    from: Option<Arc<str>>,
}

/// An append of which a prefix was stored.
#[derive(Debug)]
pub struct Stopped {
    /// The messages that are stored.
    pub stored: Vec<Appended>,
    /// Why the rest is not.
    pub error: Error,
}

/// A channel whose start is found.
struct Place {
    channel: Channel,
    namespace: Arc<Namespace>,
    found: Found,
    recovered: Option<bool>,
}

/// Channels that one request may name.
const CHANNELS_MAX: usize = Cursor::CHANNELS_MAX;

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

    /// The weakest guarantee of these channels.
    pub fn delivery(&self, channels: &[Channel]) -> Delivery {
        weakest(channels.iter().filter_map(|channel| self.hub.policy.of(channel).ok()).map(|n| n.delivery))
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

    /// Counts a long-poll as presence until some time after its last request.
    pub fn linger(&self, channels: &[Channel]) {
        for channel in channels {
            if let Ok(namespace) = self.hub.policy.of(channel)
                && let Some(member) = self.enter(channel, &namespace)
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
}

impl Writer {
    /// The largest message that it takes, in bytes.
    pub fn message_bytes_max(&self) -> usize {
        self.hub.limits.message_bytes
    }

    /// A draft's id where its publisher gave none: unique on all nodes.
    pub fn new_id(&self) -> Box<str> {
        self.hub.ids.next()
    }

    /// Checks a draft against the limits of this node.
    pub fn check(&self, draft: &Draft) -> Result<()> {
        let (bytes, most) = (draft.payload.bytes.len(), self.hub.limits.message_bytes);
        if bytes > most {
            return Err(Error::new(
                Code::TooLarge,
                format!("the message has {bytes} bytes, of at most {most}"),
            ));
        }
        Ok(())
    }

    /// Stores drafts in order; see [`crate::broker::Broker::append`].
    pub async fn append(&self, mut drafts: Vec<Draft>) -> Result<Vec<Appended>, Stopped> {
        let stop = |error: Error| Stopped { stored: Vec::new(), error };
        if self.hub.is_draining() {
            return Err(stop(Error::new(Code::Draining, "this node is shutting down").stored(Stored::No)));
        }
        for draft in &mut drafts {
            self.check(draft).map_err(stop)?;
            draft.from.clone_from(&self.from);
            // What is kept must not keep the buffer that it came in, which may be far larger.
            draft.payload.bytes = Bytes::copy_from_slice(&draft.payload.bytes);
        }
        let result = self.hub.broker.append(&self.channel, drafts, &self.namespace.rules()).await;
        match result {
            Ok(appended) => {
                let new = appended.iter().filter(|one| !one.duplicate).count() as u64;
                self.hub.metrics.published(self.channel.namespace(), new);
                Ok(appended)
            }
            Err(failed) => {
                let stored = failed.error.stored();
                Err(Stopped { stored: failed.stored, error: Error::from(failed.error).stored(stored) })
            }
        }
    }
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
