//! What an append to disk costs, beside a bare loop of the same store with the same fsyncs.
//!
//! `cargo bench -p tidings-brokers [-- FOLDER]`, where FOLDER is on the disk that is meant. In one
//! run: transactions of 64 rows in a bare loop, 64 publishers of the broker, one publisher of the
//! broker; 128 bytes a message, one channel, each acknowledged after its fsync. Nothing expires meanwhile.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends where it cannot go on"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidings_brokers::disk::{Disk, Options, Sync};
use tidings_core::Clock;
use tidings_core::broker::Broker;
use tidings_core::log::{Below, Channel, Draft, Kind, Once, Payload, Retain, Rules};
use tokio::time::Instant;

const PUBLISHERS: usize = 64;
const BYTES: usize = 128;
const TIME: Duration = Duration::from_secs(4);
const RULES: Rules = Rules {
    retain: Retain { messages: 10_000_000, age_ms: 24 * 3_600_000 },
    compact: false,
    dedupe_ms: 120_000,
    below: Below::Oldest,
    implicit: true,
    durable: true,
};

/// Messages a second, and how long one took.
struct Figures {
    rate: f64,
    took: Vec<Duration>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let folder =
        folder.map_or_else(std::env::temp_dir, PathBuf::from).join(format!("append-{}", std::process::id()));
    for round in 1..=3 {
        let loop_folder = folder.join(format!("loop-{round}"));
        std::fs::create_dir_all(&loop_folder).unwrap();
        let bare = bare(&loop_folder);
        let disk = disk(&folder.join(format!("disk-{round}")));
        let one = publish(disk.clone(), 1).await;
        let many = publish(disk, PUBLISHERS).await;
        println!("round {round}: bare loop of 64 rows {}", bare.text());
        println!("round {round}: one publisher        {}", one.text());
        println!("round {round}: 64 publishers        {}", many.text());
        println!(
            "round {round}: 64 publishers are {:.2} of the bare loop, {:.1} × one publisher",
            many.rate / bare.rate,
            many.rate / one.rate
        );
    }
    std::fs::remove_dir_all(folder).unwrap();
}

fn disk(path: &Path) -> Arc<Disk> {
    let options = Options { path: path.to_owned(), sync: Sync::EveryWrite };
    Arc::new(Disk::open(Clock::system(), &options).unwrap())
}

/// The store alone: the same table and settings, a transaction of 64 rows, one after the other.
fn bare(folder: &Path) -> Figures {
    let store = rusqlite::Connection::open(folder.join("store.sqlite")).unwrap();
    store
        .execute_batch(
            "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 4000;
             CREATE TABLE messages (channel INTEGER, offset INTEGER, time_ms INTEGER, key TEXT, value BLOB,
             PRIMARY KEY (channel, offset)) WITHOUT ROWID;",
        )
        .unwrap();
    let value = vec![7u8; BYTES + 40];
    let (began, mut offset, mut took) = (Instant::now(), 0i64, Vec::new());
    while began.elapsed() < TIME {
        let one = Instant::now();
        store.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut row = store.prepare_cached("INSERT INTO messages VALUES (1, ?, 0, NULL, ?)").unwrap();
        for _ in 0..PUBLISHERS {
            offset += 1;
            row.execute(rusqlite::params![offset, value]).unwrap();
        }
        store.execute_batch("COMMIT").unwrap();
        took.push(one.elapsed());
    }
    took.sort_unstable();
    Figures { rate: offset as f64 / began.elapsed().as_secs_f64(), took }
}

async fn publish(disk: Arc<Disk>, publishers: usize) -> Figures {
    let began = Instant::now();
    let tasks: Vec<_> = (0..publishers)
        .map(|_| {
            let disk = disk.clone();
            tokio::spawn(async move {
                let channel = Channel::parse("bench").unwrap();
                let mut took = Vec::new();
                while began.elapsed() < TIME {
                    let one = Instant::now();
                    disk.append(&channel, vec![draft()], &RULES).await.unwrap();
                    took.push(one.elapsed());
                }
                took
            })
        })
        .collect();
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await.unwrap());
    }
    took.sort_unstable();
    Figures { rate: took.len() as f64 / began.elapsed().as_secs_f64(), took }
}

fn draft() -> Draft {
    Draft {
        id: "abcdefghijklmnopqrst".into(),
        once: Once::No,
        event: None,
        key: None,
        payload: Payload { kind: Kind::Bytes, bytes: Bytes::from_static(&[7; BYTES]) },
        from: None,
    }
}

impl Figures {
    fn text(&self) -> String {
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
