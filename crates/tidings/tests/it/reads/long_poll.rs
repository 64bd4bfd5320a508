//! Long-polls: held until there is a message, a gap, the token's end, a drain, or the time is up.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinHandle;

use crate::node::{Call, TestNode, now_ms, sign};
use crate::raw::Reply;

const ORDERS: &str = "/v1/channels/orders:1";

/// Asks, and returns once the request is surely held.
async fn held(call: Call) -> JoinHandle<Reply> {
    let task = tokio::spawn(async move { call.await });
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(!task.is_finished(), "it was not held");
    task
}

#[tokio::test]
async fn a_message_releases_it() {
    let node = TestNode::usual().await;
    let waiting = held(node.get(&format!("{ORDERS}?wait=30"))).await;
    let cursor = node.publish("orders:1", 1).await;
    let page = waiting.await.unwrap().ok().json();
    assert_eq!(page["messages"][0]["data"], 1);
    assert_eq!(page["cursor"], cursor);
    // What is there is given at once.
    let page = node.get(&format!("{ORDERS}?wait=30")).await.ok();
    assert_eq!(page.json()["messages"][0]["data"], 1);
    assert_eq!(page.header("tidings-delivery"), "at-least-once");
    // One of several channels.
    let two = "/v1/subscribe?channel=orders:1&channel=ticks:1&wait=30&after=latest";
    let waiting = held(node.get(two)).await;
    node.publish("ticks:1", 2).await;
    let page = waiting.await.unwrap().ok().json();
    assert_eq!(page["messages"][0]["data"], 2);
    assert_eq!(page["cursor"].as_str().unwrap().len(), 64);
}

#[tokio::test]
async fn the_time_is_up_with_a_usable_cursor() {
    let node = TestNode::usual().await;
    let begun = Instant::now_here();
    let page = node.get(&format!("{ORDERS}?after=latest&wait=0.2")).await.ok();
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(page.json()["messages"], json!([]));
    node.publish("orders:1", 1).await;
    let page = node.get(&format!("{ORDERS}?wait=5&after={}", page.text("cursor"))).await.ok();
    assert_eq!(page.json()["messages"][0]["data"], 1);
}

#[tokio::test]
async fn a_gap_is_given_at_once() {
    let node = TestNode::new().namespace("ticks", |n| n.at_most_once().retain(1)).run().await;
    let first = node.publish("ticks:1", 0).await;
    node.publish("ticks:1", 1).await;
    node.publish("ticks:1", 2).await;
    let page = node.get(&format!("/v1/channels/ticks:1?wait=30&after={first}")).await.ok().json();
    assert_eq!((&page["gap"]["why"], &page["messages"]), (&json!("lagged"), &json!([])));
}

/// A page is a moment: all that is there then, up to `limit`.
#[tokio::test]
async fn it_gives_pages_of_limit() {
    let node = TestNode::usual().await;
    for n in 0..5 {
        node.publish("orders:1", n).await;
    }
    let page = node.get(&format!("{ORDERS}?wait=5&limit=2")).await.ok();
    assert_eq!(page.json()["messages"].as_array().unwrap().len(), 2);
    assert_eq!(page.header("tidings-poll-after"), "0");
}

#[tokio::test]
async fn the_end_of_its_token_releases_it() {
    let node = TestNode::new().namespace("orders", |n| n.set("subscribe = \"user\"")).run().await;
    let expires_ms = now_ms() + 700;
    let token = sign(&json!({"sub": "alice", "exp": expires_ms as f64 / 1_000.0}));
    let waiting = held(node.get(&format!("{ORDERS}?wait=30")).bearer(&token)).await;
    let page = waiting.await.unwrap().ok();
    assert!(now_ms() >= expires_ms);
    assert_eq!(page.text("cursor").len(), 32);
}

#[tokio::test]
async fn a_drain_releases_it() {
    let node = TestNode::usual().await;
    let address = node.address;
    let waiting = held(node.get(&format!("{ORDERS}?wait=30"))).await;
    tokio::spawn(node.node.stop());
    let page = waiting.await.unwrap().ok();
    assert_eq!(page.text("cursor").len(), 32);
    let late = TestNode::call_at(address, "GET", &format!("{ORDERS}?wait=30")).await;
    late.problem(503, "draining");
}

/// A clock for what a test measures.
trait Measured {
    fn now_here() -> Instant;
}

impl Measured for Instant {
    #[allow(clippy::disallowed_methods, reason = "this measures real time")]
    fn now_here() -> Instant {
        Instant::now()
    }
}
