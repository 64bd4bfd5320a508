//! The life of a channel: made by name, closed, deleted; and what readers are told on every transport.

use serde_json::{Value, json};

use crate::node::{Call, TestNode, now_ms, sign};
use crate::raw::soon;

const CHANNEL: &str = "/v1/channels/orders:1";

async fn node() -> TestNode {
    TestNode::new()
        .namespace("orders", |n| n.set("publish = \"user\""))
        .namespace("named", |n| n.set("create = \"explicit\""))
        .run()
        .await
}

fn close(node: &TestNode) -> Call {
    node.post(&format!("{CHANNEL}?close"))
}

fn cursor(value: &Value) -> String {
    value["cursor"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_transport_tells_the_end_once() {
    let node = node().await;
    let before = node.publish("orders:1", "a").await;
    let mut stream = node.sse(CHANNEL).await;
    stream.block().await;
    let mut socket = node.socket(CHANNEL).await;
    socket.frame_with("subscribed").await;
    let mut session = node.connect(None).await;
    session.subscribe("orders:1").await;
    session.subscribe("orders:2").await;
    let mut held = node.raw().await;
    held.send(format!("GET {CHANNEL}?after={before}&wait=60 HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    node.reading(4).await;
    let receipt = close(&node).text("b").await.ok().json();
    let (message, end) = (cursor(&receipt), cursor(&receipt["end"]));
    assert_eq!(receipt["end"]["channel"], "orders:1");
    assert_ne!(message, end);

    let rest = soon("the end", stream.rest()).await;
    let told =
        format!("event: tidings.end\nid: {end}\ndata: {{\"channel\":\"orders:1\",\"cursor\":\"{end}\"}}\n\n");
    assert!(rest.contains("data: b\n") && rest.ends_with(&told), "{rest}");
    assert_eq!(socket.frame_with("data").await["data"], "b");
    let told = json!({ "end": { "channel": "orders:1", "cursor": end }, "cursor": end });
    assert_eq!(socket.frame().await, told);
    assert_eq!(socket.closed().await, (1000, json!({ "code": "channel-closed" })));
    let page = held.reply("GET").await.ok().json();
    assert_eq!(page["messages"][0]["data"], "b");
    // A session goes on with what else it reads, and may ask for the channel again.
    assert_eq!(session.frame_with("end").await, told);
    node.publish("orders:2", "c").await;
    assert_eq!(session.frame_with("data").await["data"], "c");
    assert!(session.subscribe("orders:1").await.get("subscribed").is_some());
    assert_eq!(session.frame_with("end").await, told);
}

#[tokio::test]
async fn who_comes_back_after_the_end_is_told_to_stop() {
    let node = node().await;
    let stored = node.publish("orders:1", "a").await;
    let end = cursor(&close(&node).await.ok().json()["end"].clone());
    let stream = |query: &str| node.get(&format!("{CHANNEL}{query}")).header("accept", "text/event-stream");
    // The status with which a native EventSource stops.
    let over = stream("").header("last-event-id", &end).await;
    assert_eq!((over.head.status, over.head.header("content-type")), (204, None));
    assert_eq!(stream(&format!("?after={end}")).await.head.status, 204);
    // Whoever was not told yet is told first.
    for request in [stream(""), stream(&format!("?after={stored}"))] {
        let text = request.await.ok().body;
        assert!(text.contains("event: tidings.end\n") && text.contains(&format!("id: {end}\n")), "{text}");
    }
    let page = node.get(&format!("{CHANNEL}?after={stored}")).await.ok();
    let told = json!([{ "channel": "orders:1", "cursor": end }]);
    let body = page.json();
    assert_eq!((&body["messages"], &body["ended"], &body["cursor"]), (&json!([]), &told, &json!(end)));
    // A long-poll is not held for what never comes.
    for after in [&stored, &end] {
        let page = soon("the page", node.get(&format!("{CHANNEL}?after={after}&wait=60")).into_future())
            .await
            .ok()
            .json();
        assert_eq!(page["ended"], told);
    }
    // Beside a channel that lives it is held, once the end is known.
    let both = format!("/v1/subscribe?channel=orders:1&channel=orders:2&after={end}");
    let begun = tokio::time::Instant::now();
    let page = node.get(&format!("{both}&wait=1")).await.ok().json();
    assert!(begun.elapsed().as_millis() >= 900);
    assert_eq!((&page["messages"], &page["ended"]), (&json!([]), &told));
    let mut socket = node.socket(&format!("{CHANNEL}?after={end}")).await;
    socket.frame_with("end").await;
    assert_eq!(socket.closed().await.0, 1000);
}

#[tokio::test]
async fn nothing_is_published_after_the_end() {
    let node = node().await;
    let lines = node.post(&format!("{CHANNEL}?close=true")).header("content-type", "application/x-ndjson");
    let tally = lines.header("idempotency-key", "s").body("1\n2\n3\n").await.ok().json();
    assert_eq!(tally["published"], 3);
    let end = cursor(&tally["end"]);
    let problem = node.post(CHANNEL).text("x").await.problem(409, "channel-closed");
    assert_eq!((&problem["cursor"], &problem["stored"]), (&json!(end), &json!(false)));
    let batch =
        json!({ "messages": [{ "channel": "orders:1", "data": 1 }, { "channel": "orders:2", "data": 2 }] });
    let results = node.post("/v1/publish").json(&batch).await.ok().json();
    assert_eq!(results["results"][0]["error"]["code"], "channel-closed");
    assert_eq!(results["results"][1]["channel"], "orders:2");
    // What was stored before may be sent again whole, and closed again.
    let lines = node.post(&format!("{CHANNEL}?close=true")).header("content-type", "application/x-ndjson");
    let again = lines.header("idempotency-key", "s").body("1\n2\n3\n").await.ok().json();
    assert_eq!(again, tally);
    assert_eq!(cursor(&close(&node).await.ok().json()), end);
    node.post(&format!("{CHANNEL}?close=maybe")).await.problem(400, "bad-query");
    let claims = json!({ "sub": "alice", "exp": now_ms() / 1_000 + 60 });
    let theirs = node.call("POST", &format!("{CHANNEL}?close")).bearer(&sign(&claims));
    theirs.await.problem(403, "forbidden");
}

#[tokio::test]
async fn a_broken_body_does_not_close() {
    let node = node().await;
    let lines = node.post(&format!("{CHANNEL}?close")).header("content-type", "application/x-ndjson");
    let problem = lines.body("1\nnope\n").await.problem(400, "bad-json");
    assert_eq!(problem["published"], 1);
    node.publish("orders:1", "more").await;
}

#[tokio::test]
async fn a_channel_is_made_by_name() {
    let node = node().await;
    let path = "/v1/channels/named:1";
    node.post(path).text("x").await.problem(404, "unknown-channel");
    node.get(path).await.problem(404, "unknown-channel");
    node.get(path).header("accept", "text/event-stream").await.problem(404, "unknown-channel");
    let terms = json!({ "retain": { "messages": 2 }, "ttl": "1h" });
    let made = node.call("PUT", path).bearer(crate::node::KEY).json(&terms).await;
    assert_eq!(made.head.status, 201);
    assert_eq!((&made.json()["created"], &made.json()["closed"]), (&json!(true), &json!(false)));
    for data in ["a", "b", "c"] {
        node.publish("named:1", data).await;
    }
    let page = node.get(path).await.ok().json();
    assert_eq!(page["messages"].as_array().unwrap().len(), 2);
    let other = node.call("PUT", path).bearer(crate::node::KEY).await.ok().json();
    assert_eq!((&other["created"], &other["cursor"]), (&json!(false), &page["cursor"]));
    for (body, code) in
        [("{\"ttl\":\"1ms\"}", "bad-terms"), ("nope", "bad-terms"), ("{\"x\":1}", "bad-terms")]
    {
        node.call("PUT", path).bearer(crate::node::KEY).body(body).await.problem(400, code);
    }
    let claims = json!({ "sub": "alice", "exp": now_ms() / 1_000 + 60 });
    for method in ["PUT", "DELETE"] {
        node.call(method, path).await.problem(401, "no-credentials");
        node.call(method, path).bearer(&sign(&claims)).await.problem(403, "forbidden");
    }
}

#[tokio::test]
async fn deleting_tells_readers_by_a_gap() {
    let node = node().await;
    let delete = || node.call("DELETE", CHANNEL).bearer(crate::node::KEY);
    delete().await.problem(404, "unknown-channel");
    let stored = node.publish("orders:1", "a").await;
    close(&node).await.ok();
    let mut socket = node.socket("/v1/subscribe?channel=orders:1&channel=orders:2&after=earliest").await;
    socket.frame_with("end").await;
    assert_eq!(delete().await.head.status, 204);
    let page = node.get(&format!("{CHANNEL}?after={stored}")).await.ok().json();
    assert_eq!(
        (&page["gap"]["why"], &page["messages"], page.get("ended")),
        (&json!("epoch"), &json!([]), None)
    );
    let mut live = node.socket(CHANNEL).await;
    live.frame_with("subscribed").await;
    node.publish("orders:1", "b").await;
    assert_eq!(live.frame_with("data").await["data"], "b");
    assert_eq!(delete().await.head.status, 204);
    assert_eq!(live.frame_with("gap").await["gap"]["why"], "epoch");
    node.publish("orders:1", "c").await;
    assert_eq!(live.frame_with("data").await["data"], "c");
}

#[tokio::test]
async fn the_terminal_client_stops_at_the_end() {
    let node = node().await;
    node.publish("orders:1", "a").await;
    close(&node).text("b").await.ok();
    for transport in tidings::client::Transport::ALL {
        let mut reader = node.reader(transport, &["orders:1"], tidings::client::Start::Earliest, None);
        let (mut data, mut ends) = (0, 0);
        loop {
            match soon("an item", reader.next()).await {
                tidings::client::Item::Message(_) => data += 1,
                tidings::client::Item::Closed(_) => ends += 1,
                tidings::client::Item::End => break,
                tidings::client::Item::Gap(gap) => panic!("{gap:?}"),
                tidings::client::Item::Status(_) => {}
            }
        }
        assert_eq!((data, ends), (2, 1), "{transport:?}");
    }
}
