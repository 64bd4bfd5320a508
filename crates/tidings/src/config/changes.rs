//! What differs between two configurations, by the names of the keys, and which of them only a start can change.

use super::place::quoted;
use super::{
    AuthConfig, BrokerConfig, Config, CorsConfig, JwtConfig, LimitsConfig, LogConfig, NamespaceConfig,
    ProxyConfig, TlsConfig, WebSocketConfig,
};

/// The keys in which two configurations differ, such as `limits.message_bytes`. Their values are not shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes(Vec<String>);

/// What is read once, when a node starts: these keys, and those below them.
const FIXED: [&str; 6] = ["listen", "ops_listen", "node", "broker", "limits.idempotency_keys", "log.format"];

/// Whether only a start can change a key.
pub(super) fn is_fixed(path: &str) -> bool {
    FIXED
        .iter()
        .any(|fixed| path.strip_prefix(fixed).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// Compares the keys of a table. Each is named, and those that are tables, too: a new one cannot be forgotten.
macro_rules! compare {
    ($changes:ident, $before:expr, $after:expr, $table:ident, $path:expr, [$($key:ident)*] $($other:ident)*) => {
        let $table { $($key: _,)* $($other: _,)* } = $before;
        let path: Option<&str> = $path;
        $(if $before.$key != $after.$key {
            let key = stringify!($key);
            $changes.0.push(path.map_or(key.to_owned(), |path| format!("{path}.{key}")));
        })*
    };
}

impl Changes {
    /// The keys in which a configuration differs from the one before it. `--dev` is none.
    pub fn between(before: &Config, after: &Config) -> Self {
        let mut changes = Changes::default();
        compare!(changes, before, after, Config, None,
            [listen ops_listen node shutdown_grace drain_delay heartbeat max_lag dedupe]
            broker auth tls cors proxy limits log websocket namespaces dev);
        compare!(changes, &before.broker, &after.broker, BrokerConfig, Some("broker"),
            [kind memory_bytes path fsync_every url password credentials prefix replicas wait_timeout ca brokers user sasl tls
             partitions]);
        compare!(changes, &before.auth, &after.auth, AuthConfig, Some("auth"), [api_keys] jwt);
        compare!(changes, &before.auth.jwt, &after.auth.jwt, JwtConfig, Some("auth.jwt"),
            [hmac_secret public_key_file jwks_url audience issuer]);
        compare!(changes, &before.tls, &after.tls, TlsConfig, Some("tls"), [certificate key]);
        compare!(changes, &before.cors, &after.cors, CorsConfig, Some("cors"), [origins]);
        compare!(changes, &before.proxy, &after.proxy, ProxyConfig, Some("proxy"),
            [trusted header protocol]);
        compare!(changes, &before.limits, &after.limits, LimitsConfig, Some("limits"),
            [message_bytes batch_messages channel_bytes connection_channels connections address_connections
             user_connections accept_rate publish_rate publish_burst head_time idle_time body_idle body_time
             feeds idempotency_keys]);
        compare!(changes, &before.log, &after.log, LogConfig, Some("log"), [level format]);
        compare!(changes, &before.websocket, &after.websocket, WebSocketConfig, Some("websocket"), [deflate]);
        changes.namespaces(before, after);
        changes
    }

    fn namespaces(&mut self, before: &Config, after: &Config) {
        let path = |name: &str| format!("namespaces.{}", quoted(name));
        for (name, namespace) in &before.namespaces {
            let Some(now) = after.namespaces.get(name) else {
                self.0.push(format!("{} (removed)", path(name)));
                continue;
            };
            let path = path(name);
            compare!(self, namespace, now, NamespaceConfig, Some(&path),
                [delivery retain compact create presence subscribe publish dedupe max_lag]);
        }
        let added = after.namespaces.keys().filter(|name| !before.namespaces.contains_key(*name));
        self.0.extend(added.map(|name| format!("{} (added)", path(name))));
    }

    /// Adds a key whose value is the same and means something else: the name of a file.
    pub fn add(&mut self, key: &str) {
        self.0.push(key.to_owned());
    }

    /// Whether anything differs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a key differs that is this one, or below it.
    pub fn touch(&self, path: &str) -> bool {
        self.0
            .iter()
            .any(|key| key.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    }

    /// Those that only a start can change.
    pub fn fixed(&self) -> Changes {
        Changes(self.0.iter().filter(|key| is_fixed(key)).cloned().collect())
    }
}

/// The keys, with commas between them.
impl std::fmt::Display for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}
