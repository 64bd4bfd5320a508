//! Connections of a node and of a user.

use serde_json::json;

use crate::node::{Plan, TestNode, token};
use crate::raw::soon;
use crate::socket::upgrade;

const CHANNEL: &str = "/v1/channels/orders:1";

fn node() -> Plan {
    TestNode::new().namespace("orders", |n| n.set("publish = \"user\""))
}

#[tokio::test]
async fn a_node_that_is_full_says_so_in_the_way_of_each_transport() {
    let node = node().set("limits.connections = 3").run().await;
    let mut reader = node.sse(CHANNEL).await;
    reader.block().await;
    let (idle, _other) = (node.raw().await, node.raw().await);
    let refused = node.get(CHANNEL).await;
    assert_eq!(refused.head.header("connection"), Some("close"));
    assert!(refused.head.header("retry-after").is_some());
    refused.problem(503, "overloaded");
    node.get(&format!("{CHANNEL}?wait=5")).await.problem(503, "overloaded");
    node.post(CHANNEL).text("x").await.problem(503, "overloaded");
    // An EventSource takes any other status for final.
    let stream = node
        .get(CHANNEL)
        .header("accept", "text/event-stream")
        .header("last-event-id", "S_4a9q22rlAAAAAAAAAAAQAAAAAAAAAC")
        .await
        .ok();
    assert!(
        stream.body.starts_with("retry: ") && stream.body.contains(": overloaded\nid: S_4a"),
        "{}",
        stream.body
    );
    let mut raw = node.raw_socket(CHANNEL).await;
    raw.reply("GET").await.problem(503, "overloaded");
    let mut session = node.socket("/v1/connect").await;
    assert_eq!(session.frame().await["error"]["code"], "overloaded");
    let (code, reason) = session.closed().await;
    assert_eq!((code, &reason["code"]), (4000, &json!("overloaded")));
    // The node is well, which a supervisor must not mistake.
    node.get("/healthz").await.ok();
    node.get("/readyz").await.ok();
    drop(idle);
    let publish = async { while node.post(CHANNEL).text("x").await.status != 200 {} };
    soon("a place", publish).await;
    assert!(reader.event().await.contains("data: "), "who was there noticed nothing");
}

#[tokio::test]
async fn those_who_cannot_even_be_refused_are_closed() {
    let node = node().set("limits.connections = 1").run().await;
    let mut held = Vec::new();
    for _ in 0..17 {
        held.push(node.raw().await);
    }
    // The places of the refused are taken once all were accepted.
    let mut closed = node.raw().await;
    assert_eq!(soon("the end", closed.rest()).await, "");
}

#[tokio::test]
async fn a_user_has_so_many_live_reads() {
    let node = node().set("limits.user_connections = 2").run().await;
    let (alice, bob) = (token("alice", &[], &[]), token("bob", &[], &[]));
    let mut stream = node.sse_as(CHANNEL, Some(&alice)).await;
    let mut socket = node.socket_as(CHANNEL, Some(&alice)).await;
    stream.block().await;
    socket.frame_with("subscribed").await;
    let held = node.get(&format!("{CHANNEL}?after=latest&wait=5")).bearer(&alice).await;
    assert!(held.head.header("retry-after").is_some());
    held.problem(429, "too-many-connections");
    let refused = node.get(CHANNEL).header("accept", "text/event-stream").bearer(&alice).await.ok();
    assert!(refused.body.contains(": too-many-connections\n"), "{}", refused.body);
    let request = upgrade(CHANNEL).replace(crate::node::KEY, &alice);
    let mut raw = node.raw().await;
    raw.send(request).await;
    raw.reply("GET").await.problem(429, "too-many-connections");
    let mut session = node.socket_as("/v1/connect", Some(&alice)).await;
    assert_eq!(session.frame().await["error"]["code"], "too-many-connections");
    assert_eq!(session.closed().await.0, 4000);
    // It is about live reads, of this user.
    node.get(CHANNEL).bearer(&alice).await.ok();
    node.call("POST", CHANNEL).bearer(&alice).text("x").await.ok();
    node.sse_as(CHANNEL, Some(&bob)).await.block().await;
    node.sse(CHANNEL).await.block().await;
    assert_eq!(socket.frame_with("data").await["data"], "x");
    drop(stream);
    node.until_subscriptions(1).await;
    node.socket_as("/v1/connect", Some(&alice)).await;
}

#[tokio::test]
async fn a_session_counts_for_its_user_from_its_token_on() {
    let node = node().set("limits.user_connections = 1").run().await;
    let alice = token("alice", &[], &[]);
    let mut stream = node.sse_as(CHANNEL, Some(&alice)).await;
    stream.block().await;
    let mut anonymous = node.socket_as("/v1/connect", None).await;
    anonymous.send(json!({ "id": 1, "subscribe": { "channel": "orders:1" } })).await;
    assert!(anonymous.frame().await["subscribed"].is_object());
    anonymous.send(json!({ "id": 2, "refresh": { "token": alice } })).await;
    assert_eq!(anonymous.frame().await["error"]["code"], "too-many-connections");
    let mut first = node.socket_as("/v1/connect", None).await;
    first.send(json!({ "id": 1, "token": alice, "subscribe": { "channel": "orders:1" } })).await;
    assert_eq!(first.frame().await["error"]["code"], "too-many-connections");
    assert_eq!(first.closed().await.0, 4000);
    drop(stream);
    node.until_subscriptions(1).await;
    anonymous.send(json!({ "id": 3, "refresh": { "token": alice } })).await;
    assert!(anonymous.frame().await["refreshed"].is_object());
    // Another token of the same user is the same place.
    anonymous.send(json!({ "id": 4, "refresh": { "token": alice } })).await;
    assert!(anonymous.frame().await["refreshed"].is_object());
    node.get(&format!("{CHANNEL}?wait=1")).bearer(&alice).await.problem(429, "too-many-connections");
}
