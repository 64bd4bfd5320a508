//! Writes and fsyncs that fail, a disk that hangs: publishers are told, readers are served, and it goes on by itself.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::durable::plan;
use crate::process::Process;

use super::Disk;

const LOG: &str = "/v1/channels/log-0";
/// A node that cannot write is not ready after 10 s, and looks each second.
const TOLD_MAX: Duration = Duration::from_secs(20);

/// Publishes a number under a key of its own; gives the status and the answer.
async fn publish(node: &Process, number: u64) -> (u16, Value) {
    let post = node.post(LOG).header("content-type", "application/json");
    let reply = post.header("idempotency-key", &number.to_string()).body(number.to_string()).await;
    (reply.status, serde_json::from_str(&reply.body).unwrap())
}

async fn numbers(node: &Process) -> Vec<u64> {
    let page = node.call("GET", &format!("{LOG}?after=earliest&limit=1000")).await.ok().json();
    assert_eq!(page["gap"], Value::Null);
    page["messages"].as_array().unwrap().iter().map(|message| message["data"].as_u64().unwrap()).collect()
}

/// Waits until the node says that it is ready, or that it is not.
async fn until_ready(node: &Process, is: bool) {
    let began = Instant::now();
    loop {
        let reply = node.call("GET", "/readyz").await;
        if (reply.status == 200) == is {
            assert!(is || reply.body.contains("broker-unavailable"), "{}", reply.body);
            return;
        }
        assert!(began.elapsed() < TOLD_MAX, "{}: {}", reply.status, reply.body);
        sleep(Duration::from_millis(100)).await;
    }
}

/// A fault in mid-run, and what follows from it.
async fn fails(fault: &str) {
    let Some(disk) = Disk::new() else { return };
    let mut node = disk.start(plan(disk.path())).await;
    for number in 0..20 {
        assert_eq!(publish(&node, number).await.0, 200);
    }
    disk.say(fault);
    let (status, refused) = publish(&node, 20).await;
    assert_eq!((status, &refused["code"]), (503, &"broker-unavailable".into()), "{refused}");
    assert_eq!(refused["stored"], "unknown", "{refused}");
    assert_eq!(numbers(&node).await, (0..20).collect::<Vec<_>>(), "readers are served what is stored");
    until_ready(&node, false).await;
    assert_eq!(numbers(&node).await, (0..20).collect::<Vec<_>>());
    assert_eq!(publish(&node, 20).await.0, 503);
    disk.say("");
    until_ready(&node, true).await;
    for number in 20..40 {
        assert_eq!(publish(&node, number).await.0, 200, "it goes on by itself");
    }
    assert_eq!(numbers(&node).await, (0..40).collect::<Vec<_>>(), "nothing is lost, nothing twice");
    disk.say(fault);
    assert_eq!(publish(&node, 40).await.0, 503);
    node.kill();
    disk.say("");
    let node = disk.start(plan(disk.path())).await;
    // It was not known whether it was stored.
    assert!((40..=41).contains(&numbers(&node).await.len()));
    assert_eq!(publish(&node, 40).await.0, 200);
    assert_eq!(numbers(&node).await, (0..41).collect::<Vec<_>>(), "nothing is lost, nothing twice");
    let log = node.log();
    assert!(!log.contains("lost transactions"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_fsync_that_fails() {
    fails("sync EIO").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_fails() {
    fails("write EIO").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_becomes_read_only() {
    fails("write EROFS").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_hangs() {
    fails("hang").await;
}
