//! The broker over NATS JetStream, for several nodes: a stream a namespace, a subject a channel.
//!
//! The newest record of a channel says all that there is to know of it (`record`, `state`), and
//! each record builds on the one before it, or the server refuses it (`append`). Live comes by a
//! plain subscription to what the stream republishes (`tail`), the past by direct gets (`fetch`,
//! `read`). No consumer exists. docs/nats.md has what this promises, and what it costs.

mod api;
mod append;
mod fetch;
mod index;
mod life;
mod link;
mod log;
mod mark;
mod name;
mod once;
mod options;
mod place;
mod read;
mod record;
mod shape;
mod shared;
mod slots;
mod state;
mod stream;
mod sweep;
mod tail;
mod version;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tidings_core::Clock;
use tidings_core::broker::{AppendError, Broker, BrokerError, Promise, Tail};
use tidings_core::log::{
    Appended, Channel, Created, Draft, Found, Limit, Page, Position, Rules, Start, Terms,
};
use tokio::task::JoinHandle;

pub use options::Options;

use link::Link;
use log::Log;
use name::Names;
use shared::Shared;

/// Logs in a NATS JetStream, which several nodes share.
#[derive(Debug)]
pub struct Nats {
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

/// `ready` is to return within a second.
const READY_MAX: Duration = Duration::from_millis(900);

impl Nats {
    /// A broker of this server, which may be absent: the broker is ready when it has come. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Unavailable`] where the file of credentials cannot be read.
    pub fn open(clock: Clock, options: &Options) -> Result<Self, BrokerError> {
        let (link, connecting) = Link::open(options)?;
        let names = Names::new(&options.prefix);
        let shared = Arc::new(Shared::new(link, names, clock, options.replicas));
        let watching = tokio::spawn(sweep::run(Arc::downgrade(&shared)));
        Ok(Nats { shared, tasks: [connecting, watching] })
    }

    /// The channel again, where its stream was found to be another one than before.
    async fn again<'a>(&'a self, log: Log<'a>, error: BrokerError) -> Result<Log<'a>, BrokerError> {
        if !matches!(error, BrokerError::Unavailable(_)) || log.stream.known().is_some() {
            return Err(error);
        }
        self.shared.log(log.channel, &log.rules).await
    }
}

#[async_trait]
impl Broker for Nats {
    fn promise(&self) -> Promise {
        Promise {
            kind: "nats",
            stored: match self.shared.replicas {
                ..=1 => {
                    "in the stream of one NATS server: a crash of the server loses nothing; a power failure loses \
                     what its sync_interval leaves open, two minutes unless it is set to always"
                }
                _ => {
                    "in the stream of most of the NATS servers that have a copy: the loss of fewer than half of \
                     them loses nothing"
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
        let log = self.shared.log(channel, rules).await.map_err(nothing)?;
        match log.append(&drafts).await {
            // Nothing is stored yet.
            Err(AppendError { stored, error }) if stored.is_empty() => {
                self.again(log, error).await.map_err(nothing)?.append(&drafts).await
            }
            done => done,
        }
    }

    async fn find(&self, channel: &Channel, start: Start, rules: &Rules) -> Result<Found, BrokerError> {
        let log = self.shared.log(channel, rules).await?;
        match log.find(start).await {
            Err(error) => self.again(log, error).await?.find(start).await,
            done => done,
        }
    }

    async fn read(
        &self,
        channel: &Channel,
        after: Position,
        limit: Limit,
        rules: &Rules,
    ) -> Result<Page, BrokerError> {
        let log = self.shared.log(channel, rules).await?;
        match log.page(after, limit).await {
            Err(error) => self.again(log, error).await?.page(after, limit).await,
            done => done,
        }
    }

    async fn follow(&self, channel: &Channel, rules: &Rules) -> Result<Tail, BrokerError> {
        let log = self.shared.log(channel, rules).await?;
        match log.follow(&self.shared).await {
            Err(error) => self.again(log, error).await?.follow(&self.shared).await,
            done => done,
        }
    }

    async fn create(&self, channel: &Channel, terms: Terms, rules: &Rules) -> Result<Created, BrokerError> {
        let log = self.shared.log(channel, rules).await?;
        match log.create(terms).await {
            Err(error) => self.again(log, error).await?.create(terms).await,
            done => done,
        }
    }

    async fn delete(&self, channel: &Channel, rules: &Rules) -> Result<bool, BrokerError> {
        let log = self.shared.log(channel, rules).await?;
        match log.delete().await {
            Err(error) => self.again(log, error).await?.delete().await,
            done => done,
        }
    }

    async fn ready(&self) -> Result<(), BrokerError> {
        sweep::answers(&self.shared, READY_MAX).await?;
        self.shared.link.full().map_or(Ok(()), |why| Err(BrokerError::Unavailable(why)))
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        // Whoever follows must not wait for a broker that is gone.
        self.shared.link.cut();
    }
}
