//! The sections that are not namespaces and have no file of their own: `[broker]`, `[tls]`, `[cors]`,
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

    /// The folder of `kind = "disk"`; a path begins at the folder that the node is started in. It is
    /// made if it is not there, and one node uses it at a time. Let only the node's user read it.
    #[schemars(extend("x-default" = "`\"data\"` with `kind = \"disk\"`"))]
    pub path: Option<String>,

    /// How long `kind = "disk"` may leave a message with the operating system that was answered
    /// with 200. `"0s"`: not at all. A 200 then means that the message is on disk (fsync), and
    /// publishers that write at the same time share one fsync. With `"100ms"` nobody waits for the
    /// disk: a crash of the node still loses nothing, a power failure or a crash of the machine
    /// the messages of the last 100 ms, and then readers get a gap `epoch`.
    #[schemars(extend("x-bounds" = ["0s", "10s"]))]
    pub fsync_every: Period,

    /// The server of `kind = "nats"`, such as `"nats://127.0.0.1:4222"`: `nats://` or `tls://`, with a user
    /// and password or a token where it wants them (`nats://user:password@host`), and with commas
    /// between the servers of a cluster. (`kind = "redis"` is not in this version yet.)
    pub url: Option<Secret>,

    /// A file of credentials for `kind = "nats"`, as `nsc generate creds` makes it.
    pub credentials: Option<String>,

    /// Certificates (PEM) to trust for the server of `kind = "nats"`, besides those of the system.
    pub ca: Option<String>,

    /// What the streams and subjects of `kind = "nats"` begin with: 1 to 32 letters and digits. All
    /// nodes of an installation have the same, and two installations of one account have two.
    #[schemars(extend("x-default" = "`\"tidings\"` with `kind = \"nats\"`"))]
    pub prefix: Option<String>,

    /// On how many servers of its cluster `kind = "nats"` keeps a stream that it makes: 1, 3 or 5. A
    /// stream that is there stays as it is; `nats stream edit` changes it.
    #[schemars(extend("x-default" = "`1` with `kind = \"nats\"`"))]
    #[schemars(range(min = 1, max = 5))]
    pub replicas: Option<u8>,

    /// The bootstrap servers of `kind = "kafka"`. Not in this version yet.
    pub brokers: Option<Vec<String>>,
}

/// What keeps the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BrokerKind {
    /// This process: fast, one node, gone at a restart.
    Memory,
    /// A folder on this machine's disk (SQLite): one node, and nothing that was answered with 200 is lost.
    Disk,
    /// A Redis server. Not in this version yet.
    Redis,
    /// NATS JetStream: several nodes that share their channels.
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
            fsync_every: Period::secs(0),
            url: None,
            credentials: None,
            ca: None,
            prefix: None,
            replicas: None,
            brokers: None,
        }
    }
}

impl Default for CorsConfig {
    fn default() -> Self {
        CorsConfig { origins: vec!["*".into()] }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig { level: "info".into(), format: LogFormat::Auto }
    }
}

impl BrokerConfig {
    /// The folder of `kind = "disk"`.
    pub fn folder(&self) -> &str {
        self.path.as_deref().unwrap_or("data")
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
