//! Several nodes on one server.

use std::sync::Arc;

use futures_util::StreamExt;
use tidings_brokers::redis::Redis;
use tidings_core::broker::Broker;
use tidings_core::log::{Draft, Limit, Once, Start};

use super::log::{RULES, all, append, channel, draft, find, follow, next, once, open, options};
use super::server::{Server, is_there, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_have_one_order_and_share_their_keys() {
    const APPENDS: usize = 150;
    if !is_there() {
        return;
    }
    let server = Server::volatile();
    let options = options(&[&server]);
    let nodes: Vec<Arc<Redis>> = vec![open(&options).await.into(), open(&options).await.into()];
    let mut tails = Vec::new();
    for node in &nodes {
        tails.push(follow(node, "a").await);
    }
    // Each sends everything, as a publisher does that is answered by neither of two nodes.
    let writers = nodes.iter().cloned().map(|node| {
        tokio::spawn(async move {
            let mut places = Vec::new();
            for n in 0..APPENDS {
                let text = format!("m{n}");
                let draft = Draft { once: Once::Id, ..draft(&text) };
                places.push(once(&node, "a", draft).await.unwrap());
            }
            places
        })
    });
    let mut answers = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        answers.push(writer.await.unwrap());
    }
    assert!(answers.iter().all(|answers| answers.len() == APPENDS));
    for (n, (one, other)) in answers[0].iter().zip(&answers[1]).enumerate() {
        assert_eq!(one.position, other.position, "m{n}");
        assert!(one.duplicate != other.duplicate, "m{n} is stored once");
    }
    let stored = all(&nodes[0], "a").await;
    assert_eq!(stored.len(), APPENDS);
    assert_eq!(all(&nodes[1], "a").await, stored);
    for tail in &mut tails {
        let mut followed = Vec::new();
        while followed.len() < APPENDS {
            followed.extend(next(tail).await.expect("a tail ended"));
        }
        assert_eq!(followed, stored, "every node has the order of the log");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_asks_once_for_what_it_follows_and_no_longer_than_it_does() {
    if !is_there() {
        return;
    }
    let server = Server::volatile();
    let redis = open(&options(&[&server])).await;
    let topics = || server.tell(&["PUBSUB", "CHANNELS"]).lines().filter(|line| line.contains(":t:")).count();
    let mut tails = Vec::new();
    for _ in 0..5 {
        tails.push(follow(&redis, "a").await);
        tails.push(follow(&redis, "b").await);
    }
    assert_eq!(topics(), 2);
    assert_eq!(server.tell(&["PUBLISH", "tidings:{0}:t:nobody", "x"]).trim(), "0");
    append(&redis, "a", "1").await.unwrap();
    for tail in tails.iter_mut().step_by(2) {
        assert_eq!(next(tail).await.unwrap(), ["1"]);
    }
    tails.truncate(1);
    until("one is left", async || topics() == 1).await;
    tails.clear();
    until("none is left", async || topics() == 0).await;
    // To leave and come back at once misses nothing.
    for round in 0..50 {
        let mut tail = follow(&redis, "a").await;
        let text = format!("again {round}");
        append(&redis, "a", &text).await.unwrap();
        assert_eq!(next(&mut tail).await.unwrap(), [text]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_connection_lost_is_read_from_the_log() {
    if !is_there() {
        return;
    }
    let server = Server::volatile();
    let redis = open(&options(&[&server])).await;
    let mut at = find(&redis, "a", Start::Earliest).await.at;
    let mut got = Vec::new();
    let writer = async {
        for n in 0..300 {
            let text = format!("m{n}");
            until("it is stored", async || append(&redis, "a", &text).await.is_ok()).await;
            if n % 60 == 30 {
                server.tell(&["CLIENT", "KILL", "TYPE", "pubsub"]);
            }
        }
    };
    let reader = async {
        while got.last().is_none_or(|text| text != "m299") {
            let Ok(mut tail) = redis.follow(&channel("a"), &RULES).await else {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                continue;
            };
            while at.offset < tail.from.offset {
                let limit = Limit { messages: 64, bytes: 1 << 20 };
                let page = redis.read(&channel("a"), at, limit, &RULES).await.unwrap();
                assert_eq!(page.gap, None);
                at = page.messages.last().expect("a read reaches where a tail begins").position;
                got.extend(page.messages.iter().map(|message| String::from(&*message.id)));
            }
            while let Some(batch) = tail.items.next().await {
                let fresh = batch.iter().filter(|message| message.position.offset > at.offset);
                got.extend(fresh.map(|message| String::from(&*message.id)));
                // A page may have come further than what the tail gives first.
                at = batch
                    .last()
                    .map(|message| message.position)
                    .filter(|to| to.offset > at.offset)
                    .unwrap_or(at);
                if got.last().is_some_and(|text| text == "m299") {
                    break;
                }
            }
        }
    };
    tokio::join!(writer, reader);
    assert_eq!(got, (0..300).map(|n| format!("m{n}")).collect::<Vec<_>>());
}
