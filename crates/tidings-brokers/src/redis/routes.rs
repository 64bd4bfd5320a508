//! Which server keeps which channels: one for all of them, or those of a cluster.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use redis::aio::MultiplexedConnection;
use redis::{ConnectionAddr, Value};
use tidings_core::broker::BrokerError;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::copies::Copies;
use super::fault;
use super::name::{Bucket, Names};
use super::server::{Changes, Server, Target, connect};
use super::topics::Topics;
use super::witness::Witness;

/// The servers in use.
#[derive(Debug)]
pub(super) struct Routes {
    targets: Vec<Target>,
    names: Names,
    witness: Arc<Witness>,
    /// How many replicas are waited for, and how long; none, if nobody waits.
    copies: Option<(u32, Duration)>,
    known: RwLock<Known>,
    pub(super) changes: Changes,
}

#[derive(Debug)]
enum Known {
    /// Nothing yet, for this reason.
    Nothing(BrokerError),
    One(Running),
    Cluster {
        servers: HashMap<String, Running>,
        buckets: Vec<Option<Arc<Server>>>,
    },
}

/// A server with the task that keeps its connections.
#[derive(Debug)]
struct Running {
    server: Arc<Server>,
    task: JoinHandle<()>,
}

/// Slots, from and to, and the address of their primary.
type Range = (u64, u64, String);

/// How often a cluster is asked what it looks like, if nobody doubts it, and if somebody does.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Routes {
    pub(super) fn new(
        targets: Vec<Target>,
        names: Names,
        witness: Arc<Witness>,
        copies: Option<(u32, Duration)>,
    ) -> Self {
        let why = BrokerError::Unavailable("the server has not been reached yet".into());
        Routes {
            targets,
            names,
            witness,
            copies,
            known: RwLock::new(Known::Nothing(why)),
            changes: Changes::default(),
        }
    }

    /// The server that keeps a bucket.
    pub(super) fn of(&self, bucket: Bucket) -> Result<Arc<Server>, BrokerError> {
        match &*self.known.read() {
            Known::Nothing(why) => Err(why.clone()),
            Known::One(running) => Ok(running.server.clone()),
            Known::Cluster { buckets, .. } => {
                buckets.get(bucket.index()).cloned().flatten().ok_or_else(|| {
                    BrokerError::Unavailable(
                        "no primary of the cluster has the channel's slot; see `redis-cli --cluster check`"
                            .into(),
                    )
                })
            }
        }
    }

    /// Notes that a server was asked for what it does not keep.
    pub(super) fn doubt(&self) {
        self.changes.doubted.notify_one();
    }

    /// Whether all of them answer.
    pub(super) fn ready(&self) -> Result<(), BrokerError> {
        match &*self.known.read() {
            Known::Nothing(why) => Err(why.clone()),
            Known::One(running) => running.server.ready(),
            Known::Cluster { servers, buckets } => {
                if buckets.iter().any(Option::is_none) {
                    return Err(BrokerError::Unavailable("some slots of the cluster have no primary".into()));
                }
                servers.values().try_for_each(|running| running.server.ready())
            }
        }
    }

    /// Ends all connections, and everything that is followed.
    pub(super) fn close(&self) {
        *self.known.write() = Known::Nothing(BrokerError::Unavailable("the broker has stopped".into()));
    }

    /// Finds out what the servers are, and keeps to it, for ever.
    pub(super) async fn run(&self) {
        let (target, mut connection, is_cluster) = self.first().await;
        if !is_cluster {
            let server = self.start(self.targets.clone());
            *self.known.write() = Known::One(server);
            return std::future::pending().await;
        }
        let slots = loop {
            match self.slots(&mut connection).await {
                Ok(slots) => break slots,
                Err(error) => *self.known.write() = Known::Nothing(error),
            }
            sleep(LOOK_AGAIN).await;
            (_, connection, _) = self.first().await;
        };
        let mut seed = Some((target, connection));
        loop {
            let looked = match &mut seed {
                Some((target, connection)) => self.look(target, connection, &slots).await,
                None => Err(BrokerError::Unavailable("no connection".into())),
            };
            if let Err(error) = looked {
                tracing::debug!(%error, "the cluster does not say what it looks like");
                let (target, connection, _) = self.first().await;
                seed = Some((target, connection));
                sleep(LOOK_AGAIN).await;
                continue;
            }
            if timeout(LOOK_EVERY, self.changes.doubted.notified()).await.is_ok() {
                sleep(LOOK_AGAIN).await;
            }
        }
    }

    /// The first server that answers, and whether it is a part of a cluster.
    async fn first(&self) -> (Target, MultiplexedConnection, bool) {
        loop {
            for target in self.everyone() {
                match ask(&target).await {
                    Ok((connection, is_cluster)) => return (target, connection, is_cluster),
                    Err(error) => {
                        if let Known::Nothing(why) = &mut *self.known.write() {
                            if why.to_string() != error.to_string() {
                                tracing::warn!(server = %target.address, %error, "the Redis server cannot be used");
                            }
                            *why = error;
                        }
                    }
                }
            }
            sleep(LOOK_AGAIN * 2).await;
        }
    }

    /// Those that are configured, and those that are known since.
    fn everyone(&self) -> Vec<Target> {
        let mut all = self.targets.clone();
        if let Known::Cluster { servers, .. } = &*self.known.read() {
            all.extend(servers.values().flat_map(|running| running.server.targets().iter().cloned()));
        }
        all
    }

    /// In which slot each bucket lies.
    async fn slots(&self, connection: &mut MultiplexedConnection) -> Result<Vec<u64>, BrokerError> {
        let mut pipe = redis::pipe();
        for bucket in Bucket::all() {
            pipe.cmd("CLUSTER").arg("KEYSLOT").arg(self.names.life(bucket));
        }
        pipe.query_async(connection).await.map_err(|error| fault::of_read(&error))
    }

    /// Asks what the cluster looks like now, and takes it over.
    async fn look(
        &self,
        seed: &Target,
        connection: &mut MultiplexedConnection,
        slots: &[u64],
    ) -> Result<(), BrokerError> {
        let answer: Value = redis::cmd("CLUSTER")
            .arg("SLOTS")
            .query_async(connection)
            .await
            .map_err(|error| fault::of_read(&error))?;
        let ranges = ranges(answer, seed);
        let mut known = self.known.write();
        let mut before = match &mut *known {
            Known::Cluster { servers, .. } => std::mem::take(servers),
            Known::Nothing(_) | Known::One(_) => HashMap::new(),
        };
        let mut servers = HashMap::new();
        for (_, _, address) in &ranges {
            if !servers.contains_key(address) {
                let running = match before.remove(address) {
                    Some(running) => running,
                    None => self.start(vec![target_at(seed, address)?]),
                };
                servers.insert(address.clone(), running);
            }
        }
        let of_slot = |slot: &u64| {
            let range = ranges.iter().find(|(from, to, _)| (from..=to).contains(&slot));
            range.and_then(|(_, _, address)| servers.get(address)).map(|running| running.server.clone())
        };
        let buckets = slots.iter().map(of_slot).collect();
        *known = Known::Cluster { servers, buckets };
        Ok(())
    }

    fn start(&self, targets: Vec<Target>) -> Running {
        let topics = Topics::new(self.names.clone(), self.witness.clone());
        let copies = self.copies.map(|(replicas, time)| Copies::new(replicas, time));
        let server = Arc::new(Server::new(targets, topics, copies, self.changes.clone()));
        let task = tokio::spawn({
            let server = server.clone();
            async move { server.run().await }
        });
        Running { server, task }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
        // No follower outlives its server in silence.
        self.server.close();
    }
}

async fn ask(target: &Target) -> Result<(MultiplexedConnection, bool), BrokerError> {
    let mut connection = connect(target, None).await?;
    let mut info = redis::cmd("INFO");
    let info = info.arg("cluster").query_async::<String>(&mut connection).await;
    let info = info.map_err(|error| fault::of_read(&error))?;
    Ok((connection, info.lines().any(|line| line.trim() == "cluster_enabled:1")))
}

/// Reads the answer to CLUSTER SLOTS.
fn ranges(answer: Value, seed: &Target) -> Vec<Range> {
    let items = |value: Value| if let Value::Array(items) = value { items } else { Vec::new() };
    let range = |value: Value| -> Option<Range> {
        let mut items = items(value).into_iter().take(3);
        let (Value::Int(from), Value::Int(to)) = (items.next()?, items.next()?) else { return None };
        let Value::Array(primary) = items.next()? else { return None };
        let mut primary = primary.into_iter();
        let host = match primary.next()? {
            Value::BulkString(host) => String::from_utf8(host).ok().filter(|host| !host.is_empty()),
            _ => None,
        };
        let Value::Int(port) = primary.next()? else { return None };
        // A server that does not know its own name is where it was found.
        let host = match host.filter(|host| host != "?") {
            Some(host) => host,
            None => seed.address.rsplit_once(':')?.0.to_owned(),
        };
        Some((u64::try_from(from).ok()?, u64::try_from(to).ok()?, format!("{host}:{port}")))
    };
    items(answer).into_iter().filter_map(range).collect()
}

/// Another server of the cluster of this one.
fn target_at(seed: &Target, address: &str) -> Result<Target, BrokerError> {
    let wrong = || BrokerError::Unavailable(format!("the cluster names a server as {address}"));
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let (host, port) = (host.to_owned(), port.parse().map_err(|_| wrong())?);
    let info = seed.client.get_connection_info();
    let addr = match info.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host, port),
    };
    let client = redis::Client::open(info.clone().set_addr(addr)).map_err(|error| fault::of_read(&error))?;
    Ok(Target { client, address: address.to_owned() })
}
