//! What an append to disk costs, beside a bare loop of the same store with the same fsyncs.
//!
//! `cargo bench -p tidings-brokers [-- FOLDER]`, where FOLDER is on the disk that is meant. In one
//! run: transactions of 64 rows in a bare loop, 64 publishers of the broker, one publisher of the
//! broker; 128 bytes a message, one channel, each acknowledged after its fsync. Nothing expires meanwhile.

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
use tokio::time::Instant;

mod common;

const PUBLISHERS: usize = 64;
const TIME: Duration = Duration::from_secs(4);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let folder = common::folder("append");
    for round in 1..=3 {
        let loop_folder = folder.join(format!("loop-{round}"));
        std::fs::create_dir_all(&loop_folder).unwrap();
        let bare = bare(&loop_folder);
        let disk = open(&folder.join(format!("disk-{round}")));
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
    Figures::new(offset as f64 / began.elapsed().as_secs_f64(), took)
}

async fn publish(disk: Arc<Disk>, publishers: usize) -> Figures {
    let began = Instant::now();
    let tasks: Vec<_> = (0..publishers)
        .map(|_| {
            let disk = disk.clone();
            tokio::spawn(async move {
                let channel = channel("bench");
                let mut took = Vec::new();
                while began.elapsed() < TIME {
                    let one = Instant::now();
                    disk.append(&channel, vec![draft(BYTES)], &RULES).await.unwrap();
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
    Figures::new(took.len() as f64 / began.elapsed().as_secs_f64(), took)
}
