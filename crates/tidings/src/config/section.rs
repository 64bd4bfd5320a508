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

    /// The server of `kind = "redis"`: `redis://HOST:6379`, or `rediss://` for TLS, and
    /// `redis://USER:PASSWORD@HOST:6379/0` if need be. Several, with commas between them, are a primary
    /// and its replicas, of which the node finds the primary, or some servers of a cluster, of which it
    /// finds the others. That of `kind = "nats"`: `nats://HOST:4222`, or `tls://`, with a user and password or
    /// a token where it wants them, and with commas between the servers of a cluster.
    #[schemars(extend("x-default" = "`redis://127.0.0.1:6379` with `kind = \"redis\"`"))]
    pub url: Option<Secret>,

    /// The password of `kind = "redis"`, in place of that in `url`, or that of `user` with `kind = "kafka"`. It
    /// is best given by the variable `TIDINGS_BROKER__PASSWORD`.
    pub password: Option<Secret>,

    /// A file of credentials for `kind = "nats"`, as `nsc generate creds` makes it.
    pub credentials: Option<String>,

    /// What all keys of `kind = "redis"` begin with (no braces), or the streams and subjects of
    /// `kind = "nats"`, or the topics of `kind = "kafka"` (both 1 to 32 letters and digits), so that others can
    /// use the same server. Nodes with the same prefix have the same channels.
    #[schemars(extend("x-default" = "`\"tidings:\"` with `kind = \"redis\"`, `\"tidings\"` with the others"))]
    pub prefix: Option<String>,

    /// How many replicas of `kind = "redis"` must have a message before it is acknowledged, and before
    /// readers get it. With 0 a failover may lose what was acknowledged just before it, and readers are
    /// told so by a gap. The same on all nodes. With `kind = "nats"`: on how many servers of its cluster
    /// a stream is kept that a node makes, 1, 3 or 5; one that is there stays as it is (`nats stream edit`).
    /// With `kind = "kafka"`: on how many servers a topic is kept that a node makes, 1 to 16, of which more than
    /// half must be in sync (`min.insync.replicas`).
    #[schemars(extend("x-default" = "`0` with `kind = \"redis\"`, `1` with the others"))]
    #[schemars(range(max = 16))]
    pub replicas: Option<u32>,

    /// How long `replicas` are waited for. After that a publisher is told that it is not known whether
    /// its message is stored.
    #[schemars(extend("x-bounds" = ["10ms", "5s"]))]
    pub wait_timeout: Period,

    /// A PEM file with the certificates of those who may sign that of a `rediss://` or `tls://` server, or of a
    /// server of `kind = "kafka"`, which then speaks TLS. A path begins at the folder that the node is started in.
    #[schemars(extend("x-default" = "the system's certificates"))]
    pub ca: Option<String>,

    /// The bootstrap servers of `kind = "kafka"`, each `"HOST:PORT"`: some servers of the cluster, of which the
    /// node finds the others.
    #[schemars(extend("x-default" = "none, and `kind = \"kafka\"` needs one at least"))]
    pub brokers: Option<Vec<String>>,

    /// As whom the node is known to the servers of `kind = "kafka"` (SASL); needs `password`.
    pub user: Option<String>,

    /// How the servers of `kind = "kafka"` ask for the password of `user`: `plain`, `scram-sha-256` or
    /// `scram-sha-512`. With `plain` the password crosses the network as it is, so use TLS.
    #[schemars(extend("x-default" = "`plain` where there is a `user`"))]
    pub sasl: Option<Sasl>,

    /// Whether the servers of `kind = "kafka"` speak TLS. With `ca` they do.
    #[schemars(extend("x-default" = "`false`"))]
    pub tls: Option<bool>,

    /// How many partitions a topic of `kind = "kafka"` has that a node makes. One that is there stays as it is, and
    /// its number must not change while nodes run.
    #[schemars(extend("x-default" = "`12`"))]
    #[schemars(range(min = 1, max = 1000))]
    pub partitions: Option<u16>,
}

/// What keeps the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BrokerKind {
    /// This process: fast, one node, gone at a restart.
    Memory,
    /// A folder on this machine's disk (SQLite): one node, and nothing that was answered with 200 is lost.
    Disk,
    /// Redis 7 or newer, or Valkey, or a cluster of them: several nodes. What a restart of the server or a
    /// failover keeps is as the server is set up; what is lost is told by a gap `epoch`.
    Redis,
    /// NATS JetStream: several nodes that share their channels.
    Nats,
    /// Kafka: several nodes that share their channels. It is in builds with `--features kafka`, as the
    /// published ones are.
    Kafka,
}

/// How a password is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sasl {
    /// As it is.
    Plain,
    /// By a proof of it (RFC 7677).
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// The same with a longer hash.
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
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
            password: None,
            credentials: None,
            prefix: None,
            replicas: None,
            wait_timeout: Period::secs(1),
            ca: None,
            brokers: None,
            user: None,
            sasl: None,
            tls: None,
            partitions: None,
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

    /// The servers of `kind = "redis"`.
    pub fn urls(&self) -> Vec<String> {
        let urls = self.url.as_ref().map_or("redis://127.0.0.1:6379", Secret::expose);
        urls.split(',').map(|url| url.trim().to_owned()).collect()
    }

    /// What the keys of `kind = "redis"` begin with.
    pub fn prefix(&self) -> &str {
        self.prefix.as_deref().unwrap_or("tidings:")
    }
}

impl Sasl {
    /// As the servers name it.
    pub fn mechanism(self) -> &'static str {
        match self {
            Sasl::Plain => "PLAIN",
            Sasl::ScramSha256 => "SCRAM-SHA-256",
            Sasl::ScramSha512 => "SCRAM-SHA-512",
        }
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
