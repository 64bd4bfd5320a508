//! The broker of one node that loses nothing: logs in an embedded store, SQLite, in one folder.
//!
//! One thread writes. It takes what all publishers have sent meanwhile, stores it as one
//! transaction with one fsync, and only then answers them and hands the messages to followers
//! (`writer`). Another moves what it has written from the log into the store's file (`wal`). Reads run beside it, on connections of their own (`readers`). What a log's bounds
//! are is kept in memory for the channels in use (`slots`, `state`), and found again in the store
//! for the others, so that neither the number of channels nor of messages matters for a start.

mod append;
mod damage;
mod files;
mod idempotency;
mod life;
mod mark;
mod measures;
mod queue;
mod read;
mod readers;
mod row;
mod shared;
mod slots;
mod state;
mod store;
mod trim;
mod wal;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream;
use prometheus_client::registry::Registry;
use tidings_core::Clock;
use tidings_core::broker::{AppendError, Broker, BrokerError, Promise, Tail};
use tidings_core::log::{
    Appended, Channel, Created, Draft, Found, Limit, Page, Position, Rules, Start, Terms,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use shared::{At, Shared};
use writer::{Change, Done, Request, Writer};

/// Logs in a folder on this machine's disk.
#[derive(Debug)]
pub struct Disk {
    shared: Arc<Shared>,
    writer: Writer,
    clock: Clock,
    sync: Sync,
}

/// Where and how a disk broker stores.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder, which is made if it is not there. One process uses it at a time.
    pub path: PathBuf,
    /// When what is stored is forced onto the disk.
    pub sync: Sync,
}

/// When what is stored is forced onto the disk, and so what a publisher's 200 means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Before it is acknowledged: publishers that write at the same time share one fsync.
    EveryWrite,
    /// So often. Until then a message that was acknowledged is with the operating system: it
    /// outlives the process, and not a power failure.
    Every(Duration),
}

/// Messages that wait for a feed; one that is further behind reads the log instead.
const FOLLOW_MESSAGES: usize = 1_024;
/// Looks at a channel that ends meanwhile.
const LOOKS: usize = 3;
/// Messages handed to a feed at once.
const FOLLOW_BATCH: usize = 64;

impl Disk {
    /// Opens the folder, and makes it if it is not there. Its own thread writes until the value is dropped.
    ///
    /// Must be called where blocking is allowed; takes milliseconds, however much is stored,
    /// unless another process holds the folder, for which it waits two seconds.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Unavailable`] where the folder cannot be used, with what to do about it;
    /// [`BrokerError::Corrupt`] where what it holds is no store of this broker, or is damaged.
    pub fn open(clock: Clock, options: &Options) -> Result<Self, BrokerError> {
        let (shared, store) = Shared::open(&options.path)?;
        let shared = Arc::new(shared);
        let writer = Writer::start(shared.clone(), store, clock.clone(), options.sync)?;
        Ok(Disk { shared, writer, clock, sync: options.sync })
    }
}

impl Disk {
    /// Has a channel changed by the thread that writes.
    async fn change(&self, channel: &Channel, change: Change, rules: &Rules) -> Result<Done, BrokerError> {
        let (answer, answered) = oneshot::channel();
        let (channel, now_ms) = (channel.clone(), self.clock.now_ms());
        self.writer.send(Request { channel, rules: *rules, now_ms, change, answer }).await?;
        let gone = || BrokerError::Lost("the broker has stopped".into());
        answered.await.unwrap_or_else(|_gone| Err(gone()))
    }

    /// Looks at a channel, which is deleted before that if its time to live has passed.
    async fn look<T: Send + 'static>(
        &self,
        channel: &Channel,
        rules: &Rules,
        look: impl Fn(At<'_>, &Channel, &Rules) -> read::Looked<T> + Clone + Send + 'static,
    ) -> Result<T, BrokerError> {
        for _ in 0..LOOKS {
            let (look, channel_, rules_) = (look.clone(), channel.clone(), *rules);
            let looked = self.shared.clone().reading(move |at| look(at, &channel_, &rules_)).await?;
            if let Some(found) = looked {
                return Ok(found);
            }
            self.change(channel, Change::Over, rules).await?;
        }
        Err(BrokerError::Unavailable("the channel ends again and again".into()))
    }
}

fn other_answer() -> BrokerError {
    BrokerError::Lost("the answer is to something else".into())
}

#[async_trait]
impl Broker for Disk {
    fn promise(&self) -> Promise {
        Promise {
            kind: "disk",
            stored: match self.sync {
                Sync::EveryWrite => "on the disk of this node: neither a crash nor a power failure loses it",
                Sync::Every(_) => {
                    "with the operating system of this node, which writes it to disk within the time that is \
                     configured: a crash of the node loses nothing, a power failure the last of it"
                }
            },
            survives_restart: true,
            exact_retention: true,
            shared_idempotency: true,
        }
    }

    async fn append(
        &self,
        channel: &Channel,
        drafts: Vec<Draft>,
        rules: &Rules,
    ) -> Result<Vec<Appended>, AppendError> {
        let nothing = |error| AppendError { stored: Vec::new(), error };
        let began = Instant::now();
        let done = self.change(channel, Change::Append(drafts), rules).await;
        self.shared.measures.append(began.elapsed());
        match done.map_err(nothing)? {
            Done::Appended(appended, None) => Ok(appended),
            Done::Appended(stored, Some(error)) => Err(AppendError { stored, error }),
            Done::Created(_) | Done::Deleted(_) => Err(nothing(other_answer())),
        }
    }

    async fn find(&self, channel: &Channel, start: Start, rules: &Rules) -> Result<Found, BrokerError> {
        let now_ms = self.clock.now_ms();
        self.look(channel, rules, move |at, channel, rules| read::find(at, channel, start, rules, now_ms))
            .await
    }

    async fn read(
        &self,
        channel: &Channel,
        after: Position,
        limit: Limit,
        rules: &Rules,
    ) -> Result<Page, BrokerError> {
        let now_ms = self.clock.now_ms();
        let page = move |at: At<'_>, channel: &Channel, rules: &Rules| {
            read::page(at, channel, after, limit, rules, now_ms)
        };
        self.look(channel, rules, page).await
    }

    async fn follow(&self, channel: &Channel, rules: &Rules) -> Result<Tail, BrokerError> {
        let (sender, receiver) = mpsc::channel(FOLLOW_MESSAGES);
        let now_ms = self.clock.now_ms();
        let follow =
            move |at: At<'_>, channel: &Channel, _: &Rules| read::follow(at, channel, sender.clone(), now_ms);
        let from = self.look(channel, rules, follow).await?;
        let items = stream::unfold(receiver, |mut receiver| async move {
            let mut batch = Vec::new();
            receiver.recv_many(&mut batch, FOLLOW_BATCH).await;
            (!batch.is_empty()).then_some((batch, receiver))
        });
        Ok(Tail { from, items: Box::pin(items) })
    }

    async fn create(&self, channel: &Channel, terms: Terms, rules: &Rules) -> Result<Created, BrokerError> {
        match self.change(channel, Change::Create(terms), rules).await? {
            Done::Created(created) => Ok(created),
            Done::Appended(..) | Done::Deleted(_) => Err(other_answer()),
        }
    }

    async fn delete(&self, channel: &Channel, rules: &Rules) -> Result<bool, BrokerError> {
        match self.change(channel, Change::Delete, rules).await? {
            Done::Deleted(was_there) => Ok(was_there),
            Done::Appended(..) | Done::Created(_) => Err(other_answer()),
        }
    }

    async fn ready(&self) -> Result<(), BrokerError> {
        self.shared.health.check(&self.clock)
    }

    fn measure(&self, registry: &mut Registry) {
        self.shared.measures.register(registry);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.writer.stop();
        // Whoever follows must not wait for a thread that is gone.
        self.shared.slots.let_go();
    }
}
