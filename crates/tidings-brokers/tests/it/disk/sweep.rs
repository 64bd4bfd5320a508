//! What has expired leaves the disk, though nobody asks for it; and the broker stays ready meanwhile.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tidings_brokers::disk::{Disk, Options, Sync};
use tidings_core::Clock;
use tidings_core::broker::Broker;
use tidings_core::log::{Draft, Once, Retain, Rules, Start, Terms};
use tokio::time::{Instant, sleep};

use super::log::{RULES, append, channel, draft, find, open};

/// Nothing here takes longer than a few rounds of a second.
const PATIENCE: Duration = Duration::from_secs(20);
const CHANNELS: usize = 3_000;
const HOUR_MS: u64 = 3_600_000;

/// How many rows a table has.
fn rows(folder: &Path, table: &str) -> u64 {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let store = Connection::open_with_flags(folder.join("store.sqlite"), flags).unwrap();
    store.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_asks_for_leaves_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path()).unwrap();
    // Its age and its keys are over at once; one channel is deleted when its time to live has passed.
    let short = Rules { retain: Retain { messages: 1_000_000, age_ms: 300 }, dedupe_ms: 300, ..RULES };
    let keyed = |number: u32| Draft { once: Once::Id, ..draft(&number.to_string()) };
    disk.append(&channel("aged"), (0..1_500).map(keyed).collect(), &short).await.unwrap();
    let terms = Terms { retain: None, ttl_ms: Some(300) };
    disk.create(&channel("brief"), terms, &RULES).await.unwrap();
    append(&disk, "brief", "b").await.unwrap();
    append(&disk, "kept", "k").await.unwrap();
    assert!(rows(folder.path(), "messages") > 1_000);

    let began = Instant::now();
    loop {
        disk.ready().await.expect("tidying up is no reason not to be ready");
        let left = ["messages", "once", "deleted"].map(|table| rows(folder.path(), table));
        if left == [1, 0, 0] {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "still there: {left:?} messages, keys, deleted channels");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(find(&disk, "kept", Start::Latest).await.at.offset, 1);
    assert_eq!(find(&disk, "aged", Start::Latest).await.at.offset, 1_500);
    assert!(!find(&disk, "brief", Start::Latest).await.created);
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
        if rows(folder.path(), "messages") < 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{} messages are left", rows(folder.path(), "messages"));
}
