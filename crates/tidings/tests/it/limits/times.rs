//! How long a client may take to say something.

use std::time::Duration;

use tokio::time::Instant;

use crate::node::{KEY, TestNode};
use crate::raw::{Reply, soon};

const CHANNEL: &str = "/v1/channels/orders:1";

async fn node() -> TestNode {
    let plan = TestNode::new().namespace("orders", |n| n);
    plan.set("limits.head_time = \"400ms\"\nlimits.idle_time = \"1200ms\"").run().await
}

#[tokio::test]
async fn a_head_that_trickles_is_refused() {
    let node = node().await;
    let mut raw = node.raw().await;
    raw.send(format!("GET {CHANNEL} HTTP/1.1\r\nHost: x\r\n")).await;
    let began = Instant::now();
    let trickle = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if tokio::io::AsyncWriteExt::write_all(&mut raw.stream, b"a").await.is_err() {
                return;
            }
            if !raw.has_nothing() {
                return;
            }
        }
    };
    soon("an answer", trickle).await;
    let took = began.elapsed();
    let problem = raw.reply("GET").await.problem(400, "bad-request");
    assert!(problem["detail"].as_str().unwrap().contains("too long"), "{problem}");
    assert!(took >= Duration::from_millis(350), "{took:?}");
}

#[tokio::test]
async fn the_head_of_a_later_request_has_the_same_time() {
    let node = node().await;
    let mut raw = node.raw().await;
    for _ in 0..3 {
        // Idle for longer than a head may take, which is another matter.
        tokio::time::sleep(Duration::from_millis(600)).await;
        raw.send(format!("GET {CHANNEL} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        raw.reply("GET").await.ok();
    }
    raw.send("GET /").await;
    raw.reply("GET").await.problem(400, "bad-request");
}

#[tokio::test]
async fn an_idle_connection_ends_without_a_word() {
    let node = node().await;
    let (mut silent, mut used) = (node.raw().await, node.raw().await);
    used.send(format!("GET {CHANNEL} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    used.reply("GET").await.ok();
    let began = Instant::now();
    assert_eq!(soon("the end", silent.rest()).await, "");
    assert_eq!(soon("the end", used.rest()).await, "");
    assert!(began.elapsed() >= Duration::from_millis(1_000), "{:?}", began.elapsed());
}

#[tokio::test]
async fn who_is_being_answered_is_not_idle() {
    let node = node().await;
    let mut raw = node.raw().await;
    raw.send(format!("GET {CHANNEL}?after=latest&wait=2 HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    raw.reply("GET").await.ok();
    let mut body = node.raw().await;
    let head = "Content-Type: application/x-ndjson\r\nContent-Length: 4\r\n";
    let key = crate::node::KEY;
    body.send(format!("POST {CHANNEL} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{head}\r\n1\n"))
        .await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    body.send("2\n").await;
    assert_eq!(body.reply("POST").await.ok().json()["published"], 2);
}

/// A node on which a body must be whole soon, and may pause for long.
async fn hasty() -> TestNode {
    TestNode::new().namespace("orders", |n| n).set("limits.body_time = \"500ms\"").run().await
}

/// The answer to a body of which a byte comes now and then, for ever.
async fn trickled(node: &TestNode, target: &str, kind: &str, begins: &str, goes_on: &str) -> Reply {
    let mut raw = node.raw().await;
    let head = format!("POST {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n");
    raw.send(format!("{head}Content-Type: {kind}\r\nContent-Length: 100000\r\n\r\n{begins}")).await;
    let began = Instant::now();
    let trickle = async {
        while raw.has_nothing() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if tokio::io::AsyncWriteExt::write_all(&mut raw.stream, goes_on.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    soon("an answer", trickle).await;
    let took = began.elapsed();
    assert!((Duration::from_millis(450)..Duration::from_secs(10)).contains(&took), "{kind}: {took:?}");
    let reply = raw.reply("POST").await;
    assert_eq!(reply.header("connection"), "close");
    reply
}

#[tokio::test]
async fn a_body_that_trickles_is_refused() {
    let node = hasty().await;
    for (target, kind) in [
        (CHANNEL, "application/json"),
        (CHANNEL, "text/plain"),
        (CHANNEL, "application/octet-stream"),
        ("/v1/publish", "application/json"),
        ("/v1/revocations", "application/json"),
    ] {
        let problem = trickled(&node, target, kind, "\"", "x").await.problem(408, "body-incomplete");
        assert!(problem["detail"].as_str().unwrap().contains("within 500ms"), "{problem}");
        assert_eq!(problem.get("published"), None);
    }
    assert_eq!(node.get(CHANNEL).await.ok().json()["messages"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn a_message_of_a_stream_that_trickles_is_refused() {
    let node = hasty().await;
    let (lines, events) = ("application/x-ndjson", "text/event-stream");
    for (kind, begins, goes_on) in [
        (lines, "1\n2\n\"", "x"),
        (lines, "1\n2\n", " "),
        (events, "data: 1\n\ndata: 2\n\ndata: ", "x"),
        (events, "data: 1\n\ndata: 2\n\n", ":"),
        (events, "data: 1\n\ndata: 2\n\ndata: 3\n", ":\n"),
        (events, "data: 1\n\ndata: 2\n\nevent: a\n", ":\n"),
    ] {
        let problem = trickled(&node, CHANNEL, kind, begins, goes_on).await.problem(408, "body-incomplete");
        assert_eq!(problem["published"], 2, "{begins:?} {goes_on:?}: {problem}");
    }
}

/// A token stream lasts as long as it lasts.
#[tokio::test]
async fn a_stream_of_whole_messages_may_last() {
    let node = hasty().await;
    for (kind, piece, count) in [
        ("application/x-ndjson", "1\n2", 21),
        ("application/x-ndjson", "\n", 0),
        ("text/event-stream", "data: 1\n\ndata: 2", 20),
        ("text/event-stream", ": still there\n", 0),
    ] {
        let mut raw = node.raw().await;
        let length = piece.len() * 20;
        raw.send(format!(
            "POST {CHANNEL} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\
             Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        ))
        .await;
        for _ in 0..20 {
            raw.send(piece).await;
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        assert_eq!(raw.reply("POST").await.ok().json()["published"], count, "{kind} {piece:?}");
    }
}
