//! How long a client may take to say something.

use std::time::Duration;

use tokio::time::Instant;

use crate::node::TestNode;
use crate::raw::soon;

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
