//! A node: the parts joined, and the order in which they start and stop.

mod certificates;
mod demo;
mod dev;
mod jwks;
mod keys;
mod listener;
mod logging;
mod ops;
mod shutdown;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tidings_core::broker::{Broker, Memory, MemoryLimits};
use tidings_core::{Clock, Control, Hub, Keys, Limits, Metrics, Parts};
use tidings_doors::Doors;
use tidings_doors::http::cors::Cors;
use tokio::sync::watch;

use crate::config::Config;

use certificates::Certificates;
use listener::Listener;
pub use logging::log_to_stderr;
use ops::Ops;
pub use shutdown::stop_signal;

/// A running node.
pub struct Node {
    address: SocketAddr,
    ops_address: Option<SocketAddr>,
    ops: Arc<Ops>,
    drain: Arc<watch::Sender<bool>>,
    grace: Duration,
}

impl Node {
    /// Starts a node: once this returns, it accepts connections.
    pub async fn start(config: &Config) -> anyhow::Result<Node> {
        Node::start_at(config, Clock::system()).await
    }

    /// The same, by a clock of the caller's.
    pub async fn start_at(config: &Config, clock: Clock) -> anyhow::Result<Node> {
        let incarnation = random()?;
        let metrics = Arc::new(Metrics::new());
        let broker = broker(config, &clock)?;
        let keys = keys::of(&config.auth)?;
        let (hub, control) = hub(config, keys, broker, clock.clone(), metrics, incarnation);
        control.follow_revocations();
        let drain = Arc::new(watch::Sender::new(false));
        let ops = Ops::start(hub.clone(), control);
        let doors = Arc::new(Doors {
            hub,
            cors: cors(config),
            heartbeat: *config.heartbeat,
            body_idle: *config.limits.body_idle,
            message_bytes: bytes(config.limits.message_bytes.0),
            connection_channels: usize::try_from(config.limits.connection_channels).unwrap_or(usize::MAX),
            deflate: config.websocket.deflate,
            echo: config.dev,
        });
        let mut router = tidings_doors::router(doors.clone()).merge(ops::router(ops.clone(), config.dev));
        if config.dev {
            router = router.merge(dev::router(config, clock));
        }
        let router = tidings_doors::shared(router, doors.clone());
        let listener = Listener::bind(*config.listen)?;
        let address = listener.address();
        let certificates = config.tls.files().map(Certificates::watch).transpose()?;
        listener.serve(router, certificates, *config.max_lag, drain.clone());
        let ops_address = match &config.ops_listen {
            None => None,
            Some(address) => {
                let listener = Listener::bind(**address)?;
                let address = listener.address();
                let router = tidings_doors::shared(ops::router(ops.clone(), true), doors);
                listener.serve(router, None, *config.max_lag, drain.clone());
                Some(address)
            }
        };
        Ok(Node { address, ops_address, ops, drain, grace: *config.shutdown_grace })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it answers `/metrics`, `/healthz` and `/readyz` without a key, if that is apart.
    pub fn ops_address(&self) -> Option<SocketAddr> {
        self.ops_address
    }

    /// Stops: not ready, every client told to come back elsewhere with its
    /// cursor. Returns when all are gone, or when the grace is over.
    pub async fn stop(self) {
        self.ops.drain();
        self.drain.send_replace(true);
        if tokio::time::timeout(self.grace, self.drain.closed()).await.is_err() {
            tracing::info!("some clients did not leave within shutdown_grace");
        }
    }
}

fn hub(
    config: &Config,
    keys: Keys,
    broker: Arc<dyn Broker>,
    clock: Clock,
    metrics: Arc<Metrics>,
    incarnation: u64,
) -> (Hub, Control) {
    let limits = Limits {
        message_bytes: bytes(config.limits.message_bytes.0),
        feeds: usize::try_from(config.limits.feeds).unwrap_or(usize::MAX),
    };
    Hub::start(Parts {
        broker,
        policy: config.policy(),
        keys: if config.dev { keys.open() } else { keys },
        clock,
        metrics,
        limits,
        incarnation,
    })
}

fn broker(config: &Config, clock: &Clock) -> anyhow::Result<Arc<dyn Broker>> {
    let limits = MemoryLimits {
        bytes: bytes(config.broker.memory_bytes.0),
        idempotency_keys: usize::try_from(config.limits.idempotency_keys).unwrap_or(usize::MAX),
    };
    Ok(Arc::new(Memory::start(clock.clone(), limits, random()?)))
}

fn cors(config: &Config) -> Cors {
    if config.dev {
        Cors::Local
    } else if config.cors.any() {
        Cors::Any
    } else {
        Cors::List(config.cors.origins.clone())
    }
}

fn random() -> anyhow::Result<u64> {
    getrandom::u64().context("the system gives no random numbers")
}

fn bytes(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}
