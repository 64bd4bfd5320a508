//! What the benchmarks of the disk broker share.

// Each benchmark is a program of its own, and uses some of this.
#![allow(dead_code, reason = "each benchmark uses some of it")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidings_brokers::disk::{Disk, Options, Sync};
use tidings_core::Clock;
use tidings_core::log::{Below, Channel, Draft, Kind, Once, Payload, Retain, Rules};

pub const BYTES: usize = 128;
pub const RULES: Rules = Rules {
    retain: Retain { messages: 1_000_000_000, age_ms: 24 * 3_600_000 },
    compact: false,
    dedupe_ms: 120_000,
    below: Below::Oldest,
    implicit: true,
    durable: true,
};

/// How often, and how long one took.
pub struct Figures {
    pub rate: f64,
    took: Vec<Duration>,
}

/// The words of the command line that are no flags.
pub fn arguments() -> impl Iterator<Item = String> {
    std::env::args().skip(1).filter(|argument| !argument.starts_with('-'))
}

/// A folder of this run, in the one that was named.
pub fn folder(name: &str) -> PathBuf {
    let named = arguments().next().map_or_else(std::env::temp_dir, PathBuf::from);
    named.join(format!("{name}-{}", std::process::id()))
}

pub fn open(path: &Path) -> Arc<Disk> {
    open_at(path, Clock::system(), Sync::EveryWrite)
}

pub fn open_at(path: &Path, clock: Clock, sync: Sync) -> Arc<Disk> {
    Arc::new(Disk::open(clock, &Options { path: path.to_owned(), sync }).unwrap())
}

pub fn channel(name: &str) -> Channel {
    Channel::parse(name).unwrap()
}

pub fn draft(bytes: usize) -> Draft {
    Draft {
        id: "abcdefghijklmnopqrst".into(),
        once: Once::No,
        event: None,
        key: None,
        payload: Payload { kind: Kind::Bytes, bytes: Bytes::from(vec![7; bytes]) },
        from: None,
    }
}

impl Figures {
    pub fn new(rate: f64, mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        Figures { rate, took }
    }

    pub fn text(&self) -> String {
        let at = |share: usize| {
            self.took[(self.took.len() * share / 1_000).min(self.took.len() - 1)].as_secs_f64() * 1e3
        };
        format!(
            "{:>7.0} messages/s, p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.1} ms, longest {:.1} ms",
            self.rate,
            at(500),
            at(990),
            at(999),
            at(1_000)
        )
    }
}
