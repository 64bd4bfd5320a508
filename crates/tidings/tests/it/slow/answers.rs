//! Answers that are not taken: pages, and many small ones.

use std::time::Duration;

use serde_json::Value;

use crate::node::TestNode;
use crate::raw::Raw;

use super::{ORDERS, publish};

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

async fn with_pages(max_lag: &str) -> TestNode {
    let line = format!("max_lag = \"{max_lag}\"");
    let node = TestNode::new().namespace("orders", |n| n.set(&line).retain(10_000)).run().await;
    publish(&node, 0..400).await;
    node
}

/// What is left of a connection that was not read for some time.
async fn late(raw: &mut Raw) -> String {
    tokio::time::sleep(Duration::from_secs(2)).await;
    raw.rest().await
}

/// A client that reads nothing of its answer is let go after `max_lag`.
#[tokio::test]
async fn an_answer_that_nobody_takes_is_let_go() {
    let node = with_pages("500ms").await;
    let mut large = Raw::connect_small(node.address).await;
    large.send(get(&format!("{ORDERS}?limit=1000"))).await;
    let mut small = Raw::connect_small(node.address).await;
    // Small pages, one behind the other, of which none is read.
    small.send(get(&format!("{ORDERS}?limit=1")).repeat(1_000)).await;
    let (large, small) = tokio::join!(late(&mut large), late(&mut small));
    let length = large.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap();
    assert!(large.len() < length.parse().unwrap(), "the whole page, {} bytes", large.len());
    assert!(small.matches("HTTP/1.1 200").count() < 900);
    node.get(ORDERS).await.ok();
}

/// One that takes it slowly gets all of it, however long that is.
#[tokio::test]
async fn an_answer_that_is_taken_slowly_is_whole() {
    let node = with_pages("2s").await;
    let mut raw = Raw::connect_small(node.address).await;
    raw.send(get(&format!("{ORDERS}?limit=200"))).await;
    let began = tokio::time::Instant::now();
    let head = raw.head().await;
    let length: usize = head.header("content-length").unwrap().parse().unwrap();
    let mut body = Vec::new();
    while body.len() < length {
        body.extend(raw.exactly((length - body.len()).min(50_000)).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(began.elapsed() > Duration::from_secs(2), "slower than `max_lag`");
    let page: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(page["messages"].as_array().unwrap().len(), 200);
}

/// A page is cut by its bytes, and says that there is more; a reader that follows pages gets everything.
#[tokio::test]
async fn pages_are_cut_by_their_bytes() {
    let node = TestNode::new().namespace("orders", |n| n.retain(10_000)).run().await;
    publish(&node, 0..1_200).await;
    let (mut after, mut numbers, mut pages) = (String::from("earliest"), Vec::new(), 0);
    loop {
        let reply = node.get(&format!("{ORDERS}?limit=1000&after={after}")).await.ok();
        assert!(reply.body.len() < 9 << 20, "{} bytes in one page", reply.body.len());
        let page = reply.json();
        let messages = page["messages"].as_array().unwrap();
        numbers.extend(messages.iter().map(|message| super::number(message["data"].as_str().unwrap())));
        after = reply.text("cursor");
        pages += 1;
        if reply.header("tidings-poll-after") != "0" {
            break;
        }
        assert!(messages.len() < 1_000 && !messages.is_empty());
        // Nothing of it is a 304, since more is there.
        let again = node.get(&format!("{ORDERS}?limit=1000&after={after}"));
        assert_eq!(again.header("if-none-match", reply.header("etag")).await.status, 200);
    }
    assert_eq!(numbers, (0..1_200).collect::<Vec<_>>());
    assert!(pages > 2);
    // A held request comes at once, and is cut as well.
    let held = node.get(&format!("{ORDERS}?limit=1000&wait=30")).await.ok();
    assert_eq!(held.header("tidings-poll-after"), "0");
    let last = node.get(&format!("{ORDERS}?last=1000")).await.ok();
    assert_eq!(last.header("tidings-poll-after"), "0");
}
