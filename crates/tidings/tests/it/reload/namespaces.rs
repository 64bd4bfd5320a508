//! Namespaces that come, go and change, and limits.

use serde_json::json;

use crate::node::{KEY, Namespace, Plan, TestNode, token};
use crate::raw::soon;

fn with(names: &[&str]) -> Plan {
    names.iter().fold(TestNode::new(), |plan, name| plan.namespace(name, |n| n))
}

#[tokio::test]
async fn namespaces_come_and_go() {
    let mut node = with(&["orders"]).run().await;
    node.get("/v1/channels/chat:1").await.problem(404, "unknown-namespace");
    assert_eq!(node.change(with(&["orders", "chat"])), "namespaces.chat (added)");
    let cursor = node.publish("chat:1", 1).await;
    let mut socket = node.socket("/v1/channels/chat:1").await;
    socket.frame_with("subscribed").await;
    let mut both = node.sse("/v1/subscribe?channel=chat:1&channel=orders:1").await;
    both.block().await;
    let mut session = node.connect(Some(KEY)).await;
    session.subscribe("chat:1").await;
    session.subscribe("orders:1").await;
    let mut stays = node.socket("/v1/channels/orders:1").await;
    stays.frame_with("subscribed").await;
    assert_eq!(node.change(with(&["orders"])), "namespaces.chat (removed)");
    assert_eq!(socket.closed().await, (4504, json!({ "code": "unknown-namespace" })));
    // A stream is told when it comes back, with the cursor of both.
    let last = soon("the end", both.rest()).await;
    assert!(last.contains("retry: ") && last.contains("\nid: "), "{last}");
    // A session goes on with its other channels.
    let told = session.frame().await;
    assert_eq!(told["unsubscribed"]["channel"], "chat:1");
    assert_eq!(told["unsubscribed"]["error"]["code"], "unknown-namespace");
    node.post("/v1/channels/chat:1").text("x").await.problem(404, "unknown-namespace");
    node.publish("orders:1", 7).await;
    assert_eq!(session.frame().await["data"], 7);
    assert_eq!(stays.frame().await["data"], 7);
    // It comes again, with what it kept.
    node.change(with(&["orders", "chat"]));
    node.publish("chat:1", 2).await;
    let page = node.get(&format!("/v1/channels/chat:1?after={cursor}")).await.ok().json();
    assert_eq!((&page["gap"], &page["messages"][0]["data"]), (&json!(null), &json!(2)));
    assert_eq!(session.subscribe("chat:1").await["subscribed"]["channel"], "chat:1");
}

#[tokio::test]
async fn rights_change() {
    let rights = |subscribe: &'static str, publish: &'static str| {
        let set = move |n: Namespace| n.set(&format!("subscribe = \"{subscribe}\"\npublish = \"{publish}\""));
        TestNode::new().namespace("orders", set)
    };
    let mut node = rights("public", "server").run().await;
    let path = "/v1/channels/orders:1";
    let (alice, bob) = (token("alice", &["orders:*"], &[]), token("bob", &[], &[]));
    let mut sockets = Vec::new();
    for credential in [None, Some(&bob), Some(&alice)] {
        let mut socket = node.socket_as(path, credential.map(String::as_str)).await;
        socket.frame_with("subscribed").await;
        sockets.push(socket);
    }
    let changes = node.change(rights("user", "user"));
    assert_eq!(changes, "namespaces.orders.subscribe, namespaces.orders.publish");
    assert_eq!(sockets.remove(0).closed().await, (4501, json!({ "code": "no-credentials" })));
    node.get(path).await.problem(401, "no-credentials");
    node.call("POST", path).bearer(&bob).json(&json!(1)).await.ok();
    assert_eq!(sockets[0].frame().await["data"], 1);
    node.change(rights("token", "server"));
    assert_eq!(sockets.remove(0).closed().await, (4503, json!({ "code": "forbidden" })));
    assert_eq!(sockets[0].frame().await["data"], 1);
    // What a socket may do is judged for each frame.
    assert_eq!(sockets[0].ask(json!({ "data": 2 })).await["error"]["code"], "forbidden");
    node.publish("orders:1", 3).await;
    assert_eq!(sockets[0].frame().await["data"], 3);
}

#[tokio::test]
async fn what_is_kept_changes_also_for_who_reads_already() {
    let keeping = |messages| TestNode::new().namespace("orders", |n| n.retain(messages));
    let mut node = keeping(2).run().await;
    let mut socket = node.socket("/v1/channels/orders:1").await;
    socket.frame_with("subscribed").await;
    assert_eq!(node.change(keeping(100)), "namespaces.orders.retain");
    for n in 0..50 {
        node.publish("orders:1", n).await;
    }
    for n in 0..50 {
        assert_eq!(socket.frame().await["data"], n);
    }
    // A reader of before must not bring back the rules of before.
    let kept = async |node: &TestNode| {
        let page = node.get("/v1/channels/orders:1?after=earliest").await.ok().json();
        page["messages"].as_array().unwrap().len()
    };
    assert_eq!(kept(&node).await, 50);
    node.change(keeping(10));
    node.publish("orders:1", 50).await;
    assert_eq!(kept(&node).await, 10);
}

#[tokio::test]
async fn the_guarantee_of_a_namespace_changes() {
    let mut node = TestNode::new().namespace("orders", |n| n).run().await;
    let mut socket = node.socket("/v1/channels/orders:1").await;
    socket.frame_with("subscribed").await;
    let changes = node.change(TestNode::new().namespace("orders", Namespace::at_most_once));
    assert_eq!(changes, "namespaces.orders.delivery");
    assert_eq!(node.get("/v1/channels/orders:1").await.ok().header("tidings-delivery"), "at-most-once");
    node.publish("orders:1", 1).await;
    assert_eq!(socket.frame().await["data"], 1);
}

#[tokio::test]
async fn limits_and_doors_change() {
    let mut node = TestNode::new().namespace("orders", |n| n).run().await;
    let large = "x".repeat(2_000);
    let post = |node: &TestNode| node.post("/v1/channels/orders:1").text(&large);
    post(&node).await.ok();
    let mut open = node.socket("/v1/channels/orders:1").await;
    open.frame_with("subscribed").await;
    let plan = || TestNode::new().namespace("orders", |n| n);
    let set = plan().set("limits.message_bytes = 1024\nlimits.connection_channels = 1\nlimits.feeds = 7");
    let set =
        set.set("cors.origins = [\"https://app.example\"]\nwebsocket.deflate = true\nheartbeat = \"1s\"");
    assert_eq!(
        node.change(set.set("shutdown_grace = \"1s\"\nmax_lag = \"5s\"\ndedupe = \"1m\"")),
        "shutdown_grace, heartbeat, max_lag, dedupe, cors.origins, limits.message_bytes, \
         limits.connection_channels, limits.feeds, websocket.deflate"
    );
    post(&node).await.problem(413, "too-large");
    let reply = node.get("/v1/channels/orders:1").header("origin", "https://app.example").await.ok();
    assert_eq!(reply.header("access-control-allow-origin"), "https://app.example");
    let mut session = node.connect(Some(KEY)).await;
    session.subscribe("orders:1").await;
    assert_eq!(session.subscribe("orders:2").await["error"]["code"], "too-many-channels");
    // What is open goes on.
    node.publish("orders:1", 1).await;
    assert_eq!(open.frame().await["data"], 1);
    assert_eq!(node.change(plan()).split(", ").count(), 9);
    post(&node).await.ok();
}

#[tokio::test]
async fn keys_that_need_a_restart_change_nothing() {
    let mut node = with(&["orders"]).run().await;
    for line in ["listen = \"127.0.0.1:1\"", "broker.memory_bytes = \"64MiB\"", "limits.idempotency_keys = 7"]
    {
        let refused = node.reload(with(&["orders", "chat"]).set(line)).unwrap_err();
        let key = line.split(' ').next().unwrap();
        assert_eq!(refused.to_string(), format!("these keys cannot change while a node runs: {key}"));
        assert!(refused.advice().starts_with("restart the node"));
        node.get("/v1/channels/chat:1").await.problem(404, "unknown-namespace");
    }
    assert_eq!(node.change(with(&["orders"])), "");
}
