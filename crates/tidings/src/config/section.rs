//! The sections that are not namespaces and have no file of their own: `[broker]`, `[tls]`, `[cors]`, `[limits]`,
//! `[websocket]`, `[log]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::{Period, Secret, Size};

/// `[broker]`: where channels are kept.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BrokerConfig {
    /// What keeps the channels, and so what a publisher's 200 is worth.
    pub kind: BrokerKind,

    /// What `kind = "memory"` may take for all messages together. When it is full the oldest
    /// messages go first, and a reader that wanted them gets a gap `expired`.
    #[schemars(extend("x-bounds" = ["64KiB", "1TiB"]))]
    pub memory_bytes: Size,

    /// The folder of `kind = "disk"`. Not in this version yet.
    pub path: Option<String>,

    /// The server of `kind = "redis"` or `kind = "nats"`. Not in this version yet.
    pub url: Option<Secret>,

    /// The bootstrap servers of `kind = "kafka"`. Not in this version yet.
    pub brokers: Option<Vec<String>>,
}

/// What keeps the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BrokerKind {
    /// This process: fast, one node, gone at a restart.
    Memory,
    /// An embedded store. Not in this version yet.
    Disk,
    /// A Redis server. Not in this version yet.
    Redis,
    /// NATS JetStream. Not in this version yet.
    Nats,
    /// Kafka. Not in this version yet.
    Kafka,
}

/// `[tls]`: the certificate of `listen`, which then speaks HTTPS alone: HTTP/2 and HTTP/1.1, as
/// the client chooses. Both keys are needed. The files are read again on SIGHUP, and within a
/// minute after one of them has changed: new connections get the new certificate, open ones
/// live on, and a pair that cannot be used is refused with a line in the log. TLS that is turned
/// on or off by SIGHUP is so for new connections. `ops_listen` stays
/// plain HTTP.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// A PEM file with the certificate of this server, followed by those that signed it, but the
    /// root. A path begins at the folder that the node is started in. To try it out: `openssl req
    /// -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -subj /CN=localhost -addext
    /// subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE`.
    pub certificate: Option<String>,

    /// A PEM file with the certificate's private key, without a passphrase. Let only the node
    /// read it.
    pub key: Option<String>,
}

/// Both files of `[tls]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those that signed it.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

/// `[cors]`: which web pages may use this server.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CorsConfig {
    /// The origins (`https://app.example`) of pages that may use this server from a browser.
    /// `"*"`, alone, is every page: safe, because no cookie is ever read. A list is also
    /// enforced on WebSockets; an empty one allows no other origin.
    pub origins: Vec<String>,
}

/// `[limits]`: what one message, and one node, may take.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// The largest message: each body, line, event or frame. A larger one is refused with 413
    /// `too-large`.
    #[schemars(extend("x-bounds" = ["1KiB", "64MiB"]))]
    pub message_bytes: Size,

    /// How many channels one connection to `/v1/connect` may read. One more is refused with
    /// `too-many-channels`.
    #[schemars(range(min = 1, max = 100_000))]
    pub connection_channels: u64,

    /// How many channels this node follows live at once. Beyond it the least recently used (those
    /// that nobody reads, then those without a message or a new reader for the longest time, and
    /// for 5 s at least) are polled instead: about once a second, or slower where more than a
    /// thousand are. Their readers get everything that is kept, if later; nobody is refused.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub feeds: u64,

    /// How many idempotency keys this node remembers at once. A publish with a new key beyond it
    /// is refused with `idempotency-full`, since forgetting an old one would store a retry twice;
    /// so is one where keys take half of `broker.memory_bytes`.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub idempotency_keys: u64,

    /// The longest pause within a request body. A streamed publish that is silent for longer is
    /// ended, and told how much was stored.
    #[schemars(extend("x-bounds" = ["100ms", "1h"]))]
    pub body_idle: Period,
}

/// `[websocket]`: how WebSockets speak.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WebSocketConfig {
    /// Whether messages are compressed (`permessage-deflate`) for clients that offer it. Each is
    /// compressed once for all its readers, and a connection keeps no memory for it. It saves bytes
    /// and costs CPU; where secrets and what an attacker may choose share a message, its length
    /// can tell about the secrets.
    pub deflate: bool,
}

/// `[log]`: what the node writes about itself.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// How much is written: `error`, `warn`, `info`, `debug`, `trace` or `off`. Parts of the
    /// program can have their own: `"info,tidings_core=debug"`.
    pub level: String,

    /// How a line looks.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// `text` on a terminal, `json` elsewhere.
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object a line, for programs.
    Json,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        BrokerConfig {
            kind: BrokerKind::Memory,
            memory_bytes: Size(1 << 30),
            path: None,
            url: None,
            brokers: None,
        }
    }
}

impl Default for CorsConfig {
    fn default() -> Self {
        CorsConfig { origins: vec!["*".into()] }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        LimitsConfig {
            message_bytes: Size(1 << 20),
            connection_channels: 1_000,
            feeds: 100_000,
            idempotency_keys: 1_000_000,
            body_idle: Period::secs(60),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig { level: "info".into(), format: LogFormat::Auto }
    }
}

impl BrokerKind {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            BrokerKind::Memory => "memory",
            BrokerKind::Disk => "disk",
            BrokerKind::Redis => "redis",
            BrokerKind::Nats => "nats",
            BrokerKind::Kafka => "kafka",
        }
    }
}

impl TlsConfig {
    /// Both files, if TLS is on.
    pub fn files(&self) -> Option<TlsFiles> {
        let (certificate, key) = self.certificate.clone().zip(self.key.clone())?;
        Some(TlsFiles { certificate, key })
    }
}

impl CorsConfig {
    /// Whether every origin is allowed.
    pub fn any(&self) -> bool {
        self.origins.iter().any(|origin| origin == "*")
    }
}
