//! `[namespaces.NAME]`: the policy of the channels whose name begins with `NAME:`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidings_core::{Namespace, Retain};

use super::Config;
use super::value::Period;

/// `[namespaces.NAME]`: what its channels promise, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamespaceConfig {
    /// What readers are promised. There is no default, because neither suits everybody.
    pub delivery: Delivery,

    /// How much a channel keeps for readers that come later: whichever limit is reached first.
    #[serde(default)]
    pub retain: RetainConfig,

    /// Of each key keep the newest message alone, so that a read from `earliest` is the present
    /// state. What compaction removed is no gap. `retain` holds as well: give it room for as many
    /// messages as there are keys, and for as long as the value of a key may stay the same.
    #[serde(default)]
    pub compact: Option<Compact>,

    /// How a channel comes to be.
    #[serde(default)]
    pub create: Create,

    /// Keep a list of who is reading. It needs tokens with a `sub`.
    #[serde(default)]
    pub presence: bool,

    /// Who may read. An API key always may.
    #[serde(default)]
    pub subscribe: Subscribe,

    /// Who may write. An API key always may.
    #[serde(default)]
    pub publish: Publish,

    /// As the node's `dedupe`, for this namespace.
    #[serde(default)]
    #[schemars(extend("x-bounds" = ["100ms", "24h"], "x-default" = "the node's `dedupe`"))]
    pub dedupe: Option<Period>,

    /// As the node's `max_lag`, for this namespace.
    #[serde(default)]
    #[schemars(extend("x-bounds" = ["100ms", "10m"], "x-default" = "the node's `max_lag`"))]
    pub max_lag: Option<Period>,
}

/// What a channel keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetainConfig {
    /// How many messages a channel keeps at most.
    #[schemars(
        range(min = 1, max = 1_000_000_000_000u64),
        extend("x-default" = "`1000`, or `100` where delivery is at-most-once")
    )]
    pub messages: Option<u64>,

    /// How long a message is kept at most.
    #[schemars(extend(
        "x-bounds" = ["100ms", "36500days"],
        "x-default" = "`\"24h\"`, or `\"60s\"` where delivery is at-most-once"
    ))]
    pub age: Option<Period>,
}

/// What readers are promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// A 200 means ordered. A reader that is slow or away may miss messages, and is told how
    /// many.
    AtMostOnce,
    /// A 200 means stored. A reader that comes back gets every message after its cursor, in
    /// order, or a gap that says what is missing.
    AtLeastOnce,
}

/// How a log is compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Compact {
    /// The newest message of each key is kept.
    LatestPerKey,
}

/// How a channel comes to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Create {
    /// By its first message. One that nobody wrote to can be read, and is empty.
    #[default]
    Implicit,
    /// By PUT, with an API key that may administer. Others are unknown, to publishers and readers.
    Explicit,
}

/// Who may read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Subscribe {
    /// Anybody, without credentials.
    Public,
    /// Any valid token.
    User,
    /// A token that lists the channel.
    #[default]
    Token,
}

/// Who may write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Publish {
    /// Your backends, with an API key.
    #[default]
    Server,
    /// Any valid token.
    User,
    /// A token that lists the channel.
    Token,
}

impl NamespaceConfig {
    /// The namespace as the core knows it: every default is resolved.
    pub fn to_core(&self, node: &Config) -> Namespace {
        let mut namespace = Namespace::new(self.delivery.into());
        let Retain { messages, age_ms } = namespace.retain;
        namespace.retain = Retain {
            messages: self.retain.messages.unwrap_or(messages),
            age_ms: self.retain.age.map_or(age_ms, Period::ms),
        };
        namespace.compact = self.compact.is_some();
        namespace.implicit = self.create == Create::Implicit;
        namespace.presence = self.presence;
        namespace.subscribe = self.subscribe.into();
        namespace.publish = self.publish.into();
        namespace.dedupe_ms = self.dedupe.unwrap_or(node.dedupe).ms();
        namespace.max_lag_ms = self.max_lag.unwrap_or(node.max_lag).ms();
        namespace
    }
}

impl From<Delivery> for tidings_core::Delivery {
    fn from(delivery: Delivery) -> Self {
        match delivery {
            Delivery::AtMostOnce => tidings_core::Delivery::AtMostOnce,
            Delivery::AtLeastOnce => tidings_core::Delivery::AtLeastOnce,
        }
    }
}

impl From<Subscribe> for tidings_core::Subscribe {
    fn from(subscribe: Subscribe) -> Self {
        match subscribe {
            Subscribe::Public => tidings_core::Subscribe::Public,
            Subscribe::User => tidings_core::Subscribe::User,
            Subscribe::Token => tidings_core::Subscribe::Token,
        }
    }
}

impl From<Publish> for tidings_core::Publish {
    fn from(publish: Publish) -> Self {
        match publish {
            Publish::Server => tidings_core::Publish::Server,
            Publish::User => tidings_core::Publish::User,
            Publish::Token => tidings_core::Publish::Token,
        }
    }
}
