//! The parts of a node's core, joined: the only object that a door receives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::Notify;

use crate::broker::{Broker, BrokerError};
use crate::clock::Clock;
use crate::cluster::{self, Cluster, Own};
use crate::error::{Code, Error, Result, Stored};
use crate::feed::Feeds;
use crate::limit::{Rates, Seats};
use crate::live::LiveReads;
use crate::log::Channel;
use crate::metrics::Metrics;
use crate::policy::Delivery;
use crate::presence::Presence;
use crate::revocation::Revocations;
use crate::session::{Credentials, Identity, Session};
use crate::settings::{InForce, Settings};

/// What a hub is made of.
pub struct Parts {
    /// Where logs live.
    pub broker: Arc<dyn Broker>,
    /// What the node is set to at first.
    pub settings: Settings,
    /// The time.
    pub clock: Clock,
    /// What the node measures.
    pub metrics: Arc<Metrics>,
    /// A number that no other node, and no other life of this one, has.
    pub incarnation: u64,
}

/// Opens sessions. Cloning shares it.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

/// What the node keeps to steer a hub.
pub struct Control {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) settings: InForce,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) feeds: Feeds,
    pub(crate) presence: Presence,
    pub(crate) revocations: Arc<Revocations>,
    /// The live reads of each user.
    pub(crate) seats: Arc<Seats<Arc<str>>>,
    /// What each user has published lately.
    pub(crate) rates: Rates<Arc<str>>,
    pub(crate) ids: Ids,
    pub(crate) live: LiveReads,
    pub(crate) cluster: Cluster,
    draining: AtomicBool,
    /// Wakes those who wait for the node to drain.
    drained: Notify,
}

/// Makes message ids: the node's incarnation and a counter.
pub(crate) struct Ids {
    incarnation: u64,
    next: AtomicU64,
}

impl Hub {
    /// Joins the parts. Needs a tokio runtime.
    pub fn start(parts: Parts) -> (Hub, Control) {
        let Parts { broker, settings, clock, metrics, incarnation } = parts;
        let shared = Arc::new(Shared {
            feeds: Feeds::new(broker.clone(), settings.limits.feeds),
            presence: Presence::start(broker.clone(), clock.clone(), incarnation),
            revocations: Arc::new(Revocations::new(broker.clone(), clock.clone())),
            seats: Arc::default(),
            rates: Rates::default(),
            ids: Ids { incarnation, next: AtomicU64::new(0) },
            live: LiveReads::default(),
            cluster: Cluster::new(),
            draining: AtomicBool::new(false),
            drained: Notify::new(),
            broker,
            settings: InForce::new(settings),
            clock,
            metrics,
        });
        (Hub { shared: shared.clone() }, Control { shared })
    }

    /// Opens a session: the namespaces must be declared, and the credentials valid, in this order.
    pub fn open(&self, channels: &[Channel], credentials: &Credentials) -> Result<Session> {
        let settings = self.shared.settings.get();
        channels.iter().try_for_each(|channel| settings.policy.of(channel).map(drop))?;
        let identity = settings.keys.verify(credentials, self.shared.clock.now_ms())?;
        if let Identity::Client(client) = &identity
            && self.shared.revocations.cover(client)
        {
            return Err(Error::new(Code::TokenExpired, "the token has been revoked"));
        }
        Ok(Session::new(self.shared.clone(), identity))
    }

    /// As [`Hub::open`]. A token whose key is being fetched waits for it, for a few seconds at most.
    pub async fn admit(&self, channels: &[Channel], credentials: &Credentials) -> Result<Session> {
        let settings = self.shared.settings.get();
        match (self.open(channels, credentials), settings.keys.set()) {
            (Err(Error { code: Code::KeysUnavailable, .. }), Some(keys)) => {
                keys.settled().await;
                self.open(channels, credentials)
            }
            (opened, _) => opened,
        }
    }

    /// Whether reading these channels needs a token, so that no shared cache may keep the answer.
    pub fn is_private(&self, channels: &[Channel]) -> bool {
        self.shared.settings.get().policy.is_private(channels)
    }

    /// The weakest guarantee of these channels.
    pub fn delivery(&self, channels: &[Channel]) -> Delivery {
        self.shared.settings.get().policy.delivery(channels)
    }

    /// Whether the namespaces of all these channels are declared.
    pub fn declared(&self, channels: &[Channel]) -> Result<()> {
        let settings = self.shared.settings.get();
        channels.iter().try_for_each(|channel| settings.policy.of(channel).map(drop))
    }

    /// What the node measures.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.shared.metrics
    }

    /// Whether the node is shutting down.
    pub fn is_draining(&self) -> bool {
        self.shared.is_draining()
    }

    /// Milliseconds since the Unix epoch, by the node's clock.
    pub fn now_ms(&self) -> u64 {
        self.shared.clock.now_ms()
    }
}

impl Control {
    /// Ends every subscription with [`crate::session::End::Draining`] and refuses new ones.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::SeqCst);
        self.shared.drained.notify_waiters();
        self.shared.live.wake_all();
        self.say();
    }

    /// Puts other settings into force, for all that begins from now on. What is under way is judged again:
    /// live reads of credentials that are accepted no more end with [`crate::session::End::Expired`], those of
    /// channels that they may read no more with [`crate::session::End::Refused`]. The others notice nothing.
    pub fn replace(&self, settings: Settings) {
        let shared = &self.shared;
        shared.settings.replace(settings);
        let settings = shared.settings.get();
        shared.feeds.allow(settings.limits.feeds);
        shared.feeds.keep_by(|channel| settings.policy.of(channel).ok().map(|namespace| namespace.rules()));
        shared.live.wake_all();
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.shared.settings.get()
    }

    /// Takes in what other nodes revoke, and what was revoked before this one started. Needs a tokio runtime.
    pub fn follow_revocations(&self) {
        tokio::spawn(self.shared.revocations.clone().follow());
    }

    /// Live subscriptions.
    pub fn subscriptions(&self) -> usize {
        self.shared.live.len()
    }

    /// Channels that are followed.
    pub fn feeds(&self) -> usize {
        self.shared.feeds.following()
    }

    /// Channels that are read and polled, since [`crate::Limits::feeds`] others are followed.
    pub fn feeds_polled(&self) -> usize {
        self.shared.feeds.polling()
    }

    /// Sockets of live reads that have taken nothing for over a second, and for how many milliseconds the longest.
    pub fn stuck(&self) -> (usize, u64) {
        let (count, since_ms) = self.shared.live.stuck();
        (count, since_ms.map_or(0, |since_ms| self.shared.clock.now_ms().saturating_sub(since_ms)))
    }

    /// Joins the nodes that share this node's broker: it says how it is, hears how they are, and answers what they
    /// ask. Needs a tokio runtime.
    pub fn join(&self, own: Own) {
        cluster::join(&self.shared, own);
    }

    /// Says at once how this node is: something has changed.
    pub fn say(&self) {
        self.shared.cluster.say();
    }

    /// Says, as its last word, that this node has stopped.
    pub async fn part(&self) {
        self.shared.part().await;
    }

    /// Waits until an operator wants this node to stop; gives who, as the log is to name it.
    pub async fn told_to_stop(&self) -> String {
        self.shared.cluster.told_to_stop().await
    }

    /// The name of this life of the node among the others.
    pub fn incarnation(&self) -> String {
        self.shared.ids.incarnation()
    }

    /// Whether the broker answers.
    pub async fn broker_ready(&self) -> Result<(), BrokerError> {
        self.shared.broker.ready().await
    }
}

impl Shared {
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Waits until the node drains.
    pub(crate) async fn drained(&self) {
        let mut drained = std::pin::pin!(self.drained.notified());
        // From here on a drain wakes this; one that began before is seen.
        drained.as_mut().enable();
        if !self.draining.load(Ordering::SeqCst) {
            drained.await;
        }
    }
}

impl Ids {
    /// The node's incarnation, as text.
    pub(crate) fn incarnation(&self) -> String {
        format!("{:016x}", self.incarnation)
    }

    pub(crate) fn next(&self) -> Box<str> {
        let mut raw = [0; 15];
        raw[..8].copy_from_slice(&self.incarnation.to_be_bytes());
        // 56 bits of counter: 15 bytes make 20 characters without padding.
        raw[8..].copy_from_slice(&self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes()[1..]);
        URL_SAFE_NO_PAD.encode(raw).into()
    }
}

impl From<BrokerError> for Error {
    fn from(error: BrokerError) -> Self {
        let code = match error {
            BrokerError::Closed(_) => Code::ChannelClosed,
            BrokerError::Unknown => Code::UnknownChannel,
            BrokerError::Full => Code::IdempotencyFull,
            BrokerError::Unavailable(_) | BrokerError::Lost(_) | BrokerError::Corrupt(_) => {
                Code::BrokerUnavailable
            }
        };
        Error::new(code, error.to_string())
    }
}

impl BrokerError {
    /// What the one is told whose write failed so.
    pub(crate) fn of_write(self) -> Error {
        let stored = self.stored();
        Error::from(self).stored(stored)
    }

    /// Whether a write that failed so could have taken effect.
    fn stored(&self) -> Stored {
        match self {
            BrokerError::Lost(_) => Stored::Unknown,
            BrokerError::Closed(_)
            | BrokerError::Unknown
            | BrokerError::Unavailable(_)
            | BrokerError::Full
            | BrokerError::Corrupt(_) => Stored::No,
        }
    }
}
