//! Another server takes the place of the primary.

use tidings_core::broker::Broker;
use tidings_core::log::{Start, Why};

use super::log::{RULES, all, append, channel, find, follow, next, open, options, ready};
use super::server::{Server, is_there, until};

/// A primary and a replica that follows it.
async fn pair() -> (Server, Server) {
    let (primary, replica) = (Server::volatile(), Server::volatile());
    replica.tell(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
    until("the replica is linked", async || replica.tell(&["INFO"]).contains("master_link_status:up")).await;
    (primary, replica)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_is_a_new_epoch() {
    if !is_there() {
        return;
    }
    let (mut primary, replica) = pair().await;
    let redis = open(&options(&[&primary, &replica])).await;
    // A node notices within a second that there are replicas.
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    let first = append(&redis, "a", "1").await.unwrap();
    append(&redis, "a", "2").await.unwrap();
    let mut tail = follow(&redis, "a").await;
    until("it is copied", async || replica.tell(&["INFO", "keyspace"]).contains("db0:")).await;
    primary.kill();
    assert_eq!(next(&mut tail).await, None, "its tails end");
    let refused = async || redis.ready().await.is_err_and(|error| error.to_string().contains("replica"));
    until("the replica is no primary yet", refused).await;
    replica.tell(&["REPLICAOF", "NO", "ONE"]);
    ready(&redis).await;
    let gap = find(&redis, "a", Start::After(first)).await.gap.expect("nobody knows what the replica had");
    assert_eq!(gap.why, Why::Epoch);
    assert_eq!(all(&redis, "a").await, ["1", "2"], "what it had is there");
    // A node that starts later finds the same.
    let other = open(&options(&[&replica])).await;
    assert_eq!(find(&other, "a", Start::Latest).await.end, find(&redis, "a", Start::Latest).await.end);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_was_a_replica_for_a_while_is_a_new_epoch() {
    if !is_there() {
        return;
    }
    let (one, other) = pair().await;
    let redis = open(&options(&[&one])).await;
    let first = append(&redis, "a", "1").await.unwrap();
    other.tell(&["REPLICAOF", "NO", "ONE"]);
    one.tell(&["REPLICAOF", "127.0.0.1", &other.port.to_string()]);
    until("it is linked", async || one.tell(&["INFO"]).contains("master_link_status:up")).await;
    one.tell(&["REPLICAOF", "NO", "ONE"]);
    until("a new epoch", async || {
        let found = redis.find(&channel("a"), Start::After(first), &RULES).await;
        found.is_ok_and(|found| found.gap.is_some_and(|gap| gap.why == Why::Epoch))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_replica_has_is_not_acknowledged_and_not_shown() {
    if !is_there() {
        return;
    }
    let (primary, mut replica) = pair().await;
    let mut options = options(&[&primary]);
    options.replicas = 1;
    let redis = open(&options).await;
    let mut tail = follow(&redis, "a").await;
    append(&redis, "a", "1").await.unwrap();
    assert_eq!(next(&mut tail).await.unwrap(), ["1"]);
    replica.kill();
    let error = append(&redis, "a", "2").await.unwrap_err();
    assert!(error.to_string().contains("0 of 1 replicas"), "{error}");
    assert_eq!(all(&redis, "a").await, ["1"], "no reader gets what may be taken back");
    replica.again();
    replica.tell(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
    until("it is copied", async || append(&redis, "a", "3").await.is_ok()).await;
    let mut followed = Vec::new();
    while followed.last().is_none_or(|text| text != "3") {
        followed.extend(next(&mut tail).await.expect("it goes on"));
    }
    assert_eq!(followed[0], "2", "it was stored, though nobody could say so");
    assert_eq!(all(&redis, "a").await.last().unwrap(), "3");
}
