//! What a configuration comes to: the settings of the core, and of the doors.

use std::net::IpAddr;
use std::sync::Arc;

use tidings_core::{Hub, Keys, Seats, Settings};
use tidings_doors::Doors;
use tidings_doors::http::accepted::Times;
use tidings_doors::http::cors::Cors;

use crate::config::{Config, count};

/// Files that a node needs besides its connections.
const FILES_ASIDE: u64 = 64;
/// Where the system does not say how many a process may open.
const FILES_FEWEST: u64 = 1_024;

/// What the core is set to.
pub(super) fn settings(config: &Config, keys: Keys) -> Settings {
    Settings {
        policy: config.policy(),
        keys: if config.dev { keys.open() } else { keys },
        limits: config.limits.to_core(),
    }
}

/// The doors of a hub, on a node that listens on `port`.
pub(super) fn doors(config: &Config, port: u16, hub: Hub, addresses: Arc<Seats<IpAddr>>) -> Doors {
    Doors {
        hub,
        cors: cors(config, port),
        heartbeat: *config.heartbeat,
        body_idle: *config.limits.body_idle,
        body_time: *config.limits.body_time,
        message_bytes: count(config.limits.message_bytes.0),
        batch_messages: count(config.limits.batch_messages),
        connection_channels: count(config.limits.connection_channels),
        addresses,
        address_connections: address_connections(config),
        proxies: config.proxy.proxies(),
        deflate: config.websocket.deflate,
        echo: config.dev,
    }
}

/// How long the clients of a listener may take.
pub(super) fn times(config: &Config) -> Times {
    Times { head: *config.limits.head_time, idle: *config.limits.idle_time, max_lag: *config.max_lag }
}

/// How many connections a node serves: as many as are set, and as fit.
pub(super) fn connections_max(config: &Config) -> usize {
    let files = rlimit::Resource::NOFILE.get_soft().unwrap_or(FILES_FEWEST);
    let fit = count(files.saturating_sub(FILES_ASIDE));
    // What is left is for those who are refused.
    let fit = fit - fit / 16;
    config.limits.connections.map_or(fit, |connections| count(connections).min(fit))
}

/// How many connections an address may have, where nothing says that it is this machine's.
fn address_connections(config: &Config) -> usize {
    config.limits.address_connections.map_or_else(|| connections_max(config).div_ceil(2), count)
}

/// How many connections this address may have.
pub(super) fn connections_of(config: &Config, address: IpAddr) -> usize {
    match config.limits.address_connections {
        // A proxy that nobody named, or a test.
        None if address.to_canonical().is_loopback() => usize::MAX,
        _ => address_connections(config),
    }
}

fn cors(config: &Config, port: u16) -> Cors {
    if config.dev {
        Cors::Local { port }
    } else if config.cors.any() {
        Cors::Any
    } else {
        Cors::List(config.cors.origins.clone())
    }
}
