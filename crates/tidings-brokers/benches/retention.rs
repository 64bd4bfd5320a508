//! Whether publishers notice that old messages are removed.
//!
//! `cargo bench -p tidings-brokers --bench retention [-- FOLDER]`: 1,000 publishes a second, at fixed times,
//! to a channel that keeps everything, to one at its limit of messages, to one whose messages are kept for a
//! second, to one that keeps the newest of each key, and to the first beside 50,000 channels that expire.
//! An append counts from when it was due.

// A benchmark prints what it finds, and ends where it cannot go on.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends where it cannot go on"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::{BYTES, Figures, RULES, channel, draft, open};
use tidings_brokers::disk::Disk;
use tidings_core::broker::Broker;
use tidings_core::log::{Retain, Rules};
use tokio::time::Instant;

mod common;

const RATE: u32 = 1_000;
const TIME: Duration = Duration::from_secs(8);
const KEPT: u64 = 10_000;
const KEYS: u32 = 1_000;
const OTHERS: usize = 50_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let folder = common::folder("retention");
    let limited = |messages, age_ms| Rules { retain: Retain { messages, age_ms }, ..RULES };
    let compacted = Rules { compact: true, ..RULES };
    for round in 1..=2 {
        for (name, rules, filled, others) in [
            ("everything is kept", RULES, 0, 0),
            ("the newest 10,000", limited(KEPT, RULES.retain.age_ms), KEPT, 0),
            ("the last second", limited(u64::MAX, 1_000), 0, 0),
            ("the newest of 1,000 keys", compacted, 0, 0),
            ("beside 50,000 that expire", RULES, 0, OTHERS),
        ] {
            let path = folder.join(format!("{round}-{name}").replace(' ', "-"));
            println!("round {round}: {name:<25} {}", paced(&path, rules, filled, others).await.text());
            std::fs::remove_dir_all(path).unwrap();
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

async fn paced(path: &Path, rules: Rules, filled: u64, others: usize) -> Figures {
    let disk = open(path);
    for _ in 0..filled.div_ceil(500) {
        disk.append(&channel("bench"), vec![draft(BYTES); 500], &rules).await.unwrap();
    }
    expire(&disk, others).await;
    // Time for the tasks to be made.
    let began = Instant::now() + Duration::from_millis(300);
    let appends: Vec<_> = (0..RATE * u32::try_from(TIME.as_secs()).unwrap())
        .map(|n| {
            let disk = disk.clone();
            tokio::spawn(async move {
                let due = began + Duration::from_secs(1) / RATE * n;
                // The timer counts whole milliseconds, and so do the times that they are due.
                tokio::time::sleep_until(due).await;
                let mut draft = draft(BYTES);
                draft.key = rules.compact.then(|| (n % KEYS).to_string().into());
                disk.append(&channel("bench"), vec![draft], &rules).await.unwrap();
                due.elapsed()
            })
        })
        .collect();
    let mut took = Vec::new();
    for append in appends {
        took.push(append.await.unwrap());
    }
    Figures::new(f64::from(RATE), took)
}

/// Channels with a message each that is kept for a second.
async fn expire(disk: &Arc<Disk>, channels: usize) {
    let rules = Rules { retain: Retain { messages: 1, age_ms: 1_000 }, ..RULES };
    let tasks: Vec<_> = (0..256.min(channels))
        .map(|task| {
            let disk = disk.clone();
            tokio::spawn(async move {
                for n in (task..channels).step_by(256) {
                    disk.append(&channel(&format!("other-{n}")), vec![draft(BYTES)], &rules).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}
