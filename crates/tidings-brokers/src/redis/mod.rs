//! The broker of several nodes over Redis 7 or Valkey: each channel is a stream.
//!
//! Whatever changes a channel is one script, so that it happens as a whole or not at all, whichever
//! node asks (`scripts/`, `log`): idempotency keys are looked up, messages appended, the log trimmed,
//! and followers told, with the messages themselves. A node holds one connection for what it asks of
//! a server and one for what it follows there (`server`, `topics`). In a cluster it does so with each
//! primary (`routes`). What an epoch is made of, and how it is noticed that a server has lost
//! something, is in `scripts/life.lua` and in docs/redis.md.

mod answer;
mod call;
mod copies;
mod epoch;
mod fault;
mod identity;
mod log;
mod name;
mod routes;
mod script;
mod server;
mod tail;
mod target;
mod topics;
mod value;
mod witness;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use async_trait::async_trait;
use tidings_core::broker::{AppendError, Broker, BrokerError, Promise, Tail};
use tidings_core::log::{
    Appended, Channel, Created, Draft, Found, Limit, Page, Position, Rules, Start, Terms,
};
use tokio::task::JoinHandle;

use call::Calls;
use log::Logs;
use name::{Bucket, Names};
use routes::Routes;
use script::Scripts;
use witness::Witness;

/// Logs in a Redis server, or in several.
#[derive(Debug)]
pub struct Redis {
    logs: Arc<Logs>,
    /// Keeps the connections.
    task: JoinHandle<()>,
}

/// Which servers, and how they are used.
#[derive(Clone)]
pub struct Options {
    /// `redis://` or `rediss://` (TLS), with a host, and a user and password if need be: one server, a
    /// primary and its replicas, or some servers of a cluster.
    pub urls: Vec<String>,
    /// A password in place of that in the URLs.
    pub password: Option<String>,
    /// The certificates, in PEM, of those who may sign a server's; the system's, if none.
    pub ca: Option<Vec<u8>>,
    /// What all keys and topics begin with; no braces. Nodes with the same prefix share their channels.
    pub prefix: String,
    /// How many replicas must have a message before it is acknowledged, and before readers get it.
    pub replicas: u32,
    /// How long they are waited for; after that it is not known whether it is stored.
    pub wait_timeout: Duration,
}

impl fmt::Debug for Options {
    /// Without the URLs, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("prefix", &self.prefix).field("replicas", &self.replicas).finish()
    }
}

impl Redis {
    /// A broker over these servers. They need not be there yet: until they are, every call says why not.
    /// Its own tasks connect until the value is dropped, so it needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Unavailable`] where the options make no sense, with what to do about it.
    pub fn start(options: &Options) -> Result<Self, BrokerError> {
        let targets = target::targets(options)?;
        let names = Names::new(&options.prefix);
        let witness = Arc::new(Witness::new());
        let copies = (options.replicas > 0).then_some((options.replicas, options.wait_timeout));
        let routes = Routes::new(targets, names.clone(), witness.clone(), copies);
        let calls = Calls { names, scripts: Scripts::new(), routes, witness };
        let logs = Logs { calls, copied: copies.is_some(), settling: AtomicUsize::new(0) };
        let logs = Arc::new(logs);
        let task = tokio::spawn({
            let logs = logs.clone();
            async move { logs.calls.run().await }
        });
        Ok(Redis { logs, task })
    }
}

#[async_trait]
impl Broker for Redis {
    fn promise(&self) -> Promise {
        Promise {
            kind: "redis",
            stored: if self.logs.copied {
                "in the Redis primary and in as many replicas as are configured: the loss of the primary loses \
                 nothing, where one of those takes its place"
            } else {
                "in the Redis primary: a restart keeps what the server has on its disk (appendonly, appendfsync), \
                 a failover what the replica had; what may be lost is told by a gap"
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
        self.logs.append(channel, &drafts, rules).await
    }

    async fn find(&self, channel: &Channel, start: Start, rules: &Rules) -> Result<Found, BrokerError> {
        self.logs.find(channel, start, rules).await
    }

    async fn read(
        &self,
        channel: &Channel,
        after: Position,
        limit: Limit,
        rules: &Rules,
    ) -> Result<Page, BrokerError> {
        self.logs.read(channel, after, limit, rules).await
    }

    async fn follow(&self, channel: &Channel, rules: &Rules) -> Result<Tail, BrokerError> {
        let server = self.logs.calls.routes.of(Bucket::of(channel))?;
        server.link()?;
        // First to follow, then to look where it begins: what comes between the two is in both.
        let following = server.topics.follow(channel).await?;
        let (from, ttl) = self.logs.end(channel, rules).await?;
        Ok(tail::tail(following, from, ttl))
    }

    async fn create(&self, channel: &Channel, terms: Terms, rules: &Rules) -> Result<Created, BrokerError> {
        self.logs.create(channel, terms, rules).await
    }

    async fn delete(&self, channel: &Channel, rules: &Rules) -> Result<bool, BrokerError> {
        self.logs.delete(channel, rules).await
    }

    async fn ready(&self) -> Result<(), BrokerError> {
        self.logs.calls.routes.ready()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.task.abort();
        // Whoever follows must not wait for connections that are gone.
        self.logs.calls.routes.close();
    }
}
