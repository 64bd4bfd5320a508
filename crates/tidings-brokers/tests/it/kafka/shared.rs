//! Two brokers of one server, as two nodes have them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tidings_brokers::kafka::Options;
use tidings_core::broker::Broker;
use tidings_core::log::Start;
use tokio::time::timeout;

use super::server::{RULES, Server, all, append, channel, draft, find, once, open, until_ready};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_have_one_order_and_share_their_keys() {
    let Some(server) = Server::start() else { return };
    let nodes = [Arc::new(server.ready().await), Arc::new(server.ready().await)];
    let mut tails = Vec::new();
    for node in &nodes {
        tails.push(node.follow(&channel("a"), &RULES).await.unwrap());
    }
    let writers: Vec<_> = (0..6)
        .map(|writer| {
            let node = nodes[writer % 2].clone();
            tokio::spawn(async move {
                let mut stored = Vec::new();
                for n in 0..40 {
                    // Every key is sent by one writer of each node.
                    let text = format!("{}.{n}", writer / 2);
                    stored
                        .push(node.append(&channel("a"), vec![once(&text)], &RULES).await.unwrap().remove(0));
                }
                stored
            })
        })
        .collect();
    let mut stored = Vec::new();
    for writer in writers {
        stored.push(writer.await.unwrap());
    }
    for (one, other) in [(0, 1), (2, 3), (4, 5)] {
        for (one, other) in stored[one].iter().zip(&stored[other]) {
            assert_eq!(one.position, other.position, "the same place on both nodes");
            assert!(one.duplicate != other.duplicate, "stored once: {one:?} {other:?}");
        }
    }
    let order = all(&nodes[0], "a").await;
    assert_eq!(order.len(), 120);
    assert_eq!(order, all(&nodes[1], "a").await);
    for tail in &mut tails {
        let mut heard = Vec::new();
        while heard.len() < 120 {
            let batch = timeout(Duration::from_secs(10), tail.items.next()).await.unwrap().unwrap();
            heard.extend(batch.iter().map(|message| message.id.to_string()));
        }
        assert_eq!(heard, order);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_does_to_a_channel_is_so_on_the_other() {
    let Some(server) = Server::start() else { return };
    let (one, other) = (server.ready().await, server.ready().await);
    append(&one, "a", once("1")).await.unwrap();
    assert_eq!(all(&other, "a").await, ["1"]);
    let mut tail = other.follow(&channel("a"), &RULES).await.unwrap();
    assert!(one.delete(&channel("a"), &RULES).await.unwrap());
    let ended = timeout(Duration::from_secs(5), tail.items.next()).await;
    assert!(ended.expect("a tail of a channel that was deleted is silent").is_none());
    let found = find(&other, "a", Start::Latest).await;
    assert!(!found.created && found.end.epoch != tail.from.epoch);
    append(&other, "a", once("1")).await.unwrap();
    assert_eq!(all(&one, "a").await, ["1"]);
    let place = find(&other, "a", Start::Latest).await.end;
    assert_eq!(find(&one, "a", Start::After(place)).await.gap, None, "a cursor is good on every node");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_of_one_partition_do_not_see_each_other() {
    let Some(server) = Server::start() else { return };
    let options = Options { partitions: 1, held_bytes: 0, ..server.options() };
    let (one, other) = (open(&options), open(&options));
    until_ready(&one).await;
    until_ready(&other).await;
    let first = append(&one, "rare", draft("first")).await.unwrap();
    for n in 0..30 {
        let drafts = (0..100).map(|m| draft(&format!("{n}.{m}"))).collect();
        one.append(&channel("busy"), drafts, &RULES).await.unwrap();
    }
    append(&one, "rare", draft("last")).await.unwrap();
    for node in [&one, &other] {
        assert_eq!(all(node, "rare").await, ["first", "last"]);
        assert_eq!(all(node, "busy").await.len(), 3_000);
        let found = find(node, "rare", Start::After(first)).await;
        assert_eq!((found.gap, found.at), (None, first));
    }
}
