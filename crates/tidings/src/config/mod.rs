//! The configuration: one tree of plain structs. The doc comment of a key is its
//! reference text, and its type, bounds and default are what is checked.
//!
//! ```text
//! file ──► layer ──┐
//!                  ├──► one table, and where each key came from ──► Config ──► validate
//! TIDINGS_… ► env ─┘          (layer, place)                       (serde, once)
//! ```
//!
//! `shape` is the tree seen as data, taken from its JSON schema: the layers are
//! checked against it, the environment is typed by it, docs/configuration.md is
//! written from it. A new key is one field here and one line in `example.toml`.

mod advice;
mod auth;
mod certificate;
mod changes;
mod env;
mod error;
mod explain;
mod layer;
mod limits;
mod load;
mod namespace;
mod place;
mod proxy;
mod reference;
mod section;
mod shape;
#[cfg(test)]
mod tests;
mod validate;
mod value;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::Deserialize;

pub use auth::{ApiKeyConfig, AuthConfig, JwtConfig, Plain, Right, public_key};
pub use certificate::{BadPair, Pair};
pub use changes::Changes;
pub use env::Env;
pub use error::ConfigError;
pub use explain::{NamespaceReport, Report};
pub use limits::{LimitsConfig, count};
pub use load::{Flags, Loaded};
pub use namespace::{Compact, Delivery, NamespaceConfig, Publish, RetainConfig, Subscribe};
pub use proxy::{Network, ProxyConfig, ProxyHeader};
pub use reference::{EXAMPLE, reference, schema};
pub use section::{
    BrokerConfig, BrokerKind, CorsConfig, LogConfig, LogFormat, Sasl, TlsConfig, TlsFiles, WebSocketConfig,
};
pub(crate) use validate::NODE_BYTES_MAX;
pub use value::{Address, Period, Secret, Size};

/// How a node runs.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The address and port that clients connect to. `0.0.0.0` is every IPv4 interface, `[::]`
    /// every interface, `127.0.0.1` this machine alone; port 0 takes a free port.
    pub listen: Address,

    /// A second address for `/metrics`, `/healthz` and `/readyz`, which need no API key there.
    /// Choose one that only your monitoring reaches. Without it they are served on `listen`,
    /// where `/metrics` asks for an API key.
    pub ops_listen: Option<Address>,

    /// What the other nodes and operators call this one: 1 to 64 bytes of `A-Z a-z 0-9 _ - .`, and another
    /// for each node of a cluster.
    #[schemars(extend("x-default" = "the name of the machine, and four letters that change with each start"))]
    pub node: Option<String>,

    /// How long a node that was told to stop waits for its clients to leave before it exits.
    #[schemars(extend("x-bounds" = ["0s", "10m"]))]
    pub shutdown_grace: Period,

    /// How long a node that was told to stop goes on serving as before, and only says so on `/readyz`:
    /// until load balancers know it, and send nobody new. It comes before `shutdown_grace`.
    #[schemars(extend("x-bounds" = ["0s", "5m"]))]
    pub drain_delay: Period,

    /// How long a connection is idle before it is sent a ping (WebSocket), `{}` (`/v1/connect`)
    /// or a comment (SSE). A WebSocket that does not answer within 10 s is closed. Keep it
    /// under the idle timeout of every proxy on the way.
    #[schemars(extend("x-bounds" = ["1s", "60s"]))]
    pub heartbeat: Period,

    /// How long a socket may take nothing of what is to be written before it is closed. A reader
    /// resumes from the last message it got. A namespace can set its own.
    #[schemars(extend("x-bounds" = ["100ms", "10m"]))]
    pub max_lag: Period,

    /// How long an idempotency key is remembered, counted from storing: in an at-least-once
    /// namespace, a publish that is repeated with the same key within this time is stored once.
    /// A namespace can set its own.
    #[schemars(extend("x-bounds" = ["100ms", "24h"]))]
    pub dedupe: Period,

    /// Where channels are kept.
    pub broker: BrokerConfig,

    /// Who is who. A namespace says what each may do.
    pub auth: AuthConfig,

    /// TLS on `listen`. Without it clients speak plain HTTP.
    pub tls: TlsConfig,

    /// Which web pages may use this server.
    pub cors: CorsConfig,

    /// What stands between clients and this node.
    pub proxy: ProxyConfig,

    /// What one message, one client, and one node may take.
    pub limits: LimitsConfig,

    /// What the node writes to standard error about itself. Payloads and tokens are never
    /// logged.
    pub log: LogConfig,

    /// How WebSockets speak.
    pub websocket: WebSocketConfig,

    /// The policy of the channels whose name begins with `NAME:`; `[namespaces.default]` is for
    /// names without a `:`. A channel whose namespace is not declared does not exist. NAME has 1
    /// to 100 bytes of `A-Z a-z 0-9 _ - . @ =`; the environment can only name a namespace in
    /// lower case.
    pub namespaces: BTreeMap<String, NamespaceConfig>,

    /// Whether this is `--dev`: no key of a file, since it gives anybody the rights of an API key.
    #[serde(skip)]
    pub dev: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: Address::from(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080))),
            ops_listen: None,
            node: None,
            shutdown_grace: Period::secs(10),
            drain_delay: Period::secs(0),
            heartbeat: Period::secs(15),
            max_lag: Period::secs(30),
            dedupe: Period::secs(120),
            broker: BrokerConfig::default(),
            auth: AuthConfig::default(),
            tls: TlsConfig::default(),
            cors: CorsConfig::default(),
            proxy: ProxyConfig::default(),
            limits: LimitsConfig::default(),
            log: LogConfig::default(),
            websocket: WebSocketConfig::default(),
            namespaces: BTreeMap::new(),
            dev: false,
        }
    }
}

impl Config {
    /// The namespaces as the core knows them.
    pub fn policy(&self) -> tidings_core::Policy {
        let namespaces = self.namespaces.iter();
        let namespaces = namespaces.map(|(name, namespace)| (name.clone(), namespace.to_core(self)));
        tidings_core::Policy::new(namespaces).channel_bytes(count(self.limits.channel_bytes))
    }
}
