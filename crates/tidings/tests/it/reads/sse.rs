//! Event streams, byte by byte.

use serde_json::{Value, json};

use crate::node::{KEY, TestNode};
use crate::raw::Raw;

const ORDERS: &str = "/v1/channels/orders:1";

fn request(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{headers}\r\n")
}

/// The lines of a first block: the delay, the time of the server, the cursor.
fn first(block: &str) -> (u64, u64, String) {
    let lines: Vec<_> = block.lines().collect();
    let [retry, comment, id] = lines[..] else { panic!("{block}") };
    let number = |text: &str, before: &str| text.strip_prefix(before).unwrap().parse().unwrap();
    (number(retry, "retry: "), number(comment, ": tidings "), id.strip_prefix("id: ").unwrap().to_owned())
}

#[tokio::test]
async fn the_head_and_the_first_block() {
    let node = TestNode::usual().await;
    let mut raw = node.raw().await;
    raw.send(request(ORDERS, "")).await;
    let head = raw.head().await;
    assert!(head.text.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    assert_eq!(head.header("cache-control"), Some("no-cache"));
    assert_eq!(head.header("vary"), Some("Accept, Authorization, Last-Event-ID"));
    assert_eq!(head.header("x-accel-buffering"), Some("no"));
    assert_eq!(head.header("tidings-delivery"), Some("at-least-once"));
    assert_eq!(head.header("content-length"), None);
    let date = head.header("date").unwrap();
    assert!(date.ends_with(" GMT") && date.len() == 29, "{date}");
    let (retry, time, cursor) = first(&raw.block().await);
    assert!(retry > 0 && cursor.len() == 32);
    assert!(time.abs_diff(crate::node::now_ms()) < 5_000);
    // A1: it is a place to resume from, in a channel that never had a message.
    node.publish("orders:1", 1).await;
    let mut again = node.sse(&format!("{ORDERS}?after={cursor}")).await;
    again.block().await;
    assert!(again.event().await.ends_with("\ndata: 1"));
}

#[tokio::test]
async fn the_exact_forms_of_data() {
    let node = TestNode::usual().await;
    let mut one = node.sse(ORDERS).await;
    let mut full = node.sse("/v1/subscribe?channel=orders:1").await;
    one.block().await;
    full.block().await;
    let post = |kind: &str| node.post(&format!("{ORDERS}?event=e")).header("content-type", kind);
    let cursor = |reply: crate::raw::Reply| reply.ok().text("cursor");
    let id = cursor(post("application/json").body("\"a\"").await);
    assert_eq!(one.block().await, format!("id: {id}\nevent: e\ndata: \"a\""));
    let id = cursor(post("application/json").body("{\n \"a\": 1\r\n}").await);
    assert_eq!(one.block().await, format!("id: {id}\nevent: e\ndata: {{\ndata:  \"a\": 1\ndata: }}"));
    let id = cursor(post("text/plain").body("a\nb\r\nc\rd\n").await);
    assert_eq!(one.block().await, format!("id: {id}\nevent: e\ndata: a\ndata: b\ndata: c\ndata: d\ndata: "));
    let id = cursor(post("image/png").body([0, 255, 10]).await);
    assert_eq!(one.block().await, format!("id: {id}\nevent: e\ndata: AP8K"));
    let id = cursor(node.post(ORDERS).text("").await);
    assert_eq!(one.block().await, format!("id: {id}\ndata: "), "no `event:` for `message`");
    let id = cursor(node.post(&format!("{ORDERS}?event=message")).text("x").await);
    assert_eq!(one.block().await, format!("id: {id}\ndata: x"));

    let mut messages = Vec::new();
    while messages.len() < 6 {
        let block = full.event().await;
        let data: Vec<_> = block.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        messages.push((block.clone(), serde_json::from_str::<Value>(&data.join("\n")).unwrap()));
    }
    assert!(messages[0].0.contains("event: e\n"));
    assert_eq!(messages[1].1["data"], json!({"a": 1}));
    assert_eq!(messages[2].1["data"], "a\nb\r\nc\rd\n");
    assert_eq!((&messages[3].1["data"], &messages[3].1["encoding"]), (&json!("AP8K"), &json!("base64")));
    assert_eq!(messages[4].1["event"], "message");
    assert_eq!(messages[5].1["cursor"], id);
    assert!(messages[5].0.contains(&format!("id: {id}\n")), "of one channel, the composite is its cursor");
}

#[tokio::test]
async fn a_gap_is_an_event_with_the_cursor_to_go_on_from() {
    let node = TestNode::new().namespace("orders", |n| n.retain(2)).run().await;
    let first_cursor = node.publish("orders:1", 0).await;
    for n in 1..5 {
        node.publish("orders:1", n).await;
    }
    let mut stream = node.sse(&format!("{ORDERS}?after={first_cursor}")).await;
    let (_, _, at) = first(&stream.block().await);
    assert_eq!(at, first_cursor, "before the gap");
    let gap = stream.block().await;
    let lines: Vec<_> = gap.lines().collect();
    assert_eq!(lines[0], "event: tidings.gap");
    let report: Value = serde_json::from_str(lines[2].strip_prefix("data: ").unwrap()).unwrap();
    let until = lines[1].strip_prefix("id: ").unwrap();
    assert_eq!(
        report,
        json!({"channel": "orders:1", "after": first_cursor, "until": until, "why": "expired", "missed": 2})
    );
    assert!(stream.block().await.ends_with("data: 3"));
}

/// A8, 21b.
#[tokio::test]
async fn last_event_id_beats_after_and_is_never_refused() {
    let node = TestNode::usual().await;
    let cursor = node.publish("orders:1", 1).await;
    node.publish("orders:1", 2).await;
    let open = async |target: &str, id: &str| -> Raw {
        let mut raw = node.raw().await;
        raw.send(request(target, &format!("Last-Event-ID: {id}\r\n"))).await;
        assert_eq!(raw.head().await.status, 200);
        raw.block().await;
        raw
    };
    let mut stream = open(&format!("{ORDERS}?after=latest"), &cursor).await;
    assert!(stream.event().await.ends_with("data: 2"));
    let mut stream = open(&format!("{ORDERS}?after=earliest"), "").await;
    assert!(stream.event().await.ends_with("data: 1"), "an empty one is none");
    for unreadable in ["nonsense", "\u{fc}", &"A".repeat(32), &"A".repeat(5_000)] {
        let mut stream = open(ORDERS, unreadable).await;
        let gap = stream.event().await;
        let data = gap.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        let gap: Value = serde_json::from_str(data).unwrap();
        assert_eq!(
            (&gap["why"], &gap["after"], &gap["missed"]),
            (&json!("epoch"), &Value::Null, &Value::Null)
        );
        assert!(stream.event().await.ends_with("data: 1"), "then everything kept");
        // Cut between the first block and the gap: the id that the browser kept finds the gap again.
        let mut cut = node.raw().await;
        cut.send(request(ORDERS, &format!("Last-Event-ID: {unreadable}\r\n"))).await;
        cut.head().await;
        let (_, _, kept) = first(&cut.block().await);
        drop(cut);
        let again = open(ORDERS, &kept).await.event().await;
        assert!(again.starts_with("event: tidings.gap\n") && again.contains(r#""after":null"#), "{again}");
    }
    let refused = node.get(&format!("{ORDERS}?after=nonsense")).header("accept", "text/event-stream").await;
    refused.problem(400, "bad-cursor");
    // On the other transports it says nothing.
    let page = node.get(ORDERS).header("last-event-id", &cursor).await.ok();
    assert_eq!(page.json()["messages"].as_array().unwrap().len(), 2);
}

/// 21b: what passes by itself is a 200 with one block, and the end.
#[tokio::test]
async fn a_draining_node_sends_streams_away_with_a_200() {
    let node = TestNode::new().namespace("orders", |n| n).set("shutdown_grace = \"5s\"").run().await;
    let cursor = node.publish("orders:1", 1).await;
    // Someone keeps the node from being gone.
    let mut open = node.sse(ORDERS).await;
    open.block().await;
    let address = node.address;
    let mut stopping = tokio::spawn(node.node.stop());
    let block = open.block().await;
    assert!(block.starts_with("retry: ") && block.ends_with(&format!("\nid: {cursor}")), "{block}");
    for (target, headers, id) in [
        (ORDERS.to_owned(), format!("Last-Event-ID: {cursor}\r\n"), Some(cursor.clone())),
        (format!("{ORDERS}?after={cursor}"), String::new(), Some(cursor.clone())),
        (ORDERS.to_owned(), String::new(), None),
        (format!("{ORDERS}?after=latest"), String::new(), None),
        (format!("{ORDERS}?after=earliest"), String::new(), None),
    ] {
        let mut raw = Raw::connect(address).await;
        raw.send(request(&target, &headers)).await;
        let reply = raw.reply("GET").await.ok();
        assert_eq!(reply.header("content-type"), "text/event-stream");
        assert_eq!(reply.header("tidings-delivery"), "at-least-once", "A2: every read states it");
        assert_eq!(reply.header("cache-control"), "no-cache");
        let ids: Vec<_> = reply.body.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
        assert_eq!(ids, Vec::from_iter(id.as_deref()), "{target}: a word such as `latest` is no cursor");
        let retry = reply.body.lines().find_map(|line| line.strip_prefix("retry: ")).unwrap();
        assert!((1_000..=10_000).contains(&retry.parse::<u64>().unwrap()), "{retry}");
        assert!(reply.body.ends_with("\n\n") && reply.body.matches("\n\n").count() == 1, "{:?}", reply.body);
    }
    assert_eq!(open.rest().await, "");
    crate::raw::soon("stop", &mut stopping).await.unwrap();
}

/// C17: `text/event-stream` must be named, with a quality above zero.
#[tokio::test]
async fn only_who_names_it_gets_a_stream() {
    let node = TestNode::usual().await;
    for accept in ["*/*", "text/*", "text/event-stream;q=0", "application/json"] {
        assert_eq!(
            node.get(ORDERS).header("accept", accept).await.ok().header("content-type"),
            "application/json"
        );
    }
    for accept in ["text/html, text/event-stream;q=0.2", "TEXT/EVENT-STREAM"] {
        let mut raw = node.raw().await;
        raw.send(format!("GET {ORDERS}?wait=nonsense HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n")).await;
        assert_eq!(raw.head().await.header("content-type"), Some("text/event-stream"));
    }
}

#[tokio::test]
async fn a_limit_ends_the_body() {
    let node = TestNode::usual().await;
    for n in 0..3 {
        node.publish("orders:1", n).await;
    }
    for (target, id) in [(ORDERS, true), ("/v1/subscribe?channel=orders:1&channel=ticks:1", false)] {
        let join = if target.contains('?') { '&' } else { '?' };
        let mut stream = node.sse(&format!("{target}{join}after=earliest&limit=4")).await;
        stream.block().await;
        for _ in 0..3 {
            stream.event().await;
        }
        node.publish("orders:1", 3).await;
        let last = stream.event().await;
        assert!(id == last.ends_with("data: 3") && last.contains("id: "), "the last has the cursor: {last}");
        assert_eq!(stream.rest().await, "");
        node.publish("orders:1", 4).await;
    }
}

#[tokio::test]
async fn an_idle_stream_shows_life() {
    let node = TestNode::new().namespace("orders", |n| n).set("heartbeat = \"1s\"").run().await;
    let mut stream = node.sse(ORDERS).await;
    stream.block().await;
    assert_eq!(stream.block().await, ":");
    assert_eq!(stream.block().await, ":");
}

/// A5: one composite beside the items.
#[tokio::test]
async fn several_channels_have_one_id() {
    let node = TestNode::usual().await;
    let mut stream = node.sse("/v1/subscribe?channel=orders:1&channel=ticks:1").await;
    let (_, _, start) = first(&stream.block().await);
    assert_eq!(start.len(), 64);
    let cursor = node.publish("orders:1", 1).await;
    let event = stream.event().await;
    assert_eq!(event.lines().next().unwrap(), format!("id: {cursor}{}", &start[32..]));
    let cursor2 = node.publish("ticks:1", 2).await;
    let event = stream.event().await;
    assert_eq!(event.lines().next().unwrap(), format!("id: {cursor}{cursor2}"));
    let refused =
        node.get("/v1/subscribe?channel=orders:1").bearer("no").header("accept", "text/event-stream");
    refused.await.problem(401, "bad-token");
    assert_eq!(node.get(ORDERS).bearer(KEY).await.status, 200);
}
