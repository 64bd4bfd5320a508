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
mod name;
mod once;
mod options;
mod place;
mod read;
mod record;
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
    pub async fn open(clock: Clock, options: &Options) -> Result<Self, BrokerError> {
        let (link, connecting) = Link::open(options).await?;
        let names = Names::new(&options.prefix);
        let shared = Arc::new(Shared::new(link, names, clock, options.replicas));
        let watching = tokio::spawn(sweep::run(Arc::downgrade(&shared)));
        Ok(Nats { shared, tasks: [connecting, watching] })
    }

    /// Does something with a channel. Where its stream is found to be another one than before, once more.
    async fn with<'a, T>(
        &'a self,
        channel: &'a Channel,
        rules: &Rules,
        work: impl AsyncFn(&Log<'a>) -> Result<T, BrokerError>,
    ) -> Result<T, BrokerError> {
        let log = self.shared.log(channel, rules).await?;
        match work(&log).await {
            Err(BrokerError::Unavailable(_)) if log.stream.known().is_none() => {
                work(&self.shared.log(channel, rules).await?).await
            }
            done => done,
        }
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
        mut drafts: Vec<Draft>,
        rules: &Rules,
    ) -> Result<Vec<Appended>, AppendError> {
        let nothing = |error| AppendError { stored: Vec::new(), error };
        let log = self.shared.log(channel, rules).await.map_err(nothing)?;
        let all = drafts.clone();
        let AppendError { mut stored, error } = match log.append(all).await {
            Ok(stored) => return Ok(stored),
            Err(error) => error,
        };
        // The stream is another one than before: nothing but what was answered is stored.
        if !matches!(error, BrokerError::Unavailable(_)) || log.stream.known().is_some() || !stored.is_empty() {
            return Err(AppendError { stored, error });
        }
        let log = self.shared.log(channel, rules).await.map_err(nothing)?;
        stored.extend(log.append(std::mem::take(&mut drafts)).await?);
        Ok(stored)
    }

    async fn find(&self, channel: &Channel, start: Start, rules: &Rules) -> Result<Found, BrokerError> {
        self.with(channel, rules, async |log| log.find(start).await).await
    }

    async fn read(
        &self,
        channel: &Channel,
        after: Position,
        limit: Limit,
        rules: &Rules,
    ) -> Result<Page, BrokerError> {
        self.with(channel, rules, async |log| log.page(after, limit).await).await
    }

    async fn follow(&self, channel: &Channel, rules: &Rules) -> Result<Tail, BrokerError> {
        self.with(channel, rules, async |log| log.follow(&self.shared).await).await
    }

    async fn create(&self, channel: &Channel, terms: Terms, rules: &Rules) -> Result<Created, BrokerError> {
        self.with(channel, rules, async |log| log.create(terms).await).await
    }

    async fn delete(&self, channel: &Channel, rules: &Rules) -> Result<bool, BrokerError> {
        self.with(channel, rules, async |log| log.delete().await).await
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
