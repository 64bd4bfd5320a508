//! Tokens that are refused before they end.
//!
//! A revocation is a message of an internal log, which every node follows into
//! a table of its own. So it holds on each node of a broker, and for as long as
//! the broker keeps logs: on the memory broker until the node restarts.

mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use slab::Slab;
use tokio::sync::Notify;

use crate::broker::{Broker, BrokerError, answer, answer_append};
use crate::clock::Clock;
use crate::error::{Code, Error, Result};
use crate::feed::Bell;
use crate::log::{Below, Channel, Draft, Limit, Message, Retain, Rules, Start};
use crate::session::Client;

use table::{Entry, Table};

/// Which tokens a revocation is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Whom {
    /// Those of a user (`sub`) that were made before it: by their `iat`, and all that have none.
    User(String),
    /// The one with this `jti`.
    #[serde(rename = "jti")]
    Token(String),
}

/// What was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// Until when it holds, in milliseconds since the Unix epoch.
    pub until_ms: u64,
    /// Live reads of this node that ended.
    pub ended: usize,
}

/// The revocations that hold on this node, and the live reads that they would end.
pub(crate) struct Revocations {
    broker: Arc<dyn Broker>,
    clock: Clock,
    table: RwLock<Table>,
    /// So that who has nothing to look for takes no lock.
    count: AtomicUsize,
    live: Mutex<Slab<(Arc<Bell>, Arc<Client>)>>,
    changed: Notify,
}

/// A live read that ends with its token. Dropping it ends the watch.
pub(crate) struct Watch {
    revocations: Arc<Revocations>,
    at: usize,
    client: Arc<Client>,
}

/// As it stands in the log.
#[derive(Serialize, Deserialize)]
struct Record {
    whom: Whom,
    at_ms: u64,
    until_ms: u64,
}

/// Revocations that hold at once.
const COUNT_MAX: usize = 100_000;
/// Bytes of a user id or a `jti`.
const NAME_BYTES_MAX: usize = 255;
/// How long a revocation holds where nothing is said: longer than most tokens.
const HOLDS_MS: u64 = 30 * DAY_MS;
/// How long it may hold.
const HOLDS_MS_MAX: u64 = 366 * DAY_MS;
const DAY_MS: u64 = 24 * 3_600_000;
const PAGE: Limit = Limit { messages: 1_000, bytes: usize::MAX };
/// Before the log is followed again.
const RETRY: Duration = Duration::from_secs(1);

/// How the log is kept.
const RULES: Rules = Rules {
    retain: Retain { messages: 10 * COUNT_MAX as u64, age_ms: HOLDS_MS_MAX },
    compact: true,
    dedupe_ms: 0,
    implicit: true,
    below: Below::Oldest,
    durable: true,
};

impl Revocations {
    pub(crate) fn new(broker: Arc<dyn Broker>, clock: Clock) -> Self {
        Revocations {
            broker,
            clock,
            table: RwLock::new(Table::new(COUNT_MAX)),
            count: AtomicUsize::new(0),
            live: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Whether a token is revoked.
    pub(crate) fn cover(&self, client: &Client) -> bool {
        self.count.load(Ordering::Acquire) > 0 && self.table.read().covers(client, self.clock.now_ms())
    }

    /// Wakes a read when its token is revoked.
    pub(crate) fn watch(self: &Arc<Self>, bell: &Arc<Bell>, client: &Arc<Client>) -> Watch {
        let at = self.live.lock().insert((bell.clone(), client.clone()));
        // A revocation goes into the table before it looks for reads: one that missed this one is seen here.
        if self.cover(client) {
            client.revoke();
        }
        Watch { revocations: self.clone(), at, client: client.clone() }
    }

    /// Waits until a token is revoked.
    pub(crate) async fn revoked(&self, client: &Client) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // From here on a revocation wakes this; one that came before is seen.
            changed.as_mut().enable();
            if self.cover(client) {
                return;
            }
            changed.await;
        }
    }

    /// Revokes. When this returns it is stored, at the broker's promise, and holds on this node.
    pub(crate) async fn revoke(&self, whom: Whom, until_ms: Option<u64>) -> Result<Revoked> {
        let bad = |detail: &str| Err(Error::new(Code::BadRevocation, detail));
        let (kind, name) = match &whom {
            Whom::User(name) => ("user", name),
            Whom::Token(name) => ("jti", name),
        };
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return bad("`user` or `jti` has to have 1 to 255 bytes");
        }
        let at_ms = self.clock.now_ms();
        let until_ms = until_ms.unwrap_or(at_ms + HOLDS_MS);
        if until_ms <= at_ms {
            return bad("`until` has passed");
        }
        if until_ms > at_ms + HOLDS_MS_MAX {
            return bad("`until` is more than 366 days from now");
        }
        let key = format!("{kind}/{name}");
        let record = Record { whom, at_ms, until_ms };
        // Before it is stored, so that what does not fit is on no node; and again when the log brings it.
        let ended = self.apply(&record)?;
        // A struct of strings and numbers always serialises.
        let data = serde_json::to_string(&record).unwrap_or_default();
        let draft = Draft::of_key(key, data);
        let appended = answer_append(self.broker.append(&log(), vec![draft], &RULES)).await;
        appended.map_err(|stopped| {
            let stored = stopped.error.stored();
            Error::from(stopped.error).stored(stored)
        })?;
        Ok(Revoked { until_ms, ended })
    }

    /// Puts one into force; gives how many live reads it ended.
    fn apply(&self, record: &Record) -> Result<usize> {
        let Record { whom, at_ms, until_ms } = record;
        let now_ms = self.clock.now_ms();
        {
            let mut table = self.table.write();
            let entry = Entry { at_ms: *at_ms, until_ms: *until_ms };
            table.insert(whom, entry, now_ms).map_err(|_full| {
                let detail = format!("{COUNT_MAX} revocations hold already");
                Error::new(Code::RevocationsFull, detail)
            })?;
            self.count.store(table.len(), Ordering::Release);
        }
        let mut ended = 0;
        for (_, (bell, client)) in self.live.lock().iter() {
            if !client.is_revoked() && whom.names(client) && self.cover(client) {
                client.revoke();
                bell.wake();
                ended += 1;
            }
        }
        self.changed.notify_waiters();
        Ok(ended)
    }

    /// Reads the log and follows it, until nobody else holds this.
    pub(crate) async fn follow(self: Arc<Self>) {
        let weak = Arc::downgrade(&self);
        drop(self);
        while let Some(revocations) = weak.upgrade() {
            let followed = revocations.tail().await;
            drop(revocations);
            if let Ok(mut items) = followed {
                while let Some(messages) = items.next().await {
                    let Some(revocations) = weak.upgrade() else { return };
                    messages.iter().for_each(|message| revocations.take(message));
                }
            }
            // It ended, and says why nowhere: what it missed is read from the log.
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Takes in what the log has, and gives what comes after it.
    async fn tail(&self) -> Result<futures_core::stream::BoxStream<'static, Vec<Arc<Message>>>, BrokerError> {
        let log = log();
        let tail = answer(self.broker.follow(&log, &RULES)).await?;
        let mut at = answer(self.broker.find(&log, Start::Earliest, &RULES)).await?.at;
        loop {
            let page = answer(self.broker.read(&log, at, PAGE, &RULES)).await?;
            if let Some(gap) = page.gap {
                // What is gone from the log has ended, or holds here all the same.
                at = gap.until;
                continue;
            }
            let Some(last) = page.messages.last() else { return Ok(tail.items) };
            at = last.position;
            page.messages.iter().for_each(|message| self.take(message));
        }
    }

    fn take(&self, message: &Message) {
        let Ok(record) = serde_json::from_slice::<Record>(&message.payload.bytes) else { return };
        if record.until_ms > self.clock.now_ms()
            && let Err(error) = self.apply(&record)
        {
            tracing::warn!(%error, "a revocation of another node cannot be kept");
        }
    }
}

impl Whom {
    fn names(&self, client: &Client) -> bool {
        match self {
            Whom::User(name) => client.user.as_deref() == Some(name),
            Whom::Token(id) => client.id.as_deref() == Some(id),
        }
    }
}

impl Watch {
    /// Whether the token was revoked.
    pub(crate) fn is_revoked(&self) -> bool {
        self.client.is_revoked()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.revocations.live.lock().try_remove(self.at);
    }
}

fn log() -> Channel {
    Channel::internal("revocations", "all")
}
