//! A node: the parts joined, and the order in which they start and stop.

mod admission;
mod certificates;
mod demo;
mod dev;
mod jwks;
mod keys;
mod listener;
mod logging;
mod ops;
mod proxy_header;
mod shutdown;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tidings_core::broker::{Broker, Memory, MemoryLimits};
use tidings_core::{Clock, Control, Hub, Keys, Metrics, Parts};
use tidings_doors::Doors;
use tidings_doors::http::accepted::Times;
use tidings_doors::http::cors::Cors;
use tokio::sync::watch;

use crate::config::{Config, count};

use admission::Admission;
use certificates::Certificates;
use listener::{Listener, Serving};
pub use logging::log_to_stderr;
use ops::Ops;
pub use shutdown::stop_signal;

/// A running node.
pub struct Node {
    address: SocketAddr,
    connections_max: usize,
    ops_address: Option<SocketAddr>,
    ops: Arc<Ops>,
    drain: Arc<watch::Sender<bool>>,
    grace: Duration,
}

/// Files that a node needs besides its connections.
const FILES_ASIDE: u64 = 64;
/// Where the system does not say how many a process may open.
const FILES_FEWEST: u64 = 1_024;

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
            message_bytes: count(config.limits.message_bytes.0),
            batch_messages: count(config.limits.batch_messages),
            connection_channels: count(config.limits.connection_channels),
            addresses: Arc::default(),
            address_connections: count(config.limits.address_connections),
            proxies: config.proxy.proxies(),
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
        listener.serve(Serving {
            router,
            certificates,
            admission: admission(config, &doors),
            accept_rate: config.limits.accept_rate,
            proxy_protocol: config.proxy.protocol,
            times: times(config),
            drain: drain.clone(),
        });
        let ops_address = match &config.ops_listen {
            None => None,
            Some(address) => {
                let listener = Listener::bind(**address)?;
                let address = listener.address();
                let router = tidings_doors::shared(ops::router(ops.clone(), true), doors.clone());
                listener.serve(Serving {
                    router,
                    certificates: None,
                    admission: Admission { addresses: Arc::default(), ..admission(config, &doors) },
                    accept_rate: config.limits.accept_rate,
                    proxy_protocol: false,
                    times: times(config),
                    drain: drain.clone(),
                });
                Some(address)
            }
        };
        Ok(Node {
            address,
            connections_max: connections_max(config),
            ops_address,
            ops,
            drain,
            grace: *config.shutdown_grace,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it serves at once.
    pub fn connections_max(&self) -> usize {
        self.connections_max
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
    Hub::start(Parts {
        broker,
        policy: config.policy(),
        keys: if config.dev { keys.open() } else { keys },
        clock,
        metrics,
        limits: config.limits.to_core(),
        incarnation,
    })
}

fn broker(config: &Config, clock: &Clock) -> anyhow::Result<Arc<dyn Broker>> {
    let limits = MemoryLimits {
        bytes: count(config.broker.memory_bytes.0),
        idempotency_keys: count(config.limits.idempotency_keys),
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

/// The files that a process may open are its connections and a few more.
fn connections_max(config: &Config) -> usize {
    let files = rlimit::Resource::NOFILE.get_soft().unwrap_or(FILES_FEWEST);
    let fit = count(files.saturating_sub(FILES_ASIDE));
    // What is left is for those who are refused.
    let fit = fit - fit / 16;
    config.limits.connections.map_or(fit, |connections| count(connections).min(fit))
}

fn admission(config: &Config, doors: &Doors) -> Admission {
    Admission {
        connections: connections_max(config),
        address_connections: doors.address_connections,
        proxies: doors.proxies.clone(),
        taken: Arc::default(),
        addresses: doors.addresses.clone(),
    }
}

fn times(config: &Config) -> Times {
    Times { head: *config.limits.head_time, idle: *config.limits.idle_time, max_lag: *config.max_lag }
}
