//! A hub for tests, and the shortest words for what they do with it.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tidings_core::broker::{Broker, Memory, MemoryLimits};
use tidings_core::log::{Appended, Draft, Kind, Once, Payload, Start};
use tidings_core::{
    Batch, Channel, Clock, Control, Credentials, Delivery, End, From, Hub, Item, Keys, Limits, Metrics,
    Namespace, Parts, Policy, Publish, Result, Session, Settings, Stopped, Subscribe, Subscription, Want,
};

/// Its own bounds are far away.
pub const ROOM: MemoryLimits = MemoryLimits { bytes: 1 << 30, idempotency_keys: 1_000_000 };
/// The simulated time at which tests begin.
pub const BEGAN_MS: u64 = 1_700_000_000_000;
pub const SECRET: &[u8] = b"a secret of enough bytes for HS256";
pub const API_KEY: &str = "sk_test";

/// One node.
pub struct Node {
    pub hub: Hub,
    pub control: Control,
    pub clock: Clock,
}

impl Node {
    /// A node over a memory broker of its own, with these namespaces.
    pub fn new(namespaces: impl IntoIterator<Item = (&'static str, Namespace)>) -> Node {
        let clock = Clock::simulated(BEGAN_MS);
        let broker = Arc::new(Memory::start(clock.clone(), ROOM, 1 << 40));
        Node::over(broker, clock, namespaces, 10_000, 7)
    }

    pub fn over(
        broker: Arc<dyn Broker>,
        clock: Clock,
        namespaces: impl IntoIterator<Item = (&'static str, Namespace)>,
        feeds: usize,
        incarnation: u64,
    ) -> Node {
        Node::of(broker, clock, namespaces, Keys::new([API_KEY], Some(SECRET)), feeds, incarnation)
    }

    /// A node that accepts these keys.
    pub fn with_keys(namespaces: impl IntoIterator<Item = (&'static str, Namespace)>, keys: Keys) -> Node {
        let clock = Clock::simulated(BEGAN_MS);
        let broker = Arc::new(Memory::start(clock.clone(), ROOM, 1 << 40));
        Node::of(broker, clock, namespaces, keys, 10_000, 7)
    }

    fn of(
        broker: Arc<dyn Broker>,
        clock: Clock,
        namespaces: impl IntoIterator<Item = (&'static str, Namespace)>,
        keys: Keys,
        feeds: usize,
        incarnation: u64,
    ) -> Node {
        let (hub, control) = Hub::start(Parts {
            broker,
            settings: Settings {
                policy: Policy::new(
                    namespaces.into_iter().map(|(name, namespace)| (name.to_owned(), namespace)),
                ),
                keys,
                limits: Limits { feeds, ..Limits::default() },
            },
            clock: clock.clone(),
            metrics: Arc::new(Metrics::new()),
            incarnation,
        });
        Node { hub, control, clock }
    }

    /// A session with the API key.
    pub fn backend(&self) -> Session {
        self.open(&Credentials::Bearer(API_KEY.into())).unwrap()
    }

    pub fn open(&self, credentials: &Credentials) -> Result<Session> {
        self.hub.open(&[], credentials)
    }

    /// Publishes texts, as one append.
    pub async fn publish(&self, name: &str, texts: &[&str]) -> Vec<Appended> {
        self.try_publish(name, texts.iter().map(|text| draft(text)).collect()).await.unwrap()
    }

    pub async fn try_publish(&self, name: &str, drafts: Vec<Draft>) -> Result<Vec<Appended>, Stopped> {
        self.backend().writer(&channel(name)).unwrap().append(drafts).await
    }

    pub async fn follow(&self, names: &[&str], from: From) -> Result<Subscription> {
        self.backend().follow(want(names, from)).await
    }
}

/// A namespace that everybody may read.
pub fn public(delivery: Delivery) -> Namespace {
    Namespace { subscribe: Subscribe::Public, publish: Publish::User, ..Namespace::new(delivery) }
}

pub fn channel(name: &str) -> Channel {
    Channel::parse(name).unwrap()
}

pub fn want(names: &[&str], from: From) -> Want {
    Want {
        channels: names.iter().map(|name| channel(name)).collect(),
        from,
        consumer: None,
        default: Start::Latest,
    }
}

pub fn draft(text: &str) -> Draft {
    let bytes = bytes::Bytes::copy_from_slice(text.as_bytes());
    let payload = Payload { kind: Kind::Text, bytes };
    Draft { id: text.into(), once: Once::No, event: None, key: None, payload, from: None }
}

/// The next batch of a subscription.
pub async fn next(subscription: &mut Subscription, max: usize) -> Result<Vec<(u32, Item)>, End> {
    let mut batch = Batch::default();
    poll_fn(|cx| subscription.poll_next(cx, max, &mut batch)).await?;
    Ok(batch.items)
}

/// The texts of the next messages, all of them advanced past; panics at a gap, or where none come for a minute.
pub async fn texts(subscription: &mut Subscription, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        let waited =
            tokio::time::timeout(Duration::from_secs(60), next(subscription, count - texts.len())).await;
        for (reader, item) in waited.expect("messages that are owed come").unwrap() {
            subscription.advance(reader, &item);
            match item {
                Item::Entry(entry) => {
                    texts.push(String::from_utf8(entry.message.payload.bytes.to_vec()).unwrap());
                }
                Item::Gap(_) | Item::End(_) => panic!("{item:?}"),
            }
        }
    }
    texts
}

/// Checks that nothing comes within ten seconds.
pub async fn nothing(subscription: &mut Subscription) {
    if let Ok(next) = tokio::time::timeout(Duration::from_secs(10), next(subscription, 10)).await {
        panic!("{next:?}");
    }
}
