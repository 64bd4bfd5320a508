//! The nodes of a run, and the broker's server that they share.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::child::{Child, says};
use super::super::process::resident_bytes;
use super::super::{clock, failure};
use super::Broker;
use crate::cli::server::{Fsync, Server, nats, redis};

/// The key of whoever publishes.
pub const KEY: &str = "sk_bench";
/// A node that is not ready for so long will not be.
const READY_MAX: Duration = Duration::from_secs(20);

/// Nodes that run. All end with this.
#[derive(Debug)]
pub struct Fleet {
    nodes: Vec<Child>,
    server: Server,
    folder: PathBuf,
}

impl Fleet {
    /// Starts the server, then the nodes, and waits until all are ready.
    pub fn start(broker: Broker, nats_server: &Path, fsync: Fsync, nodes: u8) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("tidings-bench-{}-broker", std::process::id()));
        fs::create_dir_all(&folder)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let server = match broker {
            Broker::Redis => runtime.block_on(redis::start(&folder, fsync)),
            Broker::Nats => runtime.block_on(nats::start(nats_server, &folder)),
        };
        let mut fleet = Self { nodes: Vec::new(), server: server?, folder };
        let kind = if broker == Broker::Redis { "redis" } else { "nats" };
        let url = format!("{kind}://{}", fleet.server.address());
        let configuration = format!(
            "[broker]\nkind = \"{kind}\"\nurl = \"{url}\"\n[auth]\napi_keys = [\"{KEY}\"]\n\
             [limits]\naddress_connections = 100000\n\
             [namespaces.bench]\ndelivery = \"at-least-once\"\nsubscribe = \"public\"\n"
        );
        for _ in 0..nodes {
            fleet.nodes.push(Child::clustered(&configuration, kind)?);
        }
        let deadline = clock::now() + READY_MAX;
        while !fleet.nodes.iter().all(|node| says(node.address(), "/readyz")) {
            if clock::now() > deadline {
                return Err(failure(
                    format!("the nodes are not ready on {url}"),
                    "run `tidings serve` on such a server by hand, and ask its /readyz",
                ));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(fleet)
    }

    /// Where a node listens.
    pub fn address(&self, node: usize) -> SocketAddr {
        self.nodes[node].address()
    }

    /// Where each listens.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.nodes.iter().map(Child::address)
    }

    /// Where the broker's server listens.
    pub fn server(&self) -> SocketAddr {
        self.server.address()
    }

    /// The process of the broker's server.
    pub fn server_pid(&self) -> u32 {
        self.server.pid()
    }

    /// The processes of the nodes.
    pub fn pids(&self) -> impl Iterator<Item = u32> {
        self.nodes.iter().map(Child::pid)
    }

    /// Resident memory of all nodes together.
    pub fn resident(&self) -> anyhow::Result<u64> {
        self.pids().map(resident_bytes).sum()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.nodes.clear();
        // What the server still writes there is removed by whoever cleans up the temporary folder.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
