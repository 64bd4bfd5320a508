//! What has expired leaves the disk, though nobody uses its channel, and the node stays ready meanwhile.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use tidings_brokers::disk::{Disk, Options, Sync};
use tidings_core::Clock;
use tidings_core::broker::Broker;
use tidings_core::log::{Retain, Rules};

use super::log::{RULES, channel, draft, open};

const CHANNELS: usize = 3_000;
const HOUR_MS: u64 = 3_600_000;

fn messages(folder: &Path) -> i64 {
    let store = Connection::open(folder.join("store.sqlite")).unwrap();
    store.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_that_nobody_uses_are_swept() {
    let folder = tempfile::tempdir().unwrap();
    let rules = Rules { retain: Retain { messages: 10, age_ms: HOUR_MS }, ..RULES };
    let disk = std::sync::Arc::new(open(folder.path()).unwrap());
    let publishers: Vec<_> = (0..100)
        .map(|publisher| {
            let disk = disk.clone();
            tokio::spawn(async move {
                for n in (publisher..CHANNELS).step_by(100) {
                    disk.append(&channel(&format!("a-{n}")), vec![draft("x")], &rules).await.unwrap();
                }
            })
        })
        .collect();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    drop(disk);
    let clock = Clock::simulated(Clock::system().now_ms() + 2 * HOUR_MS);
    let options = Options { path: folder.path().to_owned(), sync: Sync::EveryWrite };
    let disk = Disk::open(clock, &options).unwrap();
    for _ in 0..100 {
        disk.append(&channel("busy"), vec![draft("x")], &RULES).await.unwrap();
        disk.ready().await.unwrap();
        if messages(folder.path()) < 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{} messages are left", messages(folder.path()));
}
