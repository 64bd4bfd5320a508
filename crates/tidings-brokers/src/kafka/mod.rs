//! The broker over Kafka, for several nodes: a topic a namespace, a channel a key.
//!
//! Kafka refuses no record for what stands before it, so a record is a proposal, and its place in the
//! partition decides: every node that needs a partition reads all of it, in one order, and comes to the
//! same state of each channel (`view`, `chain`), and whoever wrote a record waits until it has read it
//! (`shared`). A node keeps where a channel's messages are, and not what they say: the past is a scan
//! (`scan`). docs/kafka.md has what this promises, and what it costs.

mod chain;
mod keep;
mod link;
mod live;
mod log;
mod name;
mod once;
mod options;
mod place;
mod read;
mod record;
mod scan;
mod shared;
mod topic;
mod view;

use std::sync::Arc;

use async_trait::async_trait;
use tidings_core::Clock;
use tidings_core::broker::{AppendError, Broker, BrokerError, Promise, Tail};
use tidings_core::log::{
    Appended, Channel, Created, Draft, Found, Limit, Page, Position, Rules, Start, Terms,
};
use tokio::task::JoinHandle;

pub use options::{Login, Options};

use link::Link;
use shared::Shared;
use topic::Shape;

/// Logs in Kafka, which several nodes share.
#[derive(Debug)]
pub struct Kafka {
    shared: Arc<Shared>,
    replicas: u8,
    keeping: JoinHandle<()>,
}

impl Kafka {
    /// A broker of these servers, which may be absent: the broker is ready when they have come. Needs a tokio
    /// runtime.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Unavailable`] where the file of certificates cannot be read, or the options make no sense.
    pub fn open(clock: Clock, options: &Options) -> Result<Self, BrokerError> {
        let link = Link::open(options)?;
        let shape = Shape { replicas: options.replicas, partitions: options.partitions };
        let shared = Arc::new(Shared::new(link, clock, &options.prefix, shape, options.held_bytes)?);
        let keeping = tokio::spawn(keep::run(Arc::downgrade(&shared)));
        Ok(Kafka { shared, replicas: options.replicas, keeping })
    }
}

#[async_trait]
impl Broker for Kafka {
    fn promise(&self) -> Promise {
        Promise {
            kind: "kafka",
            stored: match self.replicas {
                ..=1 => {
                    "in a topic of one Kafka server (acks=all): its crash loses nothing; a power failure what it had \
                     not flushed"
                }
                _ => {
                    "in a topic on every in-sync Kafka server that has a copy (acks=all), more than half of the \
                     copies: the loss of fewer than half of them loses nothing"
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
        let log = self.shared.log(channel, rules).await;
        let nothing = |error| AppendError { stored: Vec::new(), error };
        log.map_err(nothing)?.append(drafts).await
    }

    async fn find(&self, channel: &Channel, start: Start, rules: &Rules) -> Result<Found, BrokerError> {
        self.shared.log(channel, rules).await?.find(start).await
    }

    async fn read(
        &self,
        channel: &Channel,
        after: Position,
        limit: Limit,
        rules: &Rules,
    ) -> Result<Page, BrokerError> {
        self.shared.log(channel, rules).await?.page(after, limit).await
    }

    async fn follow(&self, channel: &Channel, rules: &Rules) -> Result<Tail, BrokerError> {
        self.shared.log(channel, rules).await?.follow().await
    }

    async fn create(&self, channel: &Channel, terms: Terms, rules: &Rules) -> Result<Created, BrokerError> {
        self.shared.log(channel, rules).await?.create(terms).await
    }

    async fn delete(&self, channel: &Channel, rules: &Rules) -> Result<bool, BrokerError> {
        self.shared.log(channel, rules).await?.delete().await
    }

    async fn ready(&self) -> Result<(), BrokerError> {
        self.shared.link.ready().await
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.keeping.abort();
        // Whoever follows must not wait for a broker that is gone.
        self.shared.end_all();
    }
}
