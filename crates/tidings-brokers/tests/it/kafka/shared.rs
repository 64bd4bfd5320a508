//! Two brokers of one server, as two nodes have them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tidings_brokers::kafka::Options;
use tidings_core::broker::Broker;
use tidings_core::log::Start;
use tokio::time::timeout;

use crate::nodes;

use super::server::{RULES, Server, all, append, channel, draft, find, once, open, until_ready};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_have_one_order_and_share_their_keys() {
    let Some(server) = Server::start() else { return };
    let nodes = [Arc::new(server.ready().await), Arc::new(server.ready().await)];
    nodes::have_one_order_and_share_their_keys(nodes).await;
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
