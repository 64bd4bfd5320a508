//! `[limits]`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::value::{Period, Size};

/// `[limits]`: what one message, one client, and one node may take. Beyond a limit there is a
/// clear error with its code, and nobody else is slower for it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// The largest message: each body, line, event or frame. A larger one is refused with 413
    /// `too-large`.
    #[schemars(extend("x-bounds" = ["1KiB", "64MiB"]))]
    pub message_bytes: Size,

    /// How many messages `POST /v1/publish` may hold, in at most 16 times the bytes of one. More
    /// are refused with `bad-batch`.
    #[schemars(range(min = 1, max = 1_000))]
    pub batch_messages: u64,

    /// How long the name of a channel may be. A longer one is refused with `bad-channel`.
    #[schemars(range(min = 16, max = 255))]
    pub channel_bytes: u64,

    /// How many channels one connection to `/v1/connect` may read. One more is refused with
    /// `too-many-channels`.
    #[schemars(range(min = 1, max = 100_000))]
    pub connection_channels: u64,

    /// How many connections this node serves at once. One more is refused with 503 `overloaded`,
    /// and those that come faster than they can be refused are closed without a word. Without it:
    /// as many as the process may open files, less a sixteenth that is kept for refusals, and 64.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub connections: Option<u64>,

    /// How many connections one address may have (IPv6: one /64). One more is refused with 429
    /// `too-many-connections`. Behind a proxy all clients have its address: name it in
    /// `proxy.trusted`, and the live reads of each client's own address are counted instead.
    /// Without it: half of `connections`, so that no address can fill the node, and any number
    /// from this machine itself.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub address_connections: Option<u64>,

    /// How many live reads (streams, WebSockets, long-polls) one user may have: the `sub` of a
    /// token. One more is refused with 429 `too-many-connections`.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub user_connections: u64,

    /// How many new connections are taken a second. More wait for their turn, and those who are
    /// there already notice nothing.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub accept_rate: u64,

    /// How many messages a second one user may publish on average: the `sub` of a token. More are
    /// refused with 429 `rate-limited`; a streamed body is read more slowly instead. API keys, and
    /// tokens without a `sub`, are not limited.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub publish_rate: u64,

    /// How many messages one user may publish at once, after a while without any.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub publish_burst: u64,

    /// How long the head of a request may take from its first byte on, and a handshake of TLS.
    /// After that it is refused with 400 `bad-request`, or the connection is closed.
    #[schemars(extend("x-bounds" = ["100ms", "10m"]))]
    pub head_time: Period,

    /// How long a connection may be open between two requests, or before the first.
    #[schemars(extend("x-bounds" = ["100ms", "1h"]))]
    pub idle_time: Period,

    /// The longest pause within a request body. A streamed publish that is silent for longer is
    /// ended, and told how much was stored.
    #[schemars(extend("x-bounds" = ["100ms", "1h"]))]
    pub body_idle: Period,

    /// How long a request body may take until it is whole: JSON, text, bytes, a batch, a revocation;
    /// of a streamed publish, which may go on for ever, each message. After that it is refused with
    /// 408 `body-incomplete`. A message of 1 MiB in 30 s needs a line of 280 kbit/s, a batch of
    /// 16 MiB one of 4.5 Mbit/s: with larger ones, or slower lines, give it more.
    #[schemars(extend("x-bounds" = ["100ms", "1h"]))]
    pub body_time: Period,

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
}

impl Default for LimitsConfig {
    fn default() -> Self {
        LimitsConfig {
            message_bytes: Size(1 << 20),
            batch_messages: 1_000,
            channel_bytes: 255,
            connection_channels: 1_000,
            connections: None,
            address_connections: None,
            user_connections: 1_000,
            accept_rate: 2_000,
            publish_rate: 100,
            publish_burst: 1_000,
            head_time: Period::secs(10),
            idle_time: Period::secs(75),
            body_idle: Period::secs(60),
            body_time: Period::secs(30),
            feeds: 100_000,
            idempotency_keys: 1_000_000,
        }
    }
}

impl LimitsConfig {
    /// The bounds as the core knows them.
    pub fn to_core(&self) -> tidings_core::Limits {
        tidings_core::Limits {
            message_bytes: count(self.message_bytes.0),
            feeds: count(self.feeds),
            user_connections: count(self.user_connections),
            publish: tidings_core::Rate {
                each_second: u32::try_from(self.publish_rate).unwrap_or(u32::MAX),
                at_once: u32::try_from(self.publish_burst).unwrap_or(u32::MAX),
            },
        }
    }
}

/// A number as this machine counts.
pub fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
