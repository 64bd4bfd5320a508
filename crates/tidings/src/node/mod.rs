//! A node: the parts joined, and the order in which they start and stop.

mod admission;
mod certificates;
mod cluster;
mod demo;
mod dev;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod jwks;
mod keys;
mod lab;
mod listener;
mod logging;
mod ops;
mod pages;
mod proxy_header;
mod reload;
mod sdk;
mod settings;
mod signals;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tidings_brokers::disk::{self, Disk, Sync};
#[cfg(feature = "kafka")]
use tidings_brokers::kafka::{self, Kafka};
use tidings_brokers::nats::{self, Nats};
use tidings_brokers::redis::{self, Redis};
use tidings_core::broker::{Broker, Memory, MemoryLimits};
use tidings_core::{Clock, Hub, Metrics, Parts};
use tidings_doors::Entrance;
use tokio::sync::{Notify, watch};

#[cfg(feature = "kafka")]
use crate::config::Sasl;
use crate::config::{BrokerConfig, BrokerKind, Changes, Config, Secret, count};

use admission::Admission;
use certificates::Certificates;
use cluster::Portrait;
use keys::Accepted;
use listener::{Listener, Serving};
pub use logging::{Log, log_to_stderr};
use ops::Ops;
use reload::Live;
pub use reload::Refused;
use settings::{connections_max, doors, settings};
pub use signals::{Hangups, Stops};

/// A running node.
pub struct Node {
    address: SocketAddr,
    ops_address: Option<SocketAddr>,
    ops: Arc<Ops>,
    drain: Arc<watch::Sender<bool>>,
    restart: Arc<Notify>,
    live: Live,
}

impl Node {
    /// Starts a node: once this returns, it accepts connections.
    pub async fn start(config: &Config) -> anyhow::Result<Node> {
        Node::start_at(config, Clock::system()).await
    }

    /// The same, by a clock of the caller's.
    pub async fn start_at(config: &Config, clock: Clock) -> anyhow::Result<Node> {
        let broker = broker(config, &clock)?;
        Node::start_over(config, clock, broker).await
    }

    /// The same, over a broker of the caller's.
    pub async fn start_over(config: &Config, clock: Clock, broker: Arc<dyn Broker>) -> anyhow::Result<Node> {
        let Accepted { keys, jwks } = keys::of(&config.auth, None)?;
        let incarnation = random()?;
        let mut metrics = Metrics::new();
        broker.measure(metrics.registry());
        let (hub, control) = Hub::start(Parts {
            broker,
            settings: settings(config, keys),
            clock: clock.clone(),
            metrics: Arc::new(metrics),
            incarnation,
        });
        control.follow_revocations();
        let control = Arc::new(control);
        let drain = Arc::new(watch::Sender::new(false));
        let restart = Arc::new(Notify::new());
        let ops = Ops::start(hub.clone(), control.clone()).await;
        let listener = Listener::bind(*config.listen)?;
        let address = listener.address();
        let entrance = Entrance::new(doors(config, address.port(), hub.clone(), Arc::default()));
        let certificates = Certificates::watch(Certificates::load(config.tls.files())?);
        let live = Live {
            config: watch::Sender::new(Arc::new(config.clone())),
            port: address.port(),
            hub,
            control,
            entrance,
            certificates,
            jwks,
        };
        let mut router = tidings_doors::router(&live.entrance)
            .merge(ops::router(ops.clone(), config.dev))
            .merge(sdk::router())
            .merge(pages::router(config.dev));
        if config.dev {
            router = router.merge(dev::router(live.config.subscribe(), clock.clone()));
            // Lanes read what crosses them, which TLS is there to prevent.
            if config.tls.files().is_none() {
                router = router.merge(lab::router(live.hub.clone(), clock, address, restart.clone()));
            }
        }
        let router = tidings_doors::shared(router, &live.entrance);
        listener.serve(Serving {
            router,
            certificates: Some(live.certificates.clone()),
            admission: Admission::new(live.entrance.doors().addresses.clone()),
            is_public: true,
            config: live.config.subscribe(),
            drain: drain.clone(),
        });
        live.hub.metrics().connections_max.set(gauge(connections_max(config)));
        let portrait = Portrait {
            hub: live.hub.clone(),
            control: live.control.clone(),
            ops: ops.clone(),
            config: live.config.subscribe(),
            node: cluster::name(config.node.as_deref(), incarnation),
            incarnation,
            started_ms: live.hub.now_ms(),
        };
        live.control.join(portrait.own());
        let ops_address = match &config.ops_listen {
            None => None,
            Some(address) => {
                let listener = Listener::bind(**address)?;
                let address = listener.address();
                let router = tidings_doors::shared(ops::router(ops.clone(), true), &live.entrance);
                listener.serve(Serving {
                    router,
                    certificates: None,
                    admission: Admission::new(Arc::default()),
                    is_public: false,
                    config: live.config.subscribe(),
                    drain: drain.clone(),
                });
                Some(address)
            }
        };
        Ok(Node { address, ops_address, ops, drain, restart, live })
    }

    /// Puts another configuration into force, and gives what has changed: for requests and reads that begin from
    /// now on, and for live reads that may go on no more, which end. The others notice nothing.
    ///
    /// # Errors
    ///
    /// Why nothing at all has changed.
    pub fn reload(&mut self, config: Config) -> Result<Changes, Refused> {
        self.live.reload(config)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it serves at once.
    pub fn connections_max(&self) -> usize {
        connections_max(&self.live.config.borrow())
    }

    /// Where it answers `/metrics`, `/healthz` and `/readyz` without a key, if that is apart.
    pub fn ops_address(&self) -> Option<SocketAddr> {
        self.ops_address
    }

    /// Waits until an operator tells the node to stop; gives who. Then call [`Node::stop`].
    pub fn told_to_stop(&self) -> impl Future<Output = String> + use<> {
        let control = self.live.control.clone();
        async move { control.told_to_stop().await }
    }

    /// Waits until somebody asks it to start again (`POST /dev/restart` of a development node). Whoever runs it sees
    /// to that.
    pub async fn restart_wanted(&self) {
        self.restart.notified().await;
    }

    /// Stops: not ready, and after `drain_delay` every client told to come back elsewhere with its
    /// cursor. Returns when all are gone, or when the grace is over.
    pub async fn stop(self) {
        let delay = *self.live.config.borrow().drain_delay;
        if !delay.is_zero() {
            self.ops.leave();
            tokio::time::sleep(delay).await;
        }
        self.ops.drain();
        self.drain.send_replace(true);
        let grace = *self.live.config.borrow().shutdown_grace;
        if tokio::time::timeout(grace, self.drain.closed()).await.is_err() {
            tracing::info!("some clients did not leave within shutdown_grace");
        }
        self.live.control.part().await;
    }
}

fn broker(config: &Config, clock: &Clock) -> anyhow::Result<Arc<dyn Broker>> {
    if config.broker.kind == BrokerKind::Disk {
        let sync = match *config.broker.fsync_every {
            Duration::ZERO => Sync::EveryWrite,
            time => Sync::Every(time),
        };
        let options = disk::Options { path: config.broker.folder().into(), sync };
        return Ok(Arc::new(Disk::open(clock.clone(), &options)?));
    }
    if config.broker.kind == BrokerKind::Redis {
        return Ok(Arc::new(Redis::start(&redis(config)?)?));
    }
    if config.broker.kind == BrokerKind::Nats {
        return nats(&config.broker, clock);
    }
    #[cfg(feature = "kafka")]
    if config.broker.kind == BrokerKind::Kafka {
        return kafka(&config.broker, clock);
    }
    let limits = MemoryLimits {
        bytes: count(config.broker.memory_bytes.0),
        idempotency_keys: count(config.limits.idempotency_keys),
    };
    Ok(Arc::new(Memory::start(clock.clone(), limits, random()?)))
}

fn redis(config: &Config) -> anyhow::Result<redis::Options> {
    let broker = &config.broker;
    let read = |path: &String| std::fs::read(path).with_context(|| format!("cannot read broker.ca, {path}"));
    Ok(redis::Options {
        urls: broker.urls(),
        password: broker.password.as_ref().map(|password| Secret::expose(password).to_owned()),
        ca: broker.ca.as_ref().map(read).transpose()?,
        prefix: broker.prefix().to_owned(),
        replicas: broker.replicas.unwrap_or(0),
        wait_timeout: *broker.wait_timeout,
    })
}

fn nats(broker: &BrokerConfig, clock: &Clock) -> anyhow::Result<Arc<dyn Broker>> {
    let mut options = nats::Options::new(broker.url.as_ref().map_or("", |url| url.expose()));
    options.credentials = broker.credentials.as_ref().map(Into::into);
    options.ca = broker.ca.as_ref().map(Into::into);
    options.replicas =
        broker.replicas.and_then(|replicas| u8::try_from(replicas).ok()).unwrap_or(options.replicas);
    if let Some(prefix) = &broker.prefix {
        options.prefix.clone_from(prefix);
    }
    Ok(Arc::new(Nats::open(clock.clone(), &options)?))
}

#[cfg(feature = "kafka")]
fn kafka(broker: &BrokerConfig, clock: &Clock) -> anyhow::Result<Arc<dyn Broker>> {
    let mut options = kafka::Options::new(broker.brokers.clone().unwrap_or_default());
    options.login = broker.user.as_ref().zip(broker.password.as_ref()).map(|(user, password)| kafka::Login {
        user: user.clone(),
        password: password.expose().to_owned(),
        mechanism: broker.sasl.unwrap_or(Sasl::Plain).mechanism(),
    });
    options.tls = broker.tls.unwrap_or(broker.ca.is_some());
    options.ca = broker.ca.as_ref().map(Into::into);
    options.replicas =
        broker.replicas.and_then(|replicas| u8::try_from(replicas).ok()).unwrap_or(options.replicas);
    options.partitions = broker.partitions.unwrap_or(options.partitions);
    if let Some(prefix) = &broker.prefix {
        options.prefix.clone_from(prefix);
    }
    Ok(Arc::new(Kafka::open(clock.clone(), &options)?))
}

/// A number as a gauge has it.
fn gauge(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn random() -> anyhow::Result<u64> {
    getrandom::u64().context("the system gives no random numbers")
}
