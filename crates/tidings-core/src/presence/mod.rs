//! Who is in a channel: joins and leaves in a companion log, folded to members.
//!
//! Each node writes a record when a user's first connection on it opens, when
//! the last is gone, and when what is said of the user changes, under its own
//! incarnation, into a compacted log that belongs to the channel. One log of
//! leases says which nodes live; what a dead node wrote ends with its lease. So
//! cost grows with changes, and it works on every broker. Who asks reads what
//! was written since somebody asked last.

mod fold;
mod local;
mod roster;
mod watch;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::broker::{AppendError, Broker, answer_append};
use crate::clock::Clock;
use crate::error::Result;
use crate::feed::Bell;
use crate::log::{Below, Channel, Draft, Message, Retain, Rules};
use crate::session::Client;

use fold::{Fold, Folds};
use local::{Local, Place};
pub use roster::{Present, Roster};
use watch::Watched;
pub use watch::{Change, Watcher};

/// This node's part in presence, and the way to read everybody's.
pub(crate) struct Presence {
    shared: Arc<Shared>,
}

struct Shared {
    broker: Arc<dyn Broker>,
    clock: Clock,
    incarnation: u64,
    local: Mutex<Local>,
    changed: Notify,
    /// Until when each node lives.
    leases: tokio::sync::Mutex<Fold<u64>>,
    /// What the other nodes say of a channel.
    others: Folds<Present>,
    watched: Watched,
}

/// One connection of one user to one channel. Dropping it leaves, as if the connection was lost.
pub(crate) struct Member {
    shared: Arc<Shared>,
    place: Place,
    since_ms: u64,
    stays_ms: u64,
}

/// When the lease is due again, and the epoch of the log that it was last written to.
#[derive(Default)]
struct Renewal {
    due_ms: u64,
    epoch: Option<u64>,
}

/// A node's word that it lives.
#[derive(Serialize, Deserialize)]
struct Lease {
    until_ms: u64,
}

/// A clean close: back within this, and nobody learns of it.
const STAY_CLEAN_MS: u64 = 2_000;
/// A connection that broke.
const STAY_LOST_MS: u64 = 10_000;
/// A long-poll, after its last request.
const STAY_POLL_MS: u64 = 30_000;
/// A node's members outlive its death by at most this.
const LEASE_MS: u64 = 30_000;
/// The end of a lease is looked at no sooner.
const LEASE_END_MIN: Duration = Duration::from_millis(20);
const RENEW: Duration = Duration::from_secs(10);
/// Records expire after a day; those that still hold are written again long before.
const REFRESH_MS: u64 = 8 * 3_600_000;
const RETRY: Duration = Duration::from_secs(1);

/// How companion logs are kept.
const RULES: Rules = Rules {
    retain: Retain { messages: 1_000_000, age_ms: 24 * 3_600_000 },
    compact: true,
    dedupe_ms: 0,
    implicit: true,
    below: Below::Oldest,
    durable: false,
};

impl Presence {
    /// Starts this node's part. Its task ends with the value.
    pub(crate) fn start(broker: Arc<dyn Broker>, clock: Clock, incarnation: u64) -> Self {
        let shared = Arc::new(Shared {
            broker,
            clock,
            incarnation,
            local: Mutex::default(),
            changed: Notify::new(),
            leases: tokio::sync::Mutex::default(),
            others: Folds::default(),
            watched: Watched::default(),
        });
        let weak = Arc::downgrade(&shared);
        tokio::spawn(async move {
            let mut renewal = Renewal::default();
            loop {
                let Some(shared) = weak.upgrade() else { return };
                let wait = shared.work(&mut renewal).await;
                let changed = async {
                    shared.changed.notified().await;
                };
                // Whichever comes first: a change, or something falling due. It ends within RENEW once the value is dropped.
                let _ = tokio::time::timeout(wait, changed).await;
            }
        });
        Presence { shared }
    }

    /// Counts a connection of a user. `None` where the token names nobody.
    pub(crate) fn enter(&self, channel: &Channel, client: &Client) -> Option<Member> {
        let place = Place { channel: channel.clone(), user: client.user.clone()? };
        let info = client.info.as_ref().map(|info| info.get().into());
        let since_ms = self.shared.local.lock().enter(&place, info, self.shared.clock.now_ms());
        self.shared.changed.notify_one();
        Some(Member { shared: self.shared.clone(), place, since_ms, stays_ms: STAY_LOST_MS })
    }

    /// Who is in a channel, on all nodes.
    pub(crate) async fn roster(&self, channel: &Channel) -> Result<Roster> {
        self.shared.roster(channel).await
    }

    /// Begins to watch who is in a channel.
    pub(crate) async fn watch(&self, channel: &Channel, bell: &Arc<Bell>, number: u32) -> Result<Watcher> {
        self.shared.watch(channel, bell, number).await
    }
}

impl Shared {
    /// Who is in a channel, on all nodes.
    async fn roster(&self, channel: &Channel) -> Result<Roster> {
        let Shared { broker, clock, .. } = self;
        let now_ms = clock.now_ms();
        let alive: HashSet<Box<str>> = {
            let mut leases = self.leases.lock().await;
            leases.read_on(broker, &lease_log(), now_ms, Lease::until_ms).await?;
            leases.iter().filter(|(_, until_ms)| **until_ms > now_ms).map(|(node, _)| node.into()).collect()
        };
        let log = companion(channel);
        let others = self.others.of(&log, now_ms);
        let mut others = others.lock().await;
        // What this node wrote, it knows better by itself: what is not written yet counts as well.
        let own = self.node();
        let record = |message: &Message| match node_of(message.key.as_deref().unwrap_or("")) == own {
            true => None,
            false => Present::from_json(&message.payload.bytes),
        };
        others.read_on(broker, &log, now_ms, record).await?;
        let others = others.iter().filter(|(key, _)| alive.contains(node_of(key)));
        let own = {
            let mut local = self.local.lock();
            local.let_go(clock.now_ms());
            local.members(channel)
        };
        Ok(Roster::of(others.map(|(_, present)| present.clone()).chain(own)))
    }

    /// How long until the next lease that is known ends, if nobody renews it.
    async fn until_lease_ends(&self) -> Option<Duration> {
        let now_ms = self.clock.now_ms();
        let leases = self.leases.lock().await;
        let next = leases.iter().map(|(_, until_ms)| *until_ms).filter(|until_ms| *until_ms > now_ms).min();
        next.map(|until_ms| Duration::from_millis(until_ms - now_ms).max(LEASE_END_MIN))
    }

    /// Does what is due, and says how long nothing else will be.
    async fn work(&self, renewal: &mut Renewal) -> Duration {
        let now_ms = self.clock.now_ms();
        self.others.forget(now_ms);
        let (due, occupied) = {
            let mut local = self.local.lock();
            local.let_go(now_ms);
            local.refresh(now_ms, REFRESH_MS);
            (local.take_changes(), !local.is_empty())
        };
        if occupied && now_ms >= renewal.due_ms {
            let Ok(epoch) = self.renew_lease(now_ms).await else {
                self.local.lock().put_back(due);
                return RETRY;
            };
            // Another epoch: the broker lost what was written, of this log and of all others.
            if renewal.epoch.replace(epoch).is_some_and(|before| before != epoch) {
                self.local.lock().write_again();
            }
            renewal.due_ms = now_ms + RENEW.as_millis() as u64;
        }
        let mut due = due.into_iter();
        while let Some((place, record)) = due.next() {
            let key = format!("{}/{}", self.node(), place.user);
            let data = match &record {
                Some(present) => present.to_json(),
                None => "null".into(),
            };
            if self.write(&companion(&place.channel), key, data).await.is_err() {
                let rest = std::iter::once((place, record)).chain(due).collect();
                self.local.lock().put_back(rest);
                return RETRY;
            }
        }
        let next_ms = self.local.lock().next_due_ms();
        let until_due =
            next_ms.map(|at| Duration::from_millis(at.saturating_sub(self.clock.now_ms()).max(10)));
        until_due.unwrap_or(RENEW).min(RENEW)
    }

    /// Gives the epoch of the log that the lease was written to.
    async fn renew_lease(&self, now_ms: u64) -> Result<u64, AppendError> {
        // A struct of a number always serialises.
        let data = serde_json::to_string(&Lease { until_ms: now_ms + LEASE_MS }).unwrap_or_default();
        self.write(&lease_log(), self.node(), data).await
    }

    /// The name of this node, and of this life of it.
    fn node(&self) -> String {
        format!("{:016x}", self.incarnation)
    }

    async fn write(&self, channel: &Channel, key: String, data: String) -> Result<u64, AppendError> {
        let draft = Draft::of_key(key, data);
        let appended = answer_append(self.broker.append(channel, vec![draft], &RULES)).await?;
        Ok(appended.first().map_or(0, |one| one.position.epoch))
    }
}

impl Member {
    /// Says that the connection ends in good order.
    pub(crate) fn left_cleanly(&mut self) {
        self.stays_ms = STAY_CLEAN_MS;
    }

    /// Says that this is a request of a long-poll: the user stays for the next, however it ends.
    pub(crate) fn linger(&mut self) {
        self.stays_ms = STAY_POLL_MS;
    }
}

impl Lease {
    fn until_ms(message: &Message) -> Option<u64> {
        serde_json::from_slice::<Lease>(&message.payload.bytes).ok().map(|lease| lease.until_ms)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let until_ms = self.shared.clock.now_ms() + self.stays_ms;
        self.shared.local.lock().leave(&self.place, self.since_ms, until_ms);
        self.shared.changed.notify_one();
    }
}

fn companion(channel: &Channel) -> Channel {
    Channel::internal("presence", channel.as_str())
}

fn lease_log() -> Channel {
    Channel::internal("nodes", "leases")
}

/// The node that wrote a record, by its key.
fn node_of(key: &str) -> &str {
    key.split_once('/').map_or("", |(node, _)| node)
}
