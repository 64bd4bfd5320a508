//! A power failure: of each file there is what it held at its last fsync, and nothing else.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::durable::{PUBLISHERS, Publisher, channel, plan, publish, read, verify};
use crate::node::Plan;
use crate::process::Process;

use super::Disk;

/// Acknowledged before the power fails; so many that the log is copied into the store's file meanwhile.
const ACKNOWLEDGED: usize = 5_000;
const TIME_MAX: Duration = Duration::from_secs(60);

/// Publishes until the power fails, and starts a node with what is left. Gives who had published.
async fn fail(
    disk: &Disk,
    plan_of: impl Fn(&Path) -> Plan,
    acknowledged: usize,
) -> (Process, Vec<Publisher>) {
    let record = [("DISK_RECORD", Path::new("1"))];
    let mut node = disk.start_with(plan_of(disk.path()), &record).await;
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let base = format!("http://{}", node.address);
    let one = |number| publish(base.clone(), number, Publisher::default(), stop.clone(), count.clone());
    let tasks: Vec<_> = (0..PUBLISHERS).map(|number| tokio::spawn(one(number))).collect();
    let deadline = Instant::now() + TIME_MAX;
    while count.load(Ordering::Relaxed) < acknowledged && Instant::now() < deadline {
        sleep(Duration::from_millis(5)).await;
    }
    node.kill();
    stop.store(true, Ordering::Relaxed);
    let mut publishers = Vec::new();
    for task in tasks {
        publishers.push(task.await.unwrap());
    }
    let folder = disk.path().join("data");
    for name in ["store.sqlite", "store.sqlite-wal"] {
        let durable = folder.join(format!("{name}.durable"));
        if fs::rename(durable, folder.join(name)).is_err() {
            // It was never forced onto the disk.
            let _ = fs::remove_file(folder.join(name));
        }
    }
    let _ = fs::remove_file(folder.join("store.sqlite-shm"));
    (Process::start(plan_of(disk.path())).await, publishers)
}

fn acknowledged(publishers: &[Publisher]) -> usize {
    publishers.iter().map(|publisher| publisher.cursors.len()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_failure_loses_nothing_that_was_acknowledged() {
    // Another test may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Some(disk) = Disk::new() else { return };
    let (node, publishers) = fail(&disk, plan, ACKNOWLEDGED).await;
    assert!(acknowledged(&publishers) >= ACKNOWLEDGED);
    let copied = fs::metadata(disk.path().join("data/store.sqlite")).unwrap().len();
    assert!(copied > 100_000, "the log was never copied: {copied}");
    verify(&node, &publishers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_failure_is_seen_to_lose_what_waited_for_no_fsync() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Some(disk) = Disk::new() else { return };
    let rarely = |folder: &Path| plan(folder).set("broker.fsync_every = \"10s\"");
    let (node, publishers) = fail(&disk, rarely, 500).await;
    let mut stored = 0;
    for shared in 0..PUBLISHERS / 2 {
        stored += read(&node, &channel(2 * shared)).await.len();
    }
    let acknowledged = acknowledged(&publishers);
    assert!(stored < acknowledged, "{stored} of {acknowledged}: a check that cannot fail proves nothing");
}
