//! Who is in a channel: joins and leaves in a companion log, folded to members.
//!
//! Each node writes a record when a user's first connection on it opens and
//! when the last is gone, under its own incarnation, into a compacted log that
//! belongs to the channel. One log of leases says which nodes live; what a dead
//! node wrote ends with its lease. So cost grows with changes, and it works on
//! every broker.

mod local;
mod roster;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Notify;

use crate::broker::{AppendError, Broker, answer_append};
use crate::clock::Clock;
use crate::error::Result;
use crate::log::{Below, Channel, Draft, Kind, Once, Payload, Retain, Rules};
use crate::session::Client;

use local::{Local, Place};
pub use roster::{Present, Roster};

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
}

/// One connection of one user to one channel. Dropping it leaves, as if the connection was lost.
pub(crate) struct Member {
    shared: Arc<Shared>,
    place: Place,
    stays_ms: u64,
}

/// A clean close: back within this, and nobody learns of it.
const STAY_CLEAN_MS: u64 = 2_000;
/// A connection that broke.
const STAY_LOST_MS: u64 = 10_000;
/// A long-poll, after its last request.
const STAY_POLL_MS: u64 = 30_000;
/// A node's members outlive its death by at most this.
const LEASE_MS: u64 = 30_000;
const RENEW: Duration = Duration::from_secs(10);
/// Records expire after a day; those that still hold are written again long before.
const REFRESH_MS: u64 = 8 * 3_600_000;
const RETRY: Duration = Duration::from_secs(1);

/// How companion logs are kept.
const RULES: Rules = Rules {
    retain: Retain { messages: 1_000_000, age_ms: 24 * 3_600_000 },
    compact: true,
    dedupe_ms: 0,
    below: Below::Oldest,
    durable: false,
};

impl Presence {
    /// Starts this node's part. Its task ends with the value.
    pub(crate) fn start(broker: Arc<dyn Broker>, clock: Clock, incarnation: u64) -> Self {
        let local = Mutex::new(Local::default());
        let shared = Arc::new(Shared { broker, clock, incarnation, local, changed: Notify::new() });
        let weak = Arc::downgrade(&shared);
        tokio::spawn(async move {
            let mut renew_at_ms = 0;
            loop {
                let Some(shared) = weak.upgrade() else { return };
                let wait = shared.work(&mut renew_at_ms).await;
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
        self.shared.local.lock().enter(&place, info, self.shared.clock.now_ms());
        self.shared.changed.notify_one();
        Some(Member { shared: self.shared.clone(), place, stays_ms: STAY_LOST_MS })
    }

    /// Who is in a channel, on all nodes.
    pub(crate) async fn roster(&self, channel: &Channel) -> Result<Roster> {
        // What this node knows and has not written yet counts as well.
        let Shared { broker, clock, incarnation, .. } = &*self.shared;
        let mut roster = roster::Fold::new(*incarnation, clock.now_ms());
        roster.read_leases(broker, &leases()).await?;
        roster.read_records(broker, &companion(channel)).await?;
        Ok(roster.finish(self.shared.local.lock().members(channel)))
    }
}

impl Shared {
    /// Does what is due, and says how long nothing else will be.
    async fn work(&self, renew_at_ms: &mut u64) -> Duration {
        let now_ms = self.clock.now_ms();
        let (due, occupied) = {
            let mut local = self.local.lock();
            local.let_go(now_ms);
            local.refresh(now_ms, REFRESH_MS);
            (local.take_changes(), !local.is_empty())
        };
        if occupied && now_ms >= *renew_at_ms {
            if self.renew_lease(now_ms).await.is_err() {
                self.local.lock().put_back(due);
                return RETRY;
            }
            *renew_at_ms = now_ms + RENEW.as_millis() as u64;
        }
        let mut due = due.into_iter();
        while let Some((place, record)) = due.next() {
            let key = format!("{:016x}/{}", self.incarnation, place.user);
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

    async fn renew_lease(&self, now_ms: u64) -> Result<(), AppendError> {
        let data = json!({ "until_ms": now_ms + LEASE_MS }).to_string();
        self.write(&leases(), format!("{:016x}", self.incarnation), data).await
    }

    async fn write(&self, channel: &Channel, key: String, data: String) -> Result<(), AppendError> {
        let draft = Draft {
            id: key.as_str().into(),
            once: Once::No,
            event: None,
            key: Some(key.into()),
            payload: Payload { kind: Kind::Json, bytes: Bytes::from(data) },
            from: None,
        };
        answer_append(self.broker.append(channel, vec![draft], &RULES)).await.map(drop)
    }
}

impl Member {
    /// Says that the connection ends in good order.
    pub(crate) fn left_cleanly(&mut self) {
        self.stays_ms = STAY_CLEAN_MS;
    }

    /// Ends this request of a long-poll; the user stays for the next.
    pub(crate) fn linger(mut self) {
        self.stays_ms = STAY_POLL_MS;
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let until_ms = self.shared.clock.now_ms() + self.stays_ms;
        self.shared.local.lock().leave(&self.place, until_ms);
        self.shared.changed.notify_one();
    }
}

fn companion(channel: &Channel) -> Channel {
    Channel::internal("presence", channel.as_str())
}

fn leases() -> Channel {
    Channel::internal("nodes", "leases")
}
