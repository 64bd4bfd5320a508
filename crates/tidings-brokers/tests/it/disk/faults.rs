//! A disk that is full or read-only, a folder that is damaged or in use: a clear error, and no silent loss.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tidings_core::broker::{Broker, BrokerError};
use tidings_core::log::{Start, Why};

use super::log::{all, append, find, open};

/// A small file system of its own, where this user may mount one.
struct Small {
    path: PathBuf,
    _folder: TempDir,
}

impl Small {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small");
        fs::create_dir(&path).unwrap();
        let size = format!("size={size}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&path).output();
        if mount.is_ok_and(|mount| mount.status.success()) {
            return Some(Small { path, _folder: folder });
        }
        let _ = writeln!(
            std::io::stderr(),
            "note: not shown here: a full and a read-only disk need a user who may mount a tmpfs"
        );
        None
    }

    fn remount(&self, how: &str) {
        let how = format!("remount,{how}");
        let done = Command::new("mount").args(["-o", &how]).arg(&self.path).status();
        assert!(done.unwrap().success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_and_takes_writes_again_when_there_is_room() {
    let Some(small) = Small::mount("6m") else { return };
    let filler = small.path.join("filler");
    fs::write(&filler, vec![1; 2 << 20]).unwrap();
    let disk = open(&small.path.join("data")).unwrap();
    let mut acknowledged = Vec::new();
    let refused = loop {
        let text = format!("{:04} {}", acknowledged.len(), "x".repeat(10_000));
        match append(&disk, "a", &text).await {
            Ok(_) => acknowledged.push(text),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 2_000, "a disk of 6 MiB is never full");
    };
    assert!(
        matches!(&refused, BrokerError::Unavailable(what) if what.contains("the disk is full")),
        "{refused}"
    );
    assert!(disk.ready().await.is_err());
    assert_eq!(all(&disk, "a").await, acknowledged, "reads are served");
    fs::remove_file(filler).unwrap();
    for _ in 0..100 {
        if disk.ready().await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    disk.ready().await.expect("it looks by itself whether there is room again");
    append(&disk, "a", "after").await.unwrap();
    acknowledged.push("after".into());
    assert_eq!(all(&disk, "a").await, acknowledged, "nothing is lost, nothing twice");
    drop(disk);
    assert_eq!(all(&open(&small.path.join("data")).unwrap(), "a").await, acknowledged);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_disk_is_told() {
    let Some(small) = Small::mount("8m") else { return };
    let folder = small.path.join("data");
    append(&open(&folder).unwrap(), "a", "1").await.unwrap();
    small.remount("ro");
    let refused = open(&folder).unwrap_err();
    assert!(matches!(&refused, BrokerError::Unavailable(what) if what.contains("writable")), "{refused}");
    small.remount("rw");
    assert_eq!(all(&open(&folder).unwrap(), "a").await, ["1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_has_one_node() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).unwrap();
    let second = open(folder.path()).unwrap_err();
    assert!(matches!(&second, BrokerError::Unavailable(what) if what.contains("in use by another node")));
    drop(first);
    open(folder.path()).unwrap();
}

/// What a machine that stops now has on disk.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in ["store.sqlite", "store.sqlite-wal", "mark"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_after_a_stop_at_any_time() {
    let folders = tempfile::tempdir().unwrap();
    let disk = open(&folders.path().join("live")).unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..10 {
        for n in 0..5 {
            let text = format!("{round}.{n}");
            append(&disk, "a", &text).await.unwrap();
            acknowledged.push(text);
        }
        let copied = folders.path().join(format!("copy-{round}"));
        copy(&folders.path().join("live"), &copied);
        // A write that was under way is torn.
        let mut wal = File::options().append(true).open(copied.join("store.sqlite-wal")).unwrap();
        std::io::Write::write_all(&mut wal, &vec![round; 1_000 * usize::from(round)]).unwrap();
        let copied = open(&copied).unwrap();
        assert_eq!(all(&copied, "a").await, acknowledged);
        let end = find(&disk, "a", Start::Latest).await.at;
        assert_eq!(find(&copied, "a", Start::After(end)).await.gap, None, "its cursors go on");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_lost_what_was_acknowledged_begins_a_new_epoch() {
    let folders = tempfile::tempdir().unwrap();
    let disk = open(&folders.path().join("live")).unwrap();
    let first = append(&disk, "a", "1").await.unwrap();
    let copied = folders.path().join("copy");
    copy(&folders.path().join("live"), &copied);
    let wal = fs::read(copied.join("store.sqlite-wal")).unwrap();
    append(&disk, "a", "2").await.unwrap();
    // The log of transactions as it was before, beside a mark that knows of the second.
    copy(&folders.path().join("live"), &copied);
    fs::write(copied.join("store.sqlite-wal"), wal).unwrap();
    let damaged = open(&copied).unwrap();
    append(&damaged, "a", "another 2").await.unwrap();
    let found = find(&damaged, "a", Start::After(first)).await;
    assert_eq!(found.gap.map(|gap| gap.why), Some(Why::Epoch), "a cursor must not go on in another history");
    assert_eq!(all(&damaged, "a").await, ["1", "another 2"]);
}
