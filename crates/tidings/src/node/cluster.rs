//! How this node is, in its own words: what operators see of it, and the other nodes hear.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use tidings_core::{Control, Hub, Own};
use tokio::sync::watch;

use crate::config::{Config, NODE_BYTES_MAX};

use super::ops::{Ops, resident_bytes};
use super::settings::connections_max;

/// What a node is made of, as far as it describes itself.
pub(super) struct Portrait {
    pub(super) hub: Hub,
    pub(super) control: Arc<Control>,
    pub(super) ops: Arc<Ops>,
    pub(super) config: watch::Receiver<Arc<Config>>,
    pub(super) node: String,
    pub(super) incarnation: u64,
    pub(super) started_ms: u64,
}

#[derive(Serialize)]
struct Snapshot<'a> {
    node: &'a str,
    incarnation: String,
    version: &'static str,
    started: String,
    time: String,
    state: &'static str,
    reason: Option<String>,
    broker: BrokerState,
    connections: Connections,
    channels: usize,
    readers: usize,
    messages: Messages,
    bytes: Bytes,
    behind: Behind,
    errors: BTreeMap<&'static str, u64>,
    memory: Option<i64>,
}

#[derive(Serialize)]
struct BrokerState {
    kind: &'static str,
    ready: bool,
    reason: Option<String>,
}

#[derive(Serialize)]
struct Connections {
    websocket: i64,
    session: i64,
    sse: i64,
    #[serde(rename = "long-poll")]
    long_poll: i64,
    total: i64,
    max: usize,
}

#[derive(Serialize)]
struct Messages {
    r#in: u64,
    out: u64,
}

#[derive(Serialize)]
struct Bytes {
    out: u64,
}

#[derive(Serialize)]
struct Behind {
    readers: usize,
    longest_ms: u64,
}

impl Portrait {
    /// The node among the others.
    pub(super) fn own(self) -> Own {
        let node = self.node.clone();
        // A struct of strings and numbers always serialises.
        let describe = move || serde_json::to_string(&self.snapshot()).unwrap_or_default();
        Own { node, describe: Box::new(describe) }
    }

    fn snapshot(&self) -> Snapshot<'_> {
        let (metrics, config) = (self.hub.metrics(), self.config.borrow().clone());
        let (state, reason) = match self.ops.ready() {
            Ok(()) => ("serving", None),
            Err(_) if self.ops.is_leaving() => ("draining", None),
            Err(error) => ("not-ready", Some(error.detail)),
        };
        let open = |door| metrics.connections(door).get();
        let [websocket, session, sse, long_poll] = ["websocket", "session", "sse", "long-poll"].map(open);
        let total = websocket + session + sse + long_poll;
        let (stored, sent, sent_bytes) = metrics.totals();
        let (stuck, longest_ms) = self.control.stuck();
        let problem = self.ops.broker_problem();
        let kind = config.broker.kind.as_str();
        Snapshot {
            node: &self.node,
            incarnation: format!("{:016x}", self.incarnation),
            version: env!("CARGO_PKG_VERSION"),
            started: rfc3339(self.started_ms),
            time: rfc3339(self.hub.now_ms()),
            state,
            reason,
            broker: BrokerState { kind, ready: problem.is_none(), reason: problem },
            connections: Connections {
                websocket,
                session,
                sse,
                long_poll,
                total,
                max: connections_max(&config),
            },
            channels: self.control.feeds() + self.control.feeds_polled(),
            readers: self.control.subscriptions(),
            messages: Messages { r#in: stored, out: sent },
            bytes: Bytes { out: sent_bytes },
            behind: Behind { readers: stuck, longest_ms },
            errors: metrics.errors().into_iter().collect(),
            memory: resident_bytes(),
        }
    }
}

/// The name of a node that was given none: that of its machine, and four letters of this life of it.
pub(super) fn name(configured: Option<&str>, incarnation: u64) -> String {
    if let Some(name) = configured {
        return name.to_owned();
    }
    let machine = rustix::system::uname();
    let fits = |c: &char| c.is_ascii_alphanumeric() || "_-.".contains(*c);
    let machine: String = machine.nodename().to_string_lossy().chars().filter(fits).collect();
    let machine = match machine.is_empty() {
        true => "node",
        // Only ASCII is left.
        false => &machine[..machine.len().min(NODE_BYTES_MAX - 5)],
    };
    format!("{machine}-{:04x}", incarnation & 0xffff)
}

fn rfc3339(ms: u64) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(ms.min(253_402_300_799_999)))
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_configured_or_of_the_machine() {
        assert_eq!(name(Some("web-1"), 7), "web-1");
        let own = name(None, 0x1234_abcd);
        assert!(own.ends_with("-abcd") && own.len() <= NODE_BYTES_MAX, "{own}");
    }
}
