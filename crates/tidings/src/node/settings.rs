//! What a configuration comes to: the settings of the core, and of the doors.

use tidings_core::{Hub, Keys, Limits, Settings};
use tidings_doors::Doors;
use tidings_doors::http::cors::Cors;

use crate::config::Config;

/// What the core is set to.
pub(super) fn settings(config: &Config, keys: Keys) -> Settings {
    Settings {
        policy: config.policy(),
        keys: if config.dev { keys.open() } else { keys },
        limits: Limits {
            message_bytes: size(config.limits.message_bytes.0),
            feeds: size(config.limits.feeds),
        },
    }
}

/// The doors of a hub.
pub(super) fn doors(config: &Config, hub: Hub) -> Doors {
    Doors {
        hub,
        cors: cors(config),
        heartbeat: *config.heartbeat,
        body_idle: *config.limits.body_idle,
        message_bytes: size(config.limits.message_bytes.0),
        connection_channels: size(config.limits.connection_channels),
        deflate: config.websocket.deflate,
        echo: config.dev,
    }
}

/// A number of a configuration as one of this machine.
pub(super) fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
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
