//! The write-ahead log has a bound, whoever reads the store.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use tidings_core::broker::{Broker, BrokerError};

use super::log::{all, append, open};

const MIB: u64 = 1 << 20;
/// What docs/disk.md says.
const LOG_MAX: u64 = 256 * MIB;
const TRANSACTION_MAX: u64 = 40 * MIB;

fn log(folder: &Path) -> u64 {
    std::fs::metadata(folder.join("store.sqlite-wal")).unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_copied_while_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path()).unwrap();
    let text = "x".repeat(1 << 20);
    for n in 0..100 {
        append(&disk, "a", &format!("{n} {text}")).await.unwrap();
    }
    let log = log(folder.path());
    assert!(log < 64 * MIB, "{log} bytes after 100 MiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_holds_the_log_is_told_and_it_goes_on_when_that_lets_go() {
    let folder = tempfile::tempdir().unwrap();
    let disk = open(folder.path()).unwrap();
    append(&disk, "b", "first").await.unwrap();
    let other = Connection::open(folder.path().join("store.sqlite")).unwrap();
    other.execute_batch("BEGIN; SELECT * FROM messages;").unwrap();
    let text = "x".repeat(4 << 20);
    let mut appends = 0;
    let refused = loop {
        match append(&disk, "a", &format!("{appends} {text}")).await {
            Ok(_) => appends += 1,
            Err(error) => break error,
        }
        assert!(log(folder.path()) < LOG_MAX + TRANSACTION_MAX);
    };
    assert!(
        matches!(&refused, BrokerError::Unavailable(what) if what.contains("has the store open")),
        "{refused}"
    );
    // Its text is its id as well.
    assert!((25..40).contains(&appends), "{appends} appends of 8 MiB");
    assert!(disk.ready().await.is_err());
    assert_eq!(all(&disk, "b").await, ["first"], "reads are served");
    other.execute_batch("COMMIT").unwrap();
    for _ in 0..100 {
        if disk.ready().await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    disk.ready().await.expect("it goes on by itself");
    append(&disk, "b", "second").await.unwrap();
    assert!(log(folder.path()) <= 65 * MIB, "the log is cut");
    drop(disk);
    let disk = open(folder.path()).unwrap();
    assert_eq!(all(&disk, "b").await, ["first", "second"]);
    assert_eq!(all(&disk, "a").await.len(), appends);
}
