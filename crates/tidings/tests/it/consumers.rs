//! Durable consumers: what one acknowledged last is where it reads on, on every transport.

use serde_json::{Value, json};

use crate::node::{Call, TestNode, token};

const CHANNEL: &str = "/v1/channels/orders:1";

fn ack(node: &TestNode, name: &str, cursor: &str) -> Call {
    node.post(&format!("{CHANNEL}/consumers/{name}/ack")).json(&json!({ "cursor": cursor }))
}

fn data(page: &Value) -> Vec<&str> {
    page["messages"].as_array().unwrap().iter().map(|one| one["data"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_was_acknowledged_does_not_come_again() {
    let node = TestNode::usual().await;
    let first = node.publish("orders:1", "a").await;
    let second = node.publish("orders:1", "b").await;
    let page = || async {
        node.get(&format!("{CHANNEL}?consumer=phone")).bearer(crate::node::KEY).await.ok().json()
    };
    assert_eq!(data(&page().await), ["a", "b"]);
    assert_eq!(data(&page().await), ["a", "b"], "nothing was acknowledged");
    let told = ack(&node, "phone", &first).await.ok().json();
    assert_eq!(told, json!({ "channel": "orders:1", "consumer": "phone", "cursor": first }));
    assert_eq!(data(&page().await), ["b"]);
    ack(&node, "phone", &second).await.ok();
    // One that comes late, or again, changes nothing.
    assert_eq!(ack(&node, "phone", &first).await.ok().text("cursor"), second);
    assert_eq!(data(&page().await), Vec::<&str>::new());
    let look = node.get(&format!("{CHANNEL}/consumers/phone")).bearer(crate::node::KEY).await.ok();
    assert_eq!(look.text("cursor"), second);
    // Another name, and another user, are others.
    let other = node.get(&format!("{CHANNEL}?consumer=tablet")).bearer(crate::node::KEY).await.ok().json();
    assert_eq!(data(&other), ["a", "b"]);
    let alice = token("alice", &["orders:*"], &[]);
    let theirs = node.get(&format!("{CHANNEL}?consumer=phone")).bearer(&alice).await.ok().json();
    assert_eq!(data(&theirs), ["a", "b"]);
    let forget = || node.call("DELETE", &format!("{CHANNEL}/consumers/phone")).bearer(crate::node::KEY);
    assert_eq!(forget().await.status, 204);
    forget().await.problem(404, "unknown-consumer");
    assert_eq!(data(&page().await), ["a", "b"]);
}

#[tokio::test]
async fn every_transport_reads_on_and_a_new_consumer_misses_nothing() {
    let node = TestNode::usual().await;
    let alice = token("alice", &["orders:*"], &[]);
    // It begins at `latest`, is cut before it acknowledges anything, and comes back.
    let mut stream = node.sse_as(&format!("{CHANNEL}?consumer=phone"), Some(&alice)).await;
    stream.block().await;
    drop(stream);
    let first = node.publish("orders:1", "a").await;
    let mut stream = node.sse_as(&format!("{CHANNEL}?consumer=phone"), Some(&alice)).await;
    stream.block().await;
    assert!(stream.block().await.contains("data: \"a\""));
    let mut socket = node.socket_as(&format!("{CHANNEL}?consumer=phone"), Some(&alice)).await;
    assert_eq!(socket.frame_with("data").await["cursor"], first);
    let held = node.get(&format!("{CHANNEL}?consumer=phone&wait=10")).bearer(&alice).await.ok().json();
    assert_eq!(data(&held), ["a"]);
    let mut session = node.connect(Some(&alice)).await;
    let subscribe = json!({ "id": 1, "subscribe": { "channel": "orders:1", "consumer": "phone" } });
    assert!(session.call(subscribe).await.get("subscribed").is_some());
    assert_eq!(session.frame_with("data").await["cursor"], first);
    let frame = json!({ "id": 2, "ack": { "channel": "orders:1", "consumer": "phone", "cursor": first } });
    let told = session.call(frame).await;
    assert_eq!(told["acked"], json!({ "channel": "orders:1", "consumer": "phone", "cursor": first }));
    let page = node.get(&format!("{CHANNEL}?consumer=phone")).bearer(&alice).await.ok().json();
    assert_eq!((data(&page), &page["cursor"]), (vec![], &json!(first)));
    // What a browser has got is nearer than what was acknowledged.
    let second = node.publish("orders:1", "b").await;
    let over = node
        .get(&format!("{CHANNEL}?consumer=phone&limit=1"))
        .bearer(&alice)
        .header("last-event-id", &second);
    let over = over.header("accept", "text/event-stream");
    let third = node.publish("orders:1", "c").await;
    assert!(over.await.ok().body.contains(&format!("id: {third}\ndata: \"c\"")));
}

#[tokio::test]
async fn wrong_acknowledgements_are_refused() {
    let node = TestNode::usual().await;
    let first = node.publish("orders:1", "a").await;
    let elsewhere = node.publish("orders:2", "a").await;
    let past = {
        node.call("DELETE", CHANNEL).bearer(crate::node::KEY).await;
        node.publish("orders:1", "b").await
    };
    for (cursor, code) in
        [(elsewhere.as_str(), "bad-cursor"), (&first, "bad-cursor"), ("nonsense", "bad-cursor")]
    {
        ack(&node, "phone", cursor).await.problem(400, code);
    }
    // A place further than the end.
    let beyond = {
        let mut text = past.clone();
        text.replace_range(past.len() - 2.., "zz");
        text
    };
    ack(&node, "phone", &beyond).await.problem(400, "bad-cursor");
    ack(&node, "a%20b", &past).await.problem(400, "bad-consumer");
    ack(&node, &"x".repeat(129), &past).await.problem(400, "bad-consumer");
    node.post(&format!("{CHANNEL}/consumers/phone/ack")).text("{}").await.problem(400, "bad-json");
    node.get(&format!("{CHANNEL}?consumer=")).bearer(crate::node::KEY).await.problem(400, "bad-consumer");
    node.get(&format!("{CHANNEL}?consumer=phone")).await.problem(401, "no-credentials");
    node.get(&format!("{CHANNEL}/consumers/phone"))
        .bearer(crate::node::KEY)
        .await
        .problem(404, "unknown-consumer");
    node.call("POST", &format!("{CHANNEL}/consumers/phone/ack")).await.problem(401, "no-credentials");
    node.call("PATCH", &format!("{CHANNEL}/consumers/phone")).await.problem(405, "method-not-allowed");
}
