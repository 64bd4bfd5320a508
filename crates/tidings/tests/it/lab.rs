//! The lab of a development node: lanes that count and can be cut, a publisher that is bounded.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::node::{TestNode, now_ms};
use crate::raw::{Raw, soon};

async fn lab(node: &TestNode, publish: Value) -> Value {
    let reply = node.call("POST", "/dev/lab").json(&json!({ "publish": publish })).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply.json()
}

async fn change(node: &TestNode, lab: &Value, changes: Value) -> Value {
    node.call("POST", &path(lab)).json(&changes).await.ok().json()
}

async fn status(node: &TestNode, lab: &Value) -> Value {
    node.get(&path(lab)).await.ok().json()
}

fn path(lab: &Value) -> String {
    format!("/dev/lab/{}", lab["id"].as_str().unwrap())
}

/// A connection through a lane.
async fn through(lab: &Value, lane: &str) -> Raw {
    let port = u16::try_from(lab["lanes"][lane]["port"].as_u64().unwrap()).unwrap();
    Raw::connect(([127, 0, 0, 1], port).into()).await
}

fn get(lab: &Value, more: &str) -> String {
    let channel = lab["channel"].as_str().unwrap();
    format!("GET /v1/channels/{channel} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n")
}

#[tokio::test]
async fn a_lab_publishes_numbers_and_counts_what_crosses_a_lane() {
    let node = TestNode::new().dev().run().await;
    let lab = lab(&node, json!({ "rate": 50, "bytes": 200 })).await;
    let mut stream = through(&lab, "sse").await;
    stream.send(get(&lab, "Accept: text/event-stream\r\n")).await;
    let head = stream.head().await;
    assert_eq!(head.status, 200, "{}", head.text);
    let mut last = None;
    for _ in 0..5 {
        let event = stream.event().await;
        let text = event.split_once("data: ").unwrap().1;
        assert_eq!(text.len(), 200, "{text}");
        let data: Value = serde_json::from_str(text).unwrap();
        let number = data["n"].as_u64().unwrap();
        assert!(last.is_none_or(|last| number == last + 1), "{number} after {last:?}");
        assert!((data["t"].as_f64().unwrap() / 1_000.0 - now_ms() as f64 / 1_000.0).abs() < 30.0);
        last = Some(number);
    }
    let now = status(&node, &lab).await;
    let lane = &now["lanes"]["sse"];
    assert!(now["published"].as_u64() >= last && lane["down"].as_u64() > Some(1_000), "{now}");
    assert_eq!(
        (&lane["opened"], &lane["held"], &now["lanes"]["ws"]["opened"]),
        (&json!(1), &json!(1), &json!(0))
    );
    drop(stream);
    let left = async { while status(&node, &lab).await["lanes"]["sse"]["held"] != 0 {} };
    soon("the end of the connection", left).await;
}

#[tokio::test]
async fn lanes_are_cut_darkened_buffered_and_blocked_one_by_one() {
    let node = TestNode::new().dev().run().await;
    let lab = lab(&node, json!({ "rate": 0, "bytes": 64 })).await;
    let plain = get(&lab, "");
    let (mut poll, mut ws) = (through(&lab, "poll").await, through(&lab, "ws").await);
    for raw in [&mut poll, &mut ws] {
        raw.send(&plain).await;
        assert_eq!(raw.reply("GET").await.status, 200);
    }
    change(&node, &lab, json!({ "lanes": ["poll"], "cut": true })).await;
    let cut = async { while status(&node, &lab).await["lanes"]["poll"]["held"] != 0 {} };
    soon("the cut", cut).await;
    ws.send(&plain).await;
    assert_eq!(ws.reply("GET").await.status, 200, "the other lane stands");

    let dark = change(&node, &lab, json!({ "lanes": ["ws"], "offline": true })).await;
    assert_eq!(
        (&dark["lanes"]["ws"]["offline"], &dark["lanes"]["sse"]["offline"]),
        (&json!(true), &json!(false))
    );
    ws.send(&plain).await;
    assert!(ws.is_quiet().await);
    change(&node, &lab, json!({ "offline": false })).await;
    assert_eq!(ws.reply("GET").await.status, 200, "what was sent waits, and arrives");

    change(&node, &lab, json!({ "buffer_streams": true, "block_upgrades": true })).await;
    let mut stream = through(&lab, "sse").await;
    stream.send(get(&lab, "Accept: text/event-stream\r\n")).await;
    assert!(stream.is_quiet().await);
    let mut socket = through(&lab, "ws").await;
    socket.send(crate::socket::upgrade(&format!("/v1/channels/{}", lab["channel"].as_str().unwrap()))).await;
    assert_eq!(socket.head().await.status, 400);
    change(&node, &lab, json!({ "buffer_streams": false, "block_upgrades": false })).await;
    assert_eq!(stream.head().await.status, 200);
}

#[tokio::test]
async fn pages_of_the_node_use_its_lanes_and_others_do_not() {
    let node = TestNode::new().dev().run().await;
    let lab = lab(&node, json!({ "rate": 0, "bytes": 64 })).await;
    let own = node.address.port();
    for (origin, status) in [
        (format!("http://127.0.0.1:{own}"), 200),
        (format!("http://localhost:{own}"), 200),
        ("http://localhost:3000".into(), 403),
        (format!("http://evil.test:{own}"), 403),
    ] {
        let mut raw = through(&lab, "poll").await;
        raw.send(get(&lab, &format!("Origin: {origin}\r\n"))).await;
        assert_eq!(raw.reply("GET").await.status, status, "{origin}");
    }
}

#[tokio::test]
async fn a_lab_is_bounded_and_ends_with_its_channel() {
    let node = TestNode::new().dev().run().await;
    let first = lab(&node, json!({ "rate": 5, "bytes": 64 })).await;
    for publish in [
        json!({ "rate": 201, "bytes": 64 }),
        json!({ "rate": -1, "bytes": 64 }),
        json!({ "rate": 1, "bytes": 65_537 }),
        json!({ "rate": 200, "bytes": 65_536 }),
        json!({ "rate": 1 }),
    ] {
        let changes = json!({ "publish": publish });
        node.call("POST", &path(&first)).json(&changes).await.problem(400, "bad-json");
        node.call("POST", "/dev/lab").json(&changes).await.problem(400, "bad-json");
    }
    node.call("POST", "/dev/lab").json(&json!({ "id": "../../etc" })).await.problem(400, "bad-json");
    // The same is found again, and its numbers go on.
    let again = node.call("POST", "/dev/lab").json(&json!({ "id": first["id"] })).await.json();
    assert_eq!((&again["channel"], &again["opened_ms"]), (&first["channel"], &first["opened_ms"]));
    for _ in 0..3 {
        lab(&node, json!({ "rate": 0, "bytes": 64 })).await;
    }
    node.call("POST", "/dev/lab").json(&json!({})).await.problem(503, "overloaded");
    while status(&node, &first).await["published"].as_u64() < Some(2) {
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(node.call("DELETE", &path(&first)).await.status, 204);
    node.get(&path(&first)).await.problem(404, "not-found");
    let channel = format!("/v1/channels/{}", first["channel"].as_str().unwrap());
    let gone = async { while node.get(&channel).await.ok().json()["messages"] != json!([]) {} };
    soon("the end of its channel", gone).await;
    node.call("PUT", &path(&first)).await.problem(405, "method-not-allowed");
    node.get("/dev/restart").await.problem(405, "method-not-allowed");
}

/// What was stored before goes on in a lab that is opened under its name: its numbers have no hole.
#[tokio::test]
async fn numbers_go_on_where_the_channel_ends() {
    let node = TestNode::new().dev().run().await;
    let channel = "durable:lab-00c0ffee";
    node.publish(channel, json!({ "n": 41, "t": 1.0, "pad": "" })).await;
    let opened = json!({ "id": "00c0ffee", "publish": { "rate": 50, "bytes": 64 } });
    let opened = node.call("POST", "/dev/lab").json(&opened).await.json();
    assert!(opened["published"].as_u64() >= Some(41), "{opened}");
    let newest = async {
        loop {
            let page = node.get(&format!("/v1/channels/{channel}?after=earliest&limit=2")).await.ok().json();
            if let Some(next) = page["messages"].get(1) {
                return next["data"]["n"].clone();
            }
        }
    };
    assert_eq!(soon("the next message", newest).await, 42);
}

#[tokio::test]
async fn a_node_in_production_has_no_lab() {
    let node = TestNode::usual().await;
    for (method, target) in
        [("POST", "/dev/lab"), ("GET", "/dev/lab/00c0ffee"), ("POST", "/dev/restart"), ("GET", "/lab")]
    {
        node.call(method, target).await.problem(404, "not-found");
    }
}
