//! The broker of one node that loses nothing: logs in an embedded store, SQLite, in one folder.
//!
//! One thread writes. It takes what all publishers have sent meanwhile, stores it as one
//! transaction with one fsync, and only then answers them and hands the messages to followers
//! (`writer`). Reads run beside it, on connections of their own (`readers`). What a log's bounds
//! are is kept in memory for the channels in use (`slots`, `state`), and found again in the store
//! for the others, so that neither the number of channels nor of messages matters for a start.

mod append;
mod files;
mod idempotency;
mod life;
mod mark;
mod read;
mod readers;
mod row;
mod shared;
mod slots;
mod state;
mod store;
mod trim;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream;
use tidings_core::Clock;
use tidings_core::broker::{AppendError, Broker, BrokerError, Promise, Tail};
use tidings_core::log::{Appended, Channel, Draft, Found, Limit, Page, Position, Rules, Start};
use tokio::sync::{mpsc, oneshot};

use shared::Shared;
use writer::{Request, Writer};

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
        let (answer, answered) = oneshot::channel();
        let now_ms = self.clock.now_ms();
        let request = Request { channel: channel.clone(), drafts, rules: *rules, now_ms, answer };
        let nothing = |error| AppendError { stored: Vec::new(), error };
        self.writer.send(request).await.map_err(nothing)?;
        let gone = || nothing(BrokerError::Lost("the broker has stopped".into()));
        answered.await.unwrap_or_else(|_gone| Err(gone()))
    }

    async fn find(&self, channel: &Channel, start: Start, rules: &Rules) -> Result<Found, BrokerError> {
        let (channel, rules, now_ms) = (channel.clone(), *rules, self.clock.now_ms());
        self.shared.clone().reading(move |at| read::find(at, &channel, start, &rules, now_ms)).await
    }

    async fn read(
        &self,
        channel: &Channel,
        after: Position,
        limit: Limit,
        rules: &Rules,
    ) -> Result<Page, BrokerError> {
        let (channel, rules, now_ms) = (channel.clone(), *rules, self.clock.now_ms());
        self.shared.clone().reading(move |at| read::page(at, &channel, after, limit, &rules, now_ms)).await
    }

    async fn follow(&self, channel: &Channel, _rules: &Rules) -> Result<Tail, BrokerError> {
        let (sender, receiver) = mpsc::channel(FOLLOW_MESSAGES);
        let channel = channel.clone();
        let from = self.shared.clone().reading(move |at| read::follow(at, &channel, sender)).await?;
        let items = stream::unfold(receiver, |mut receiver| async move {
            let mut batch = Vec::new();
            receiver.recv_many(&mut batch, FOLLOW_BATCH).await;
            (!batch.is_empty()).then_some((batch, receiver))
        });
        Ok(Tail { from, items: Box::pin(items) })
    }

    async fn ready(&self) -> Result<(), BrokerError> {
        self.shared.health.check(&self.clock)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.writer.stop();
        // Whoever follows must not wait for a thread that is gone.
        self.shared.slots.let_go();
    }
}
