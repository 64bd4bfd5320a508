//! The end of a token: what it ends, and what it no longer opens (surface-details G45).

use serde_json::json;

use crate::node::{KEY, TestNode, sign, token};
use crate::raw::soon;
use crate::time::Time;

const CHANNEL: &str = "/v1/channels/orders:1";

async fn node(time: &Time) -> TestNode {
    let plan = TestNode::new().namespace("orders", |n| n.set("subscribe = \"user\"\npublish = \"user\""));
    plan.set("heartbeat = \"60s\"\nlimits.body_idle = \"10m\"").clock(&time.clock).run().await
}

/// A token of a user that ends in so many milliseconds from now.
fn ends_in(time: &Time, ms: i64) -> String {
    let exp_ms = time.now_ms().checked_add_signed(ms).unwrap();
    sign(&json!({ "sub": "alice", "exp": exp_ms as f64 / 1_000.0 }))
}

#[tokio::test]
async fn it_ends_live_connections() {
    let time = Time::stop();
    let node = node(&time).await;
    let brief = ends_in(&time, 60_000);
    let mut stream = node.sse_as(CHANNEL, Some(&brief)).await;
    stream.block().await;
    let mut socket = node.socket_as(CHANNEL, Some(&brief)).await;
    socket.frame_with("subscribed").await;
    let mut held = node.raw().await;
    let ask =
        format!("GET {CHANNEL}?after=latest&wait=60 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {brief}");
    held.send(format!("{ask}\r\n\r\n")).await;
    node.publish("orders:2", 0).await;
    node.reading(3).await;
    time.pass(59_900).await;
    node.publish("orders:2", 0).await;
    assert!(stream.has_nothing() && held.has_nothing(), "it ended before its time");
    time.pass(200).await;
    // Server-Sent Events: a last block to come back with, and the end of the body.
    let last = stream.rest().await;
    let mut lines = last.lines();
    assert_eq!(lines.next(), Some("retry: 2000"));
    let cursor = lines.next().and_then(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    assert!(last.ends_with("\n\n") && !last.contains("data"), "{last}");
    // WebSocket: 4001, at once with a new token.
    let (code, reason) = socket.closed().await;
    assert_eq!((code, reason), (4001, json!({ "code": "token-expired", "retry_ms": 0 })));
    // Long-poll: a page.
    let page = held.reply("GET").await.ok();
    assert_eq!(page.json()["messages"], json!([]));
    // Each place is good for a new token, and loses nothing.
    node.publish("orders:1", 1).await;
    let fresh = token("alice", &[], &[]);
    for cursor in [cursor, page.text("cursor")] {
        let page = node.get(&format!("{CHANNEL}?after={cursor}")).bearer(&fresh).await.ok();
        assert_eq!(page.json()["messages"][0]["data"], 1);
    }
}

/// A live read that could only end at once would come back, and end at once, and come back.
#[tokio::test]
async fn what_has_ended_opens_no_live_read() {
    let time = Time::stop();
    let node = node(&time).await;
    let cursor = node.publish("orders:1", 1).await;
    let ended = ends_in(&time, -1_000);
    for call in [
        node.get(CHANNEL).header("accept", "text/event-stream"),
        node.get(&format!("{CHANNEL}?after={cursor}&wait=30")),
        node.get(&format!("{CHANNEL}?wait=30")),
        node.get(&format!("{CHANNEL}?wait=nonsense")),
        node.get("/v1/subscribe?channel=orders:1&wait=30"),
    ] {
        let reply = call.bearer(&ended).await;
        reply.problem(401, "token-expired");
        assert_eq!(reply.header("www-authenticate"), "Bearer");
    }
    let mut raw = node.raw().await;
    raw.send(crate::socket::upgrade(CHANNEL).replace(KEY, &ended)).await;
    raw.reply("GET").await.problem(401, "token-expired");
    // What is answered at once is answered: the clock of whoever made the token may be slow.
    node.get(CHANNEL).bearer(&ended).await.ok();
    node.call("POST", CHANNEL).text("x").bearer(&ended).await.ok();
    let lines = node.call("POST", CHANNEL).header("content-type", "application/x-ndjson").body("1\n2\n");
    assert_eq!(lines.bearer(&ended).await.ok().json()["published"], 2);
    time.pass(4_100).await;
    node.get(CHANNEL).bearer(&ended).await.problem(401, "token-expired");
}

/// A body that is still arriving must not keep a right for ever.
#[tokio::test]
async fn it_ends_a_body_that_still_arrives() {
    let time = Time::stop();
    let node = node(&time).await;
    let brief = ends_in(&time, 10_000);
    let begin = async |kind: &str, body: &str| {
        let mut raw = node.raw().await;
        raw.send(format!(
            "POST {CHANNEL} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {brief}\r\nContent-Type: {kind}\r\n\
             Content-Length: 1000\r\n\r\n{body}"
        ))
        .await;
        raw
    };
    let mut stream = begin("application/x-ndjson", "1\n2\n3").await;
    let mut single = begin("text/plain", "half of").await;
    let mut cursor = String::new();
    for _ in 0..1_000 {
        let page = node.get(CHANNEL).bearer(KEY).await.ok();
        if page.json()["messages"].as_array().unwrap().len() == 2 {
            cursor = page.text("cursor");
            break;
        }
    }
    time.pass(9_900).await;
    node.publish("orders:2", 0).await;
    assert!(stream.has_nothing() && single.has_nothing(), "it ended before its time");
    time.pass(5_200).await;
    let problem = soon("the answer", stream.reply("POST")).await.problem(401, "token-expired");
    assert_eq!((&problem["published"], &problem["cursor"]), (&json!(2), &json!(cursor)));
    let problem = soon("the answer", single.reply("POST")).await.problem(401, "token-expired");
    assert_eq!(problem["stored"], false);
}
