//! Requests behind requests on one connection: each is answered in its turn, and whole.

use serde_json::{Value, json};

use crate::node::{KEY, TestNode, now_ms};
use crate::raw::Raw;
use crate::socket::{frame, upgrade};

use super::{ORDERS, Witness};

/// About six mebibytes: more than the kernel takes for a peer that does not read.
const LARGE: &str = "/v1/channels/orders:large";

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

fn sse(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
}

fn post(target: &str, body: &str) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\nContent-Type: text/plain\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn with_a_large_page() -> TestNode {
    let node = TestNode::usual().await;
    for n in 0..6 {
        let text = char::from(b'a' + n).to_string().repeat((1 << 20) - 100);
        node.post(LARGE).text(&text).await.ok();
    }
    node
}

/// Reads the large page, with pauses, and checks that it is whole.
async fn large_page(raw: &mut Raw) {
    let head = raw.head().await;
    assert_eq!(head.status, 200);
    let length: usize = head.header("content-length").unwrap().parse().unwrap();
    assert!(length > 6 << 20);
    let mut body = Vec::new();
    while body.len() < length {
        body.extend(raw.exactly((length - body.len()).min(300_000)).await);
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let page: Value = serde_json::from_slice(&body).unwrap();
    let firsts: String =
        page["messages"].as_array().unwrap().iter().map(|m| &m["data"].as_str().unwrap()[..1]).collect();
    assert_eq!(firsts, "abcdef");
}

#[tokio::test]
async fn polls_behind_polls() {
    let node = TestNode::usual().await;
    let witness = Witness::of(&node).await;
    for n in 0..40 {
        node.publish("orders:1", n).await;
    }
    let mut raw = node.raw().await;
    let requests: String = (1..=40).map(|n| get(&format!("{ORDERS}?limit={n}"))).collect();
    raw.send(requests).await;
    for n in 1..=40 {
        let page = raw.reply("GET").await.ok().json();
        assert_eq!(page["messages"].as_array().unwrap().len(), n);
    }
    // Requests of all kinds, in one write and in many small ones.
    let all = [
        post(ORDERS, "one"),
        get("/v1/channels/nowhere:1"),
        format!("HEAD {ORDERS} HTTP/1.1\r\nHost: x\r\n\r\n"),
        post("/v1/channels/or%20ders", "a body that nobody wants"),
        get(&format!("{ORDERS}?after=latest&wait=0.05")),
        format!("OPTIONS {ORDERS} HTTP/1.1\r\nHost: x\r\n\r\n"),
        post(ORDERS, "two"),
        get(&format!("{ORDERS}?last=2")),
    ]
    .concat();
    for piece in [usize::MAX, 100, 7] {
        let mut raw = node.raw().await;
        for part in all.as_bytes().chunks(piece.min(all.len())) {
            raw.send(part).await;
            if piece < all.len() {
                tokio::task::yield_now().await;
            }
        }
        raw.reply("POST").await.ok();
        raw.reply("GET").await.problem(404, "unknown-namespace");
        raw.reply("HEAD").await.ok();
        raw.reply("POST").await.problem(400, "bad-channel");
        assert_eq!(raw.reply("GET").await.ok().json()["messages"], json!([]));
        assert_eq!(raw.reply("OPTIONS").await.status, 204);
        raw.reply("POST").await.ok();
        let last = raw.reply("GET").await.ok().json();
        assert_eq!(
            (&last["messages"][0]["data"], &last["messages"][1]["data"]),
            (&json!("one"), &json!("two"))
        );
    }
    // Garbage behind a request: that is answered, and then the garbage.
    let mut raw = node.raw().await;
    raw.send(get(ORDERS) + "nonsense\r\n\r\n" + &get(ORDERS)).await;
    raw.reply("GET").await.ok();
    raw.reply("GET").await.problem(400, "bad-request");
    assert_eq!(raw.rest().await, "");
    witness.lost_nothing(&node).await;
}

/// A stream takes its connection: it says so, and what is behind it is not answered.
#[tokio::test]
async fn requests_behind_a_stream() {
    let node = TestNode::usual().await;
    let witness = Witness::of(&node).await;
    for (before, body) in [("", ""), ("Content-Length: 10\r\n", "0123456789")] {
        let mut raw = node.raw().await;
        let stream = sse(&format!("{ORDERS}?limit=3")).replace("Accept: ", &format!("{before}Accept: "));
        raw.send(stream + body + &get(ORDERS) + &post(ORDERS, "not published") + &sse(ORDERS)).await;
        let head = raw.head().await;
        assert_eq!((head.status, head.header("connection")), (200, Some("close")));
        raw.block().await;
        raw.send(get(ORDERS)).await;
        for n in 0..3 {
            node.publish("orders:1", n).await;
            assert!(raw.event().await.ends_with(&format!("data: {n}")));
        }
        assert_eq!(raw.rest().await, "");
    }
    let page = node.get(ORDERS).await.ok().json();
    assert_eq!(page["messages"].as_array().unwrap().len(), 6, "nothing else was published");
    witness.lost_nothing(&node).await;
}

/// A stream that is asked for behind a page waits until the page has left.
#[tokio::test]
async fn a_stream_behind_a_page_that_is_not_read_yet() {
    let node = with_a_large_page().await;
    let mut witness = Witness::of(&node).await;
    for behind in [sse(ORDERS), upgrade(ORDERS)] {
        let mut raw = Raw::connect_small(node.address).await;
        raw.send(get(LARGE) + &behind).await;
        assert!(!raw.is_quiet().await);
        witness.goes_on(&node).await;
        large_page(&mut raw).await;
        let head = raw.head().await;
        assert!(matches!(head.status, 200 | 101), "{}", head.text);
        let greeting = if head.status == 200 { "id: " } else { "\"subscribed\"" };
        raw.until(greeting).await;
        node.post(ORDERS).text("here it is").await.ok();
        raw.until("here it is").await;
    }
    // With more pages between, and a publish behind each.
    let mut raw = Raw::connect_small(node.address).await;
    raw.send([get(LARGE), post(ORDERS, "x"), get(LARGE), get(LARGE), sse(ORDERS)].concat()).await;
    large_page(&mut raw).await;
    raw.reply("POST").await.ok();
    large_page(&mut raw).await;
    large_page(&mut raw).await;
    assert_eq!(raw.head().await.header("content-type"), Some("text/event-stream"));
    witness.lost_nothing(&node).await;
}

/// Frames that come with the request for the upgrade are not lost.
#[tokio::test]
async fn frames_behind_an_upgrade() {
    let node = TestNode::usual().await;
    let witness = Witness::of(&node).await;
    let mut raw = node.raw().await;
    let frames: Vec<u8> =
        (0..20).flat_map(|n| frame(1, format!("{{\"data\":{n},\"id\":\"id-{n}\"}}").as_bytes())).collect();
    raw.send([get(ORDERS).into_bytes(), upgrade(ORDERS).into_bytes(), frames].concat()).await;
    raw.reply("GET").await.ok();
    assert_eq!(raw.head().await.status, 101);
    for n in 0..20 {
        raw.until("{\"published\":{\"channel\":\"orders:1\"").await;
        raw.until(&format!("\"id\":\"id-{n}\"")).await;
    }
    // A request with a body is no request for an upgrade: its body would be read as frames.
    for body in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut raw = node.raw().await;
        raw.send(upgrade(ORDERS).replace("Host: ", &format!("{body}Host: ")) + "hello").await;
        raw.reply("GET").await.problem(400, "bad-frame");
    }
    witness.lost_nothing(&node).await;
}

/// A held request keeps those behind it waiting, and a client that leaves is noticed.
#[tokio::test]
async fn requests_behind_a_held_one() {
    let node = TestNode::usual().await;
    let witness = Witness::of(&node).await;
    let mut raw = node.raw().await;
    raw.send(get(&format!("{ORDERS}?after=latest&wait=30")) + &post(ORDERS, "not yet") + &get(ORDERS)).await;
    assert!(raw.is_quiet().await);
    let began_ms = now_ms();
    node.publish("orders:1", 1).await;
    assert_eq!(raw.reply("GET").await.ok().json()["messages"][0]["data"], 1);
    assert!(now_ms() - began_ms < 10_000);
    raw.reply("POST").await.ok();
    assert_eq!(raw.reply("GET").await.ok().json()["messages"].as_array().unwrap().len(), 2);
    // Many that hold and leave.
    for _ in 0..100 {
        let mut raw = node.raw().await;
        raw.send(get("/v1/channels/orders:2?wait=60")).await;
        tokio::task::yield_now().await;
    }
    node.until_subscriptions(2).await;
    witness.lost_nothing(&node).await;
}
