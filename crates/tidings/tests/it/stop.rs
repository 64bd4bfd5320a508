//! How a node leaves (surface-details I49): what it tells whom, and that it goes in time.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::node::{KEY, Plan, TestNode};
use crate::process::Process;
use crate::raw::{Raw, soon};
use crate::socket::upgrade;

const ORDERS: &str = "/v1/channels/orders:1";

fn plan() -> Plan {
    TestNode::new().namespace("orders", |n| n)
}

/// An open WebSocket whose client answers nothing.
async fn mute(address: std::net::SocketAddr) -> Raw {
    let mut raw = Raw::connect(address).await;
    raw.send(upgrade(ORDERS)).await;
    assert_eq!(raw.head().await.status, 101);
    raw
}

/// A publish of which only this much of the body has come.
async fn begun(node: &TestNode, target: &str, kind: &str, body: &str) -> Raw {
    let mut raw = node.raw().await;
    raw.send(format!(
        "POST {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: {kind}\r\n\
         Content-Length: 1000\r\n\r\n{body}"
    ))
    .await;
    raw
}

async fn stored(node: &TestNode, count: usize) {
    for _ in 0..1_000 {
        let page = node.get(ORDERS).await.ok().json();
        if page["messages"].as_array().unwrap().len() == count {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("{count} messages are not stored");
}

#[tokio::test]
async fn it_says_that_it_leaves_and_takes_nothing_new() {
    let node = plan().set("ops_listen = \"127.0.0.1:0\"").run().await;
    let cursor = node.publish("orders:1", 1).await;
    let (address, ops) = (node.address, node.node.ops_address().unwrap());
    // Somebody who does not leave, so that it is seen leaving.
    let mut last = mute(address).await;
    let stopped = tokio::spawn(node.node.stop());
    while !last.until("}").await.contains("draining") {}
    for address in [address, ops] {
        let call = |path| TestNode::call_at(address, "GET", path);
        call("/readyz").await.problem(503, "draining");
        call("/healthz").await.ok();
        let head = TestNode::call_at(address, "HEAD", "/readyz").await;
        assert_eq!((head.status, head.body.as_str()), (503, ""));
    }
    let call = |method, target: &str| TestNode::call_at(address, method, target).bearer(KEY);
    // What a client can try elsewhere at once is refused, and nothing of it is stored.
    let mut delays = HashSet::new();
    for _ in 0..8 {
        let refused = call("POST", ORDERS).text("x").await;
        assert_eq!(refused.problem(503, "draining")["stored"], false);
        let delay: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=5).contains(&delay), "{delay}");
        delays.insert(delay);
    }
    assert!(delays.len() > 1, "they all come back at once: {delays:?}");
    let lines = call("POST", ORDERS).header("content-type", "application/x-ndjson").body("1\n2\n").await;
    let problem = lines.problem(503, "draining");
    assert_eq!((&problem["published"], &problem["cursor"]), (&json!(0), &json!(null)));
    let batch = json!({ "messages": [{ "channel": "orders:1", "data": 1 }] });
    let batch = call("POST", "/v1/publish").json(&batch).await.ok().json();
    assert_eq!(batch["results"][0]["error"]["code"], "draining");
    call("GET", &format!("{ORDERS}?after={cursor}&wait=30")).await.problem(503, "draining");
    let mut socket = Raw::connect(address).await;
    socket.send(upgrade(ORDERS)).await;
    socket.reply("GET").await.problem(503, "draining");
    // An EventSource would never come back from a 503.
    let stream = call("GET", ORDERS).header("accept", "text/event-stream").header("last-event-id", &cursor);
    let stream = stream.await.ok();
    assert!(stream.body.starts_with("retry: ") && stream.body.ends_with(&format!("\nid: {cursor}\n\n")));
    // What is there already can still be read.
    let page = call("GET", ORDERS).await.ok();
    assert_eq!(page.json()["messages"][0]["data"], 1);
    call("GET", &format!("{ORDERS}?wait=30")).await.ok();
    drop(last);
    soon("the node's end", stopped).await.unwrap();
}

#[tokio::test]
async fn each_client_is_told_when_to_come_back_and_where_to_go_on() {
    const EACH: usize = 8;
    let node = plan().run().await;
    let address = node.address;
    let cursor = node.publish("orders:1", 1).await;
    let (mut streams, mut sockets, mut polls) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..EACH {
        let mut stream = node.sse(ORDERS).await;
        stream.block().await;
        streams.push(stream);
        let mut socket = node.socket(ORDERS).await;
        socket.frame_with("subscribed").await;
        sockets.push(socket);
        let mut poll = node.raw().await;
        poll.send(format!("GET {ORDERS}?after={cursor}&wait=60 HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        polls.push(poll);
    }
    let mut idle = node.raw().await;
    idle.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    idle.reply("GET").await.ok();
    node.reading(3 * EACH).await;
    let began = Instant::now();
    let stopped = tokio::spawn(node.node.stop());
    let mut delays = HashSet::new();
    for stream in &mut streams {
        let last = stream.rest().await;
        let retry = last.strip_prefix("retry: ").and_then(|rest| rest.split_once('\n'));
        let (retry, rest) = retry.unwrap_or_else(|| panic!("{last}"));
        assert_eq!(rest, format!("id: {cursor}\n\n"));
        delays.insert(retry.parse::<u64>().unwrap());
    }
    assert!(delays.len() > EACH / 2 && delays.iter().all(|ms| (1_000..=5_000).contains(ms)), "{delays:?}");
    delays.clear();
    for socket in &mut sockets {
        let (code, reason) = socket.closed().await;
        assert_eq!((code, &reason["code"]), (4000, &json!("draining")));
        delays.insert(reason["retry_ms"].as_u64().unwrap());
        while let Some(Ok(_)) = soon("the end", socket.inner.next()).await {}
    }
    assert!(delays.len() > EACH / 2 && delays.iter().all(|ms| (1_000..=5_000).contains(ms)), "{delays:?}");
    delays.clear();
    for poll in &mut polls {
        let page = poll.reply("GET").await.ok();
        assert_eq!((&page.json()["messages"], page.text("cursor")), (&json!([]), cursor.clone()));
        let after: f64 = page.header("tidings-poll-after").parse().unwrap();
        assert!((1.0..=5.0).contains(&after), "{after}");
        delays.insert((after * 10.0) as u64);
    }
    assert!(delays.len() > 1, "{delays:?}");
    assert_eq!(idle.rest().await, "", "a connection that is idle ends");
    soon("the node's end", stopped).await.unwrap();
    // Everybody left: nothing is waited for.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // A page of it is good as long as somebody answers.
    TestNode::call_at(address, "GET", &format!("{ORDERS}?after={cursor}")).await.ok();
}

/// A publisher whose body pauses waits for the answer as long as the node waits for the body.
#[tokio::test]
async fn a_body_that_pauses_is_answered() {
    let node = plan().set("limits.body_idle = \"10m\"\nshutdown_grace = \"1m\"").run().await;
    let mut stream = begun(&node, ORDERS, "application/x-ndjson", "1\n2\n3").await;
    let mut events = begun(&node, ORDERS, "text/event-stream", "data: 4\n\ndata: 5\n").await;
    let mut single = begun(&node, ORDERS, "text/plain", "half of").await;
    let mut none = begun(&node, ORDERS, "text/plain", "").await;
    let mut batch = begun(&node, "/v1/publish", "application/json", "{\"messages\":").await;
    stored(&node, 3).await;
    let page = node.get(ORDERS).await.ok().json();
    let of = |data: serde_json::Value| {
        let message = page["messages"].as_array().unwrap().iter().find(|message| message["data"] == data);
        message.unwrap()["cursor"].clone()
    };
    let (second, fourth) = (of(json!(2)), of(json!("4")));
    let began = Instant::now();
    let stopped = tokio::spawn(node.node.stop());
    let problem = stream.reply("POST").await.problem(503, "draining");
    assert_eq!((&problem["published"], &problem["cursor"]), (&json!(2), &second));
    let problem = events.reply("POST").await.problem(503, "draining");
    assert_eq!((&problem["published"], &problem["cursor"]), (&json!(1), &fourth));
    for raw in [&mut single, &mut none, &mut batch] {
        let refused = raw.reply("POST").await;
        assert_eq!(refused.problem(503, "draining")["stored"], false);
        assert!(!refused.header("retry-after").is_empty());
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    drop((stream, events, single, none, batch));
    soon("the node's end", stopped).await.unwrap();
}

/// Peers that never answer a close, never read, never finish a head.
async fn awkward(address: std::net::SocketAddr) -> Vec<Raw> {
    let mut peers = vec![mute(address).await];
    // More than its socket takes, so that nothing more can be written to it.
    let mut raw = Raw::connect(address).await;
    raw.send(upgrade(&format!("{ORDERS}?after=earliest"))).await;
    peers.push(raw);
    for accept in ["text/event-stream", "*/*"] {
        let mut raw = Raw::connect(address).await;
        raw.send(format!("GET {ORDERS}?after=earliest HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n"))
            .await;
        peers.push(raw);
    }
    for begun in ["", "GET /v1", "GET /healthz HTTP/1.1\r\n"] {
        let mut raw = Raw::connect(address).await;
        raw.send(begun).await;
        peers.push(raw);
    }
    sleep(Duration::from_millis(300)).await;
    peers
}

#[tokio::test]
async fn it_exits_in_time_whatever_its_peers_do() {
    let mut node = Process::start(plan().set("shutdown_grace = \"1s\"")).await;
    let large = vec![b'x'; 1 << 20];
    for _ in 0..16 {
        node.call("POST", ORDERS).bearer(KEY).body(large.clone()).await.ok();
    }
    let peers = awkward(node.address).await;
    let began = Instant::now();
    node.terminate();
    let status = node.ended().await;
    assert_eq!(status.code(), Some(0), "{status}");
    assert!(began.elapsed() < Duration::from_millis(2_500), "{:?}", began.elapsed());
    assert!(node.log().contains("did not leave within shutdown_grace"), "{}", node.log());
    drop(peers);
}

#[tokio::test]
async fn a_node_without_clients_exits_at_once() {
    let mut node = Process::start(plan()).await;
    node.call("GET", "/readyz").await.ok();
    let began = Instant::now();
    node.terminate();
    assert_eq!(node.ended().await.code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn operations_have_a_listener_of_their_own() {
    let node = plan().set("ops_listen = \"127.0.0.1:0\"").run().await;
    node.publish("orders:1", 1).await;
    let ops = |path| TestNode::call_at(node.node.ops_address().unwrap(), "GET", path);
    let measures = ops("/metrics").await.ok();
    assert!(measures.header("content-type").starts_with("application/openmetrics-text"));
    assert!(measures.body.contains("tidings_published_total{namespace=\"orders\"} 1"), "{}", measures.body);
    assert_eq!(ops("/healthz").await.ok().json(), json!({ "status": "ok" }));
    assert_eq!(ops("/readyz").await.ok().json(), json!({ "status": "ok" }));
    // No channel is served there, nor is a key asked for or looked at.
    for path in [ORDERS, "/v1/subscribe?channel=orders:1", "/v1/publish", "/"] {
        ops(path).await.problem(404, "not-found");
    }
    ops("/metrics").bearer("bad").await.ok();
    // The other one asks for a key, as ever.
    node.get("/metrics").await.problem(401, "no-credentials");
    node.get("/metrics").bearer("bad").await.problem(401, "bad-token");
    node.get(&format!("/metrics?token={KEY}")).await.problem(401, "no-credentials");
    node.get("/metrics").bearer(KEY).await.ok();
}
