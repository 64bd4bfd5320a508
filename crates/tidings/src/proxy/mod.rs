//! A proxy on this machine, through which one reader or publisher reaches the node, or a node its broker, on which
//! faults happen, and which counts what crosses it. `tidings verify` sets its condition by a storm, and the lab by buttons.
//!
//! ```text
//! reader ─► Path ─► Connection ─► node        condition: what is the matter now
//!             └────────── condition ◄── storm, or a reader of the lab
//! ```
//!
//! A connection holds one buffer for each direction, and what a buffering proxy holds back: all bounded.
//! What cannot be written is not read.

mod condition;
mod connection;
mod pump;
mod request;
mod spoil;
mod tally;
#[cfg(test)]
mod tests;
mod upstream;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

pub use condition::{Condition, Cut, Refusal};
pub use spoil::{Break, Spoiler};
pub use tally::Tally;
pub use upstream::Upstream;

use connection::Connection;

/// Connections of a path at once; more wait. Frozen ones count until their client leaves.
const CONNECTIONS_MAX: usize = 64;

/// One way to the node, or to a broker's server. Its connections end when this is dropped.
#[derive(Debug)]
pub struct Path {
    address: SocketAddr,
    condition: watch::Sender<Condition>,
    spoiler: Option<Spoiler>,
    tally: Tally,
    _accepting: JoinSet<()>,
}

impl Path {
    /// Listens on a free port of this machine.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub async fn open(upstream: Upstream, spoiler: Option<Spoiler>) -> std::io::Result<Self> {
        Self::open_at(0, upstream, spoiler).await
    }

    /// Listens on a port of this machine; on a free one if it is 0.
    ///
    /// # Errors
    ///
    /// If the port is taken.
    pub async fn open_at(port: u16, upstream: Upstream, spoiler: Option<Spoiler>) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let (condition, state) = watch::channel(Condition::default());
        let mut accepting = JoinSet::new();
        let tally = Tally::default();
        accepting.spawn(accept(listener, upstream, state, spoiler.clone(), tally.clone()));
        Ok(Self { address, condition, spoiler, tally, _accepting: accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes its condition, for connections that are open as for those to come.
    pub fn change(&self, change: impl FnOnce(&mut Condition)) {
        self.condition.send_modify(change);
    }

    /// What is the matter with it.
    pub fn condition(&self) -> Condition {
        *self.condition.borrow()
    }

    /// What crossed it.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// How many items were spoilt on it.
    pub fn spoilt(&self) -> u64 {
        self.spoiler.as_ref().map_or(0, Spoiler::spoilt)
    }
}

async fn accept(
    listener: TcpListener,
    upstream: Upstream,
    condition: watch::Receiver<Condition>,
    spoiler: Option<Spoiler>,
    tally: Tally,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        // Without a file left for it, a connection must wait for another to end.
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let connection = Connection::new(upstream.clone(), condition.clone(), spoiler.clone(), tally.clone());
        connections.spawn(async move {
            connection.carry(client).await;
            drop(place);
        });
    }
}
