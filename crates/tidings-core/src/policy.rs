//! The policy of a namespace: what its channels promise, and to whom.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Code, Error, Result};
use crate::log::{Below, Channel, Retain, Rules};

/// What a reader is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delivery {
    /// No duplicates on one connection; a slow or returning reader may miss messages, and is told how many.
    AtMostOnce,
    /// Every message after the cursor, in order, or a gap that says what is missing.
    AtLeastOnce,
}

/// Who may read a channel. An API key always may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscribe {
    /// Anybody, without credentials.
    Public,
    /// Any valid token.
    User,
    /// A token whose `subscribe` patterns cover the channel.
    Token,
    /// API keys that may administer, and no others.
    Administer,
}

/// Who may write to a channel. An API key always may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publish {
    /// API keys alone.
    Server,
    /// Any valid token.
    User,
    /// A token whose `publish` patterns cover the channel.
    Token,
    /// Nobody: the nodes do.
    Nobody,
}

/// The rules of one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// The guarantee; declared, never defaulted.
    pub delivery: Delivery,
    /// How much is kept.
    pub retain: Retain,
    /// Keep the newest message of each key (`compact = "latest-per-key"`).
    pub compact: bool,
    /// Whether the first message creates a channel; else an administrator does.
    pub implicit: bool,
    /// Keep a list of who is here.
    pub presence: bool,
    /// Who may read.
    pub subscribe: Subscribe,
    /// Who may write.
    pub publish: Publish,
    /// Milliseconds for which an idempotency key is remembered, from storing.
    pub dedupe_ms: u64,
    /// Milliseconds for which a socket may take nothing before it is disconnected.
    pub max_lag_ms: u64,
}

impl Delivery {
    /// The name on every wire and in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Delivery::AtMostOnce => "at-most-once",
            Delivery::AtLeastOnce => "at-least-once",
        }
    }

    /// What a reader is told of it: also, whether it asked for the newest message of each key alone.
    pub fn stated(self, conflated: bool) -> &'static str {
        match (self, conflated) {
            (Delivery::AtMostOnce, true) => "at-most-once; conflated",
            (Delivery::AtLeastOnce, true) => "at-least-once; conflated",
            (delivery, false) => delivery.as_str(),
        }
    }
}

impl Namespace {
    /// A namespace with this guarantee and the documented default of everything else.
    pub fn new(delivery: Delivery) -> Self {
        Namespace {
            delivery,
            retain: match delivery {
                Delivery::AtMostOnce => Retain::TAIL,
                Delivery::AtLeastOnce => Retain::LOG,
            },
            compact: false,
            implicit: true,
            presence: false,
            subscribe: Subscribe::Token,
            publish: Publish::Server,
            dedupe_ms: 120_000,
            max_lag_ms: 30_000,
        }
    }
}

impl Namespace {
    /// The namespace of what nodes say of themselves, which is built in.
    pub(crate) fn own() -> Self {
        Namespace {
            // An hour of a hundred nodes.
            retain: Retain { messages: 100_000, age_ms: 3_600_000 },
            subscribe: Subscribe::Administer,
            publish: Publish::Nobody,
            ..Namespace::new(Delivery::AtMostOnce)
        }
    }

    /// What a broker needs to know of it.
    pub fn rules(&self) -> Rules {
        Rules {
            retain: self.retain,
            compact: self.compact,
            implicit: self.implicit,
            dedupe_ms: self.dedupe_ms,
            below: match self.delivery {
                Delivery::AtMostOnce => Below::Newest,
                Delivery::AtLeastOnce => Below::Oldest,
            },
            durable: self.delivery == Delivery::AtLeastOnce,
        }
    }
}

/// Every declared namespace, by name.
#[derive(Debug, Clone)]
pub struct Policy {
    namespaces: BTreeMap<String, Arc<Namespace>>,
    channel_bytes: usize,
}

impl Policy {
    /// The policy made of these namespaces.
    pub fn new(namespaces: impl IntoIterator<Item = (String, Namespace)>) -> Self {
        let own = (Channel::OWN.to_owned(), Namespace::own());
        let namespaces = namespaces.into_iter().chain([own]);
        Policy {
            namespaces: namespaces.map(|(name, n)| (name, Arc::new(n))).collect(),
            channel_bytes: Channel::BYTES_MAX,
        }
    }

    /// The same, for channels whose names have at most so many bytes.
    #[must_use]
    pub fn channel_bytes(mut self, most: usize) -> Self {
        self.channel_bytes = most;
        self
    }

    /// The rules of a channel, or [`Code::UnknownNamespace`]; [`Code::BadChannel`] where its name is too long here.
    pub fn of(&self, channel: &Channel) -> Result<Arc<Namespace>> {
        let most = self.channel_bytes;
        let name = channel.namespace();
        if name == Channel::OWN && *channel != Channel::nodes() {
            return Err(Error::new(
                Code::UnknownNamespace,
                format!("this server has no channel `{channel}`"),
            ));
        }
        if name != Channel::OWN && channel.as_str().len() > most {
            let detail = format!("the channel name has more than {most} bytes, which is the limit here");
            return Err(Error::new(Code::BadChannel, detail));
        }
        self.namespaces.get(name).cloned().ok_or_else(|| {
            Error::new(Code::UnknownNamespace, format!("no namespace `{name}` is declared on this server"))
        })
    }

    /// Whether reading these channels needs a token, so that no shared cache may keep the answer.
    pub fn is_private(&self, channels: &[Channel]) -> bool {
        self.all_of(channels).any(|namespace| namespace.subscribe != Subscribe::Public)
    }

    /// The weakest guarantee of these channels.
    pub fn delivery(&self, channels: &[Channel]) -> Delivery {
        self.all_of(channels).map(|namespace| namespace.delivery).min().unwrap_or(Delivery::AtMostOnce)
    }

    fn all_of(&self, channels: &[Channel]) -> impl Iterator<Item = &Namespace> {
        channels.iter().filter_map(|channel| self.namespaces.get(channel.namespace())).map(|one| &**one)
    }
}
