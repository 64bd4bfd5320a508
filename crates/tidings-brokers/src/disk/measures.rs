//! What the broker measures of itself.

use std::path::Path;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// The measures of one store.
#[derive(Debug)]
pub(super) struct Measures {
    append_seconds: Histogram,
    batch_messages: Histogram,
    sync_seconds: Histogram,
    store_bytes: Gauge,
    wal_bytes: Gauge,
    /// Messages that readers were told to be damaged; each is counted once.
    pub(super) damaged_messages: Counter,
}

impl Measures {
    /// Measures that all stand at zero.
    pub(super) fn new() -> Self {
        // From 0.1 ms to 6 s.
        let seconds = || Histogram::new(exponential_buckets(0.000_1, 3.0, 11));
        Measures {
            append_seconds: seconds(),
            batch_messages: Histogram::new(exponential_buckets(1.0, 4.0, 7)),
            sync_seconds: seconds(),
            store_bytes: Gauge::default(),
            wal_bytes: Gauge::default(),
            damaged_messages: Counter::default(),
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("disk");
        registry.register(
            "append_seconds",
            "How long appends took, until they were answered",
            self.append_seconds.clone(),
        );
        registry.register(
            "batch_messages",
            "Messages stored by one transaction",
            self.batch_messages.clone(),
        );
        registry.register(
            "sync_seconds",
            "How long commits took that wait for an fsync",
            self.sync_seconds.clone(),
        );
        registry.register("store_bytes", "Size of the store's file", self.store_bytes.clone());
        registry.register("wal_bytes", "Size of the store's write-ahead log", self.wal_bytes.clone());
        registry.register(
            "damaged_messages",
            "Messages that readers could not be given, since they are damaged on disk",
            self.damaged_messages.clone(),
        );
    }

    pub(super) fn append(&self, took: Duration) {
        self.append_seconds.observe(took.as_secs_f64());
    }

    pub(super) fn batch(&self, messages: usize) {
        self.batch_messages.observe(f64::from(u32::try_from(messages).unwrap_or(u32::MAX)));
    }

    pub(super) fn sync(&self, took: Duration) {
        self.sync_seconds.observe(took.as_secs_f64());
    }

    /// Looks how large the files are.
    pub(super) fn weigh(&self, store: &Path) {
        let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len().cast_signed());
        self.store_bytes.set(bytes(store));
        let mut wal = store.as_os_str().to_owned();
        wal.push("-wal");
        self.wal_bytes.set(bytes(Path::new(&wal)));
    }
}
