//! Connections of an address, behind proxies and without.

use crate::node::{Plan, TestNode};
use crate::raw::{Raw, soon};

const CHANNEL: &str = "/v1/channels/orders:1";

fn node() -> Plan {
    TestNode::new().namespace("orders", |n| n).set("limits.address_connections = 2")
}

/// An event stream of a client for whom a proxy speaks.
async fn stream(node: &TestNode, header: &str) -> Raw {
    let mut raw = node.raw().await;
    raw.send(format!("GET {CHANNEL} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n{header}\r\n\r\n"))
        .await;
    assert_eq!(raw.head().await.status, 200);
    raw
}

#[tokio::test]
async fn an_address_has_so_many_connections() {
    let node = node().run().await;
    let mut reader = node.sse(CHANNEL).await;
    reader.block().await;
    let idle = node.raw().await;
    node.get(CHANNEL).await.problem(429, "too-many-connections");
    let refused = node.get(CHANNEL).header("accept", "text/event-stream").await.ok();
    assert!(refused.body.contains(": too-many-connections\n"), "{}", refused.body);
    // What a client says of itself is not believed.
    node.get(CHANNEL).header("x-forwarded-for", "192.0.2.9").await.problem(429, "too-many-connections");
    node.get("/healthz").await.ok();
    drop(idle);
    let again = async { while node.get(CHANNEL).await.status != 200 {} };
    soon("a place", again).await;
}

#[tokio::test]
async fn behind_a_proxy_each_client_counts_for_itself() {
    let node = node().set("proxy.trusted = [\"127.0.0.0/8\", \"10.0.0.0/8\"]").run().await;
    let first = stream(&node, "X-Forwarded-For: 192.0.2.1").await;
    let mut second = stream(&node, "X-Forwarded-For: 203.0.113.9, 192.0.2.1, 10.0.0.7").await;
    second.block().await;
    let from = |address: &'static str| {
        node.get(&format!("{CHANNEL}?wait=1&after=latest")).header("x-forwarded-for", address)
    };
    from("192.0.2.1").await.problem(429, "too-many-connections");
    let third =
        node.get(CHANNEL).header("accept", "text/event-stream").header("x-forwarded-for", "192.0.2.1");
    let third = third.await.ok().body;
    assert!(third.contains(": too-many-connections\n"), "{third}");
    let mut socket = node.raw().await;
    let upgrade = crate::socket::upgrade(CHANNEL).replace("Host:", "X-Forwarded-For: 192.0.2.1\r\nHost:");
    socket.send(upgrade).await;
    socket.reply("GET").await.problem(429, "too-many-connections");
    // Another client, a poll, a publish, and the proxy itself are not held back.
    from("192.0.2.2").await.ok();
    node.get(CHANNEL).header("x-forwarded-for", "192.0.2.1").await.ok();
    node.post(CHANNEL).header("x-forwarded-for", "192.0.2.1").text("news").await.ok();
    for _ in 0..3 {
        stream(&node, "X-Ignored: 1").await;
    }
    assert!(second.event().await.contains("data: "));
    drop(first);
    let again = async { while from("192.0.2.1").await.status != 200 {} };
    soon("a place", again).await;
}

/// What a client sends stands before what its proxy adds to it, whatever its bytes are.
#[tokio::test]
async fn nobody_hides_behind_bytes_that_are_no_text() {
    let node = node().set("proxy.trusted = [\"127.0.0.0/8\"]").run().await;
    let _held = [
        stream(&node, "X-Forwarded-For: 192.0.2.1").await,
        stream(&node, "X-Forwarded-For: ünbelievable, 192.0.2.1").await,
    ];
    let mut raw = node.raw().await;
    let head = format!("GET {CHANNEL}?wait=1&after=latest HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: ");
    raw.send([head.as_bytes(), b"\xff, 192.0.2.1\r\n\r\n"].concat()).await;
    raw.reply("GET").await.problem(429, "too-many-connections");
}

#[tokio::test]
async fn only_the_header_that_the_proxy_writes_is_read() {
    let node = node().set("proxy = { trusted = [\"127.0.0.1\"], header = \"forwarded\" }").run().await;
    let _held =
        [stream(&node, "Forwarded: for=192.0.2.1").await, stream(&node, "Forwarded: for=192.0.2.1").await];
    let ask = |name: &'static str, value: &'static str| {
        node.get(&format!("{CHANNEL}?wait=1&after=latest")).header(name, value)
    };
    ask("forwarded", "for=\"192.0.2.1:4711\";proto=https").await.problem(429, "too-many-connections");
    ask("x-forwarded-for", "192.0.2.1").await.ok();
    ask("forwarded", "for=\"[2001:db8::1]\"").await.ok();
}

#[tokio::test]
async fn the_proxy_protocol_says_of_whom_a_connection_is() {
    let node = node().set("proxy.protocol = true").run().await;
    let ask = async |source: &str| {
        let mut raw = node.raw().await;
        raw.send(format!(
            "PROXY TCP4 {source} 10.0.0.1 4711 80\r\nGET {CHANNEL} HTTP/1.1\r\nHost: x\r\n\r\n"
        ))
        .await;
        let reply = raw.reply("GET").await;
        (raw, reply)
    };
    let (_first, reply) = ask("192.0.2.1").await;
    reply.ok();
    let (_second, reply) = ask("192.0.2.1").await;
    reply.ok();
    let (_third, reply) = ask("192.0.2.1").await;
    reply.problem(429, "too-many-connections");
    let (_other, reply) = ask("192.0.2.2").await;
    reply.ok();
    let mut bare = node.raw().await;
    bare.send(format!("GET {CHANNEL} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    assert_eq!(soon("the end", bare.rest()).await, "");
}

#[tokio::test]
async fn with_proxies_named_nobody_else_may_send_the_header() {
    let node = node().set("proxy = { protocol = true, trusted = [\"10.0.0.0/8\"] }").run().await;
    let mut raw = node.raw().await;
    let _ =
        tokio::io::AsyncWriteExt::write_all(&mut raw.stream, b"PROXY TCP4 192.0.2.1 10.0.0.1 1 80\r\n").await;
    assert_eq!(soon("the end", raw.rest()).await, "");
}
