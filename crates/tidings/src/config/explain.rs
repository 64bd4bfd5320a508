//! What a configuration means, in plain words: the report of `tidings check`.

use std::time::Duration;

use serde::Serialize;

use tidings_core::{Delivery, Namespace, Publish, Retain, Subscribe};

use super::{
    ApiKeyConfig, BrokerConfig, BrokerKind, Config, Loaded, Pair, Period, Right, advice, public_key,
};

/// What a configuration means.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Where the configuration came from.
    pub sources: Vec<String>,
    /// Where clients connect.
    pub listen: String,
    /// Whether they speak TLS, and until when.
    pub tls: String,
    /// Where monitoring connects, if elsewhere.
    pub ops_listen: Option<String>,
    /// What keeps the channels.
    pub broker: String,
    /// What that is worth.
    pub promise: String,
    /// Which tokens of clients are accepted.
    pub tokens: String,
    /// Which API keys there are.
    pub api_keys: String,
    /// Each namespace.
    pub namespaces: Vec<NamespaceReport>,
    /// What is probably a mistake.
    pub warnings: Vec<String>,
    /// What is worth knowing.
    pub notes: Vec<String>,
}

/// What a namespace means.
#[derive(Debug, Clone, Serialize)]
pub struct NamespaceReport {
    /// Its name.
    pub name: String,
    /// The channels that it is for.
    pub channels: String,
    /// The guarantee.
    pub delivery: &'static str,
    /// What a publisher's 200 means.
    pub stored: String,
    /// What a reader gets that comes back with its cursor.
    pub resume: String,
    /// What happens to a reader that is too slow.
    pub slow: String,
    /// How much is kept.
    pub kept: String,
    /// What becomes of a publish that is repeated.
    pub retry: String,
    /// Who may read.
    pub readers: &'static str,
    /// Who may write.
    pub writers: &'static str,
    /// Whether there is a list of who is here.
    pub presence: &'static str,
}

impl Report {
    /// The report on a configuration.
    pub fn new(loaded: &Loaded) -> Self {
        let config = &loaded.config;
        let namespaces = config.namespaces.iter();
        Report {
            sources: loaded.sources.clone(),
            listen: config.listen.to_string(),
            tls: tls(config),
            ops_listen: config.ops_listen.map(|address| address.to_string()),
            broker: config.broker.kind.as_str().to_owned(),
            promise: promise(&config.broker),
            tokens: tokens(config),
            api_keys: api_keys(&config.auth.api_keys),
            namespaces: namespaces
                .map(|(name, n)| NamespaceReport::new(name, &n.to_core(config), &config.broker))
                .collect(),
            warnings: loaded.warnings.clone(),
            notes: advice::notes(config),
        }
    }
}

/// What the broker is worth.
fn promise(broker: &BrokerConfig) -> String {
    match broker.kind {
        BrokerKind::Disk => {
            format!(
                "messages live in the folder {}; a restart loses nothing, and cursors go on",
                broker.folder()
            )
        }
        BrokerKind::Redis => format!(
            "messages live in Redis at {}, with keys {}…; all nodes with both have the same channels; its restart \
             keeps what the server has on disk (appendonly yes, appendfsync always for all of it), a failover is \
             told by a gap; maxmemory-policy must be noeviction",
            servers(broker),
            broker.prefix()
        ),
        BrokerKind::Nats => {
            "messages live in NATS JetStream, shared by all nodes that use it; a restart of a node loses nothing, \
             and cursors go on"
                .to_owned()
        }
        BrokerKind::Kafka => format!(
            "messages live in Kafka at {}, in topics {}.…, shared by all nodes that use them; a restart of a node \
             loses nothing, and cursors go on; what a topic lets go (its retention.ms, set when it is made to the age \
             of `retain` and an hour) is gone, whatever `retain` says",
            broker.brokers.as_deref().unwrap_or_default().join(", "),
            broker.prefix.as_deref().unwrap_or("tidings")
        ),
        _ => format!(
            "messages live in this process, up to {} in all; a restart forgets them, and readers are told so by a gap",
            broker.memory_bytes
        ),
    }
}

/// Where the Redis servers are, without what else their URLs hold.
fn servers(broker: &BrokerConfig) -> String {
    let place = |url: String| match url::Url::parse(&url) {
        Ok(url) => {
            format!("{}:{}", url.host_str().unwrap_or("127.0.0.1"), url.port().unwrap_or(6379))
        }
        Err(_) => "a URL that cannot be read".to_owned(),
    };
    broker.urls().into_iter().map(place).collect::<Vec<_>>().join(", ")
}

/// What a 200 means.
fn stored(broker: &BrokerConfig) -> String {
    match (broker.kind, broker.fsync_every) {
        (BrokerKind::Disk, Period(Duration::ZERO)) => {
            "on the disk of this node (fsync): neither a crash nor a power failure loses it".to_owned()
        }
        (BrokerKind::Disk, time) => format!(
            "with the operating system, and on disk within {time}: a crash of the node loses nothing, a power \
             failure what was answered in that time"
        ),
        (BrokerKind::Redis, _) if broker.replicas.is_some_and(|replicas| replicas > 0) => format!(
            "in the Redis primary and in {} of its replicas: the loss of the primary loses nothing, where one of \
             those takes its place",
            broker.replicas.unwrap_or(0)
        ),
        (BrokerKind::Redis, _) => {
            "in the Redis primary: its restart loses what it had not on disk, a failover what the replica had not"
                .to_owned()
        }
        (BrokerKind::Nats, _) => match broker.replicas.unwrap_or(1) {
            1 => "in a stream of one NATS server: its crash loses nothing, a power failure what its sync_interval \
                  leaves open (2 minutes, unless it is set to always)"
                .to_owned(),
            replicas => format!("in a stream on most of {replicas} NATS servers"),
        },
        (BrokerKind::Kafka, _) => match broker.replicas.unwrap_or(1) {
            1 => "in a topic of one Kafka server: its crash loses nothing, a power failure what it had not flushed \
                  (it leaves that to the operating system)"
                .to_owned(),
            replicas => format!(
                "in a topic on every in-sync server of {replicas} (acks=all), at least {} of them",
                replicas / 2 + 1
            ),
        },
        _ => "stored in the memory of this node, for as long as it runs and keeps it".to_owned(),
    }
}

impl NamespaceReport {
    fn new(name: &str, namespace: &Namespace, broker: &BrokerConfig) -> Self {
        let lag = duration(namespace.max_lag_ms);
        let Retain { messages, age_ms } = namespace.retain;
        let (messages, age) = (grouped(messages), duration(age_ms));
        let (stored, resume, slow) = match namespace.delivery {
            Delivery::AtLeastOnce => (
                stored(broker),
                "every later message, in order, or a gap that says what is missing".to_owned(),
                format!(
                    "falls behind in the log; disconnected if its socket takes nothing for {lag}, and resumes from \
                     the last message it got"
                ),
            ),
            Delivery::AtMostOnce => (
                "ordered; nothing is waited for".to_owned(),
                format!(
                    "the messages of the last {age}, at most {messages}; if it was away for longer a gap, then now"
                ),
                format!(
                    "skips ahead, and is told how many it missed; disconnected if its socket takes nothing for {lag}"
                ),
            ),
        };
        let created = if namespace.implicit { "" } else { "; an administrator creates each channel" };
        let topic = match broker.kind {
            BrokerKind::Kafka => ", and no longer than its topic keeps them",
            _ => "",
        };
        let compact = if namespace.compact { "; of each key the newest alone" } else { "" };
        NamespaceReport {
            name: name.to_owned(),
            channels: if name == "default" {
                "channels without a `:`, and default:…".to_owned()
            } else {
                format!("channels {name}:…")
            },
            delivery: namespace.delivery.as_str(),
            stored,
            resume,
            slow,
            kept: format!(
                "the newest {messages} messages of a channel, for {age} at most{topic}{compact}{created}"
            ),
            retry: match namespace.delivery {
                Delivery::AtLeastOnce => {
                    format!(
                        "is stored once, if its Idempotency-Key is the same and {} have not passed",
                        duration(namespace.dedupe_ms)
                    )
                }
                Delivery::AtMostOnce => "may appear twice".to_owned(),
            },
            readers: match namespace.subscribe {
                Subscribe::Public => "anybody",
                Subscribe::User => "every valid token, and API keys",
                Subscribe::Token => "tokens that list the channel, and API keys",
                Subscribe::Administer => "API keys that may administer",
            },
            writers: match namespace.publish {
                Publish::Server => "API keys alone",
                Publish::User => "every valid token, and API keys",
                Publish::Token => "tokens that list the channel, and API keys",
                Publish::Nobody => "nobody but the nodes",
            },
            presence: if namespace.presence { "kept: readers with a token see who is here" } else { "off" },
        }
    }

    /// The report as lines: a label and a sentence each.
    pub fn lines(&self) -> [(&'static str, &str); 8] {
        [
            ("a 200 means", &self.stored),
            ("a returning reader gets", &self.resume),
            ("a slow reader", &self.slow),
            ("kept", &self.kept),
            ("a repeated publish", &self.retry),
            ("may read", self.readers),
            ("may publish", self.writers),
            ("presence", self.presence),
        ]
    }
}

/// The certificate in words. It was read before; if that fails now it is gone since.
fn tls(config: &Config) -> String {
    let Some(files) = config.tls.files() else { return "off: plain HTTP/1.1".to_owned() };
    let expires = Pair::load(&files.certificate, &files.key);
    let expires =
        expires.map_or_else(|_| "is gone since".to_owned(), |pair| format!("expires {}", pair.expires()));
    format!("HTTP/2 and HTTP/1.1 with {}, which {expires}", files.certificate)
}

/// Which tokens are accepted, in words.
fn tokens(config: &Config) -> String {
    let jwt = &config.auth.jwt;
    let mut text = match (&jwt.hmac_secret, &jwt.public_key_file, &jwt.jwks_url) {
        (Some(_), ..) if config.dev => "signed with a secret (HS256); POST /dev/token makes them".to_owned(),
        (Some(_), ..) => "signed with hmac_secret (HS256)".to_owned(),
        // It was read a moment ago, when the configuration was validated.
        (None, Some(file), _) => match public_key(file) {
            Ok(key) => format!("signed with the private half of {file}: {key}"),
            Err(why) => format!("none: public_key_file {why}"),
        },
        (None, None, Some(url)) => format!("signed with a key that {url} has (RS256, ES256 or EdDSA)"),
        (None, None, None) => return "none is accepted".to_owned(),
    };
    if let Some(audience) = &jwt.audience {
        text += &format!(", for the audience {audience}");
    }
    if let Some(issuer) = &jwt.issuer {
        text += &format!(", from the issuer {issuer}");
    }
    text
}

/// The API keys, by name.
fn api_keys(keys: &[ApiKeyConfig]) -> String {
    let words = keys.iter().map(|key| {
        let name = key.key.name.as_deref().unwrap_or("one without a name");
        format!("{name} ({})", Right::names(key.key.rights).join(", "))
    });
    match words.collect::<Vec<_>>().join("; ") {
        none if none.is_empty() => "none".to_owned(),
        words => words,
    }
}

/// Milliseconds for people.
fn duration(ms: u64) -> String {
    Period(std::time::Duration::from_millis(ms)).to_string()
}

/// A number for people: `10,000`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(10_000), "10,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
