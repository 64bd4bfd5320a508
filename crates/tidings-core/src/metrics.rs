//! Everything that a node measures, in one list.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The measures of one node, in a registry of its own.
pub struct Metrics {
    registry: Registry,
    published: Family<Namespace, Counter>,
    delivered: Family<Namespace, Counter>,
    connections: Family<Door, Gauge>,
    errors: Family<Code, Counter>,
    totals: Totals,
    /// Channels that the node follows.
    pub feeds: Gauge,
    /// Channels that are read and polled, since as many as may be are followed.
    pub feeds_polled: Gauge,
    /// Live subscriptions.
    pub subscriptions: Gauge,
    /// Bytes that the process holds in memory, where the system tells.
    pub resident_bytes: Gauge,
    /// 1 while the broker answers.
    pub broker_ready: Gauge,
    /// 1 once the node drains.
    pub draining: Gauge,
    /// Connections that the node takes at once.
    pub connections_max: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Namespace {
    namespace: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Door {
    door: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: &'static str,
}

/// What is counted over all namespaces, since a family does not add up.
#[derive(Debug, Default)]
struct Totals {
    stored: AtomicU64,
    sent: AtomicU64,
    sent_bytes: AtomicU64,
}

impl Metrics {
    /// Measures that all stand at zero.
    pub fn new() -> Self {
        let mut metrics = Metrics {
            registry: Registry::with_prefix("tidings"),
            published: Family::default(),
            delivered: Family::default(),
            connections: Family::default(),
            errors: Family::default(),
            totals: Totals::default(),
            feeds: Gauge::default(),
            feeds_polled: Gauge::default(),
            subscriptions: Gauge::default(),
            resident_bytes: Gauge::default(),
            broker_ready: Gauge::default(),
            draining: Gauge::default(),
            connections_max: Gauge::default(),
        };
        let Metrics {
            registry,
            published,
            delivered,
            connections,
            errors,
            totals: _,
            feeds,
            feeds_polled,
            subscriptions,
            resident_bytes,
            broker_ready,
            draining,
            connections_max,
        } = &mut metrics;
        registry.register("published", "Messages stored", published.clone());
        registry.register(
            "delivered",
            "Messages given to streams, by the namespace of their first channel",
            delivered.clone(),
        );
        registry.register("connections", "Open streams, by door", connections.clone());
        registry.register(
            "errors",
            "Errors given to clients, by code: in replies, in frames, and as the reason of a close",
            errors.clone(),
        );
        registry.register("feeds", "Channels that this node follows", feeds.clone());
        registry.register(
            "feeds_polled",
            "Channels that are read and polled, since limits.feeds others are followed",
            feeds_polled.clone(),
        );
        registry.register("subscriptions", "Live subscriptions", subscriptions.clone());
        registry.register("broker_ready", "Whether the broker answered the last time", broker_ready.clone());
        registry.register("draining", "Whether the node drains", draining.clone());
        registry.register("connections_max", "Connections that the node takes", connections_max.clone());
        registry.register("resident_bytes", "Resident memory of the process", resident_bytes.clone());
        metrics
    }

    /// Where others add what they measure; it is given out with the rest.
    pub fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// Counts stored messages.
    pub fn published(&self, namespace: &str, messages: u64) {
        self.totals.stored.fetch_add(messages, Ordering::Relaxed);
        self.published.get_or_create(&Namespace { namespace: namespace.to_owned() }).inc_by(messages);
    }

    /// The counter of messages given to streams.
    pub fn delivered(&self, namespace: &str) -> Counter {
        self.delivered.get_or_create(&Namespace { namespace: namespace.to_owned() }).clone()
    }

    /// Counts messages that went out, in streams and pages, in so many bytes.
    pub fn sent(&self, messages: u64, bytes: u64) {
        self.totals.sent.fetch_add(messages, Ordering::Relaxed);
        self.totals.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Messages stored, messages sent, and their bytes.
    pub fn totals(&self) -> (u64, u64, u64) {
        let Totals { stored, sent, sent_bytes } = &self.totals;
        let [stored, sent, bytes] = [stored, sent, sent_bytes].map(|total| total.load(Ordering::Relaxed));
        (stored, sent, bytes)
    }

    /// The errors that clients were given, by code: those that there were.
    pub fn errors(&self) -> Vec<(&'static str, u64)> {
        let codes = crate::error::Code::ALL.iter().map(|code| code.as_str());
        codes.filter_map(|code| Some((code, self.errors.get(&Code { code })?.get()))).collect()
    }

    /// The gauge of open streams of one door.
    pub fn connections(&self, door: &'static str) -> Gauge {
        self.connections.get_or_create(&Door { door }).clone()
    }

    /// Counts an error that a client was given.
    pub fn error(&self, code: crate::error::Code) {
        self.errors.get_or_create(&Code { code: code.as_str() }).inc();
    }

    /// Everything, in the text format of Prometheus (OpenMetrics 1.0).
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
