//! Publishing over HTTP (contract D and E): forms of a body, names, limits, retries, and what is refused.

use serde_json::{Value, json};

use crate::node::{KEY, TestNode, token};

const ORDERS: &str = "/v1/channels/orders:1";

/// The data of all that a channel keeps.
async fn kept(node: &TestNode, channel: &str) -> Vec<Value> {
    let page = node.get(&format!("/v1/channels/{channel}?limit=1000")).await.ok().json();
    page["messages"].as_array().unwrap().iter().map(|message| message["data"].clone()).collect()
}

#[tokio::test]
async fn a_receipt_has_the_cursor_that_readers_get() {
    let node = TestNode::usual().await;
    let receipt = node.post(ORDERS).json(&json!({"a": 1})).await.ok();
    assert_eq!(receipt.header("content-type"), "application/json");
    let receipt = receipt.json();
    assert_eq!(receipt["channel"], "orders:1");
    assert_eq!(receipt["duplicate"], false);
    let page = node.get(ORDERS).await.ok().json();
    for name in ["cursor", "id", "channel"] {
        assert_eq!(page["messages"][0][name], receipt[name]);
    }
    assert_eq!(page["cursor"], receipt["cursor"]);
    assert_eq!(page["messages"][0]["event"], "message");
}

#[tokio::test]
async fn the_content_type_says_what_the_data_is() {
    let node = TestNode::usual().await;
    for kind in
        ["application/json", "application/merge-patch+json", "model/gltf+json; x=y", "APPLICATION/JSON"]
    {
        node.post(ORDERS).header("content-type", kind).body("[1]").await.ok();
        let last = node.get(&format!("{ORDERS}?last=1")).await.json();
        assert_eq!(last["messages"][0]["data"], json!([1]), "{kind}");
    }
    let bytes = node.post(ORDERS).header("content-type", "image/png").body("x");
    bytes.await.ok();
    let last = node.get(&format!("{ORDERS}?last=1")).await.json();
    assert_eq!(last["messages"][0]["data"], "eA==");
    assert_eq!(last["messages"][0]["encoding"], "base64");
    // An empty body is data of no length, where the kind has such.
    node.post(ORDERS).await.ok();
    node.post(ORDERS).text("").await.ok();
    let before = kept(&node, "orders:1").await.len();
    for wrong in ["", "{", "nul", "1 2", "{'a':1}", "\"\u{1}\""] {
        let refused = node.post(ORDERS).header("content-type", "application/json").body(wrong).await;
        refused.problem(400, "bad-json");
    }
    node.post(ORDERS)
        .header("content-type", "application/json")
        .body([b'"', 0xff, b'"'])
        .await
        .problem(400, "bad-json");
    node.post(ORDERS).header("content-type", "text/plain").body([0xff]).await.problem(400, "bad-text");
    assert_eq!(kept(&node, "orders:1").await.len(), before);
}

/// D27.
#[tokio::test]
async fn names_come_by_query_or_header_and_have_rules() {
    let node = TestNode::usual().await;
    let named = node.post(&format!("{ORDERS}?event=%C3%BC%20x")).header("tidings-event", "other");
    named.header("tidings-key", "k\u{e9}").text("x").await.ok();
    let message = node.get(ORDERS).await.json()["messages"][0].clone();
    assert_eq!((&message["event"], &message["key"]), (&json!("ü x"), &json!("k\u{e9}")));

    for event in ["tidings.gap", "tidings.", "a%0Ab", "a%0Db", "a%00b", &"x".repeat(129)] {
        node.post(&format!("{ORDERS}?event={event}")).text("x").await.problem(400, "bad-event");
    }
    node.post(ORDERS).header("tidings-event", "tidings.x").text("x").await.problem(400, "bad-event");
    node.post(&format!("{ORDERS}?event={}", "x".repeat(128))).text("x").await.ok();
    node.post(&format!("{ORDERS}?event=tidings")).text("x").await.ok();
    node.post(&format!("{ORDERS}?key={}", "x".repeat(256))).text("x").await.problem(400, "bad-key");
    node.post(&format!("{ORDERS}?key={}", "x".repeat(255))).text("x").await.ok();
    for id in ["", "\u{fc}", &"x".repeat(256)] {
        node.post(ORDERS).header("idempotency-key", id).text("x").await.problem(400, "bad-id");
    }
    node.post(&format!("{ORDERS}?event=a&event=b")).text("x").await.problem(400, "bad-query");
}

/// E30, E31: the first body wins, in its channel, within the window.
#[tokio::test]
async fn a_retry_with_the_same_key_is_stored_once() {
    let node = TestNode::new().namespace("orders", |n| n.set("dedupe = \"400ms\"")).run().await;
    let post = |channel: &str, body: &str| {
        node.post(&format!("/v1/channels/{channel}")).header("idempotency-key", "the key").text(body)
    };
    let first = post("orders:1", "a").await.ok().json();
    assert_eq!((&first["id"], &first["duplicate"]), (&json!("the key"), &json!(false)));
    let again = post("orders:1", "b").await.ok().json();
    assert_eq!((&again["cursor"], &again["id"]), (&first["cursor"], &first["id"]));
    assert_eq!(again["duplicate"], true);
    assert_eq!(post("orders:2", "c").await.ok().json()["duplicate"], false, "the scope is the channel");
    tokio::time::sleep(std::time::Duration::from_millis(450)).await;
    assert_eq!(post("orders:1", "d").await.ok().json()["duplicate"], false, "the window is over");
    assert_eq!(kept(&node, "orders:1").await, ["a", "d"]);
}

#[tokio::test]
async fn many_retries_at_once_are_one() {
    let node = TestNode::usual().await;
    let tries = (0..20).map(|_| async {
        node.post(ORDERS).header("idempotency-key", "k").text("x").await.ok().json()["cursor"].clone()
    });
    let cursors = futures_util::future::join_all(tries).await;
    assert!(cursors.iter().all(|cursor| *cursor == cursors[0]));
    assert_eq!(kept(&node, "orders:1").await.len(), 1);
}

/// E33.
#[tokio::test]
async fn lines_are_messages_and_a_cut_stream_may_be_sent_again_whole() {
    let node = TestNode::usual().await;
    let lines = |body: &str| {
        let post = node.post(&format!("{ORDERS}?event=e&key=k")).header("idempotency-key", "s");
        post.header("content-type", "application/x-ndjson").body(body)
    };
    let cut = lines("{\"n\":0}\r\n\n \n1\nnonsense\n3\n").await;
    let problem = cut.problem(400, "bad-json");
    assert_eq!(problem["published"], 2, "E35: it says how many were stored");
    let whole = lines("{\"n\":0}\n1\n2\n3").await.ok().json();
    assert_eq!(whole["published"], 4);
    assert_ne!(whole["cursor"], problem["cursor"]);
    assert_eq!(kept(&node, "orders:1").await, [json!({"n": 0}), json!(1), json!(2), json!(3)]);
    let page = node.get(ORDERS).await.json();
    assert_eq!(page["messages"][3]["id"], "s/3");
    assert_eq!((&page["messages"][3]["event"], &page["messages"][3]["key"]), (&json!("e"), &json!("k")));
    assert_eq!(page["cursor"], whole["cursor"]);
    let again = lines("{\"n\":0}\n1\n2\n3").await.ok().json();
    assert_eq!((&again["published"], &again["cursor"]), (&json!(4), &whole["cursor"]));
    let none = node.post(ORDERS).header("content-type", "application/x-ndjson").body("\n\n").await.ok();
    assert_eq!(none.json(), json!({"published": 0, "cursor": null}));
}

/// E31: an id is unique in its channel, whether it came alone or in a stream.
#[tokio::test]
async fn an_id_is_the_same_message_alone_and_in_a_stream() {
    let node = TestNode::usual().await;
    let alone = async |id: &str| {
        let reply = node.post(ORDERS).header("idempotency-key", id).text(id).await.ok().json();
        (reply["duplicate"].as_bool().unwrap(), reply["cursor"].clone())
    };
    let stream = async |count: usize| {
        let post =
            node.post(ORDERS).header("idempotency-key", "s").header("content-type", "application/x-ndjson");
        post.body((0..count).map(|n| format!("{n}\n")).collect::<String>()).await.ok().json()
    };
    // The key of the stream is not the id of a message.
    assert!(!alone("s").await.0);
    let first = stream(3).await;
    assert_eq!(first["published"], 3);
    assert_eq!(alone("s/2").await, (true, first["cursor"].clone()));
    assert!(!alone("s/3").await.0);
    assert!(alone("s").await.0);
    // Sent again with more: the fourth came alone.
    assert_eq!(stream(5).await["published"], 5);
    assert_eq!(
        kept(&node, "orders:1").await,
        [json!("s"), json!(0), json!(1), json!(2), json!("s/3"), json!(4)]
    );
    let page = node.get(ORDERS).await.json();
    let ids: Vec<_> = page["messages"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    assert_eq!(ids, ["s", "s/0", "s/1", "s/2", "s/3", "s/4"]);
}

/// A retry is answered however full the table of keys is: it adds none.
#[tokio::test]
async fn a_retry_is_known_when_the_keys_are_full() {
    let node = TestNode::new().namespace("orders", |n| n).set("[limits]\nidempotency_keys = 2").run().await;
    let keyed = |key: &str| node.post(ORDERS).header("idempotency-key", key);
    let first = keyed("a").text("1").await.ok().json();
    let lines = || keyed("s").header("content-type", "application/x-ndjson").body("1\n2\n");
    assert_eq!(lines().await.ok().json()["published"], 2);
    let full = keyed("b").text("3").await;
    let problem = full.problem(503, "idempotency-full");
    assert_eq!(problem["stored"], false);
    assert!(full.head.header("retry-after").is_some());
    let again = keyed("a").text("1").await.ok().json();
    assert_eq!((&again["duplicate"], &again["cursor"]), (&json!(true), &first["cursor"]));
    assert_eq!(lines().await.ok().json()["published"], 2);
    let batch = json!({"messages": [
        {"channel": "orders:1", "data": 1, "id": "a"}, {"channel": "orders:1", "data": 2},
        {"channel": "orders:1", "data": 3, "id": "c"}, {"channel": "orders:1", "data": 4}]});
    let results = node.post("/v1/publish").json(&batch).await.ok().json()["results"].clone();
    assert_eq!((&results[0]["duplicate"], &results[1]["duplicate"]), (&json!(true), &json!(false)));
    assert_eq!(results[2]["error"]["code"], "idempotency-full");
    // Order is kept: what follows the refused one of its channel is not stored before it.
    assert_eq!(results[3]["error"]["code"], "idempotency-full");
    node.post(ORDERS).text("without a key").await.ok();
}

/// E34: a model's token stream, piped in as it is.
#[tokio::test]
async fn an_event_stream_is_a_body() {
    let node = TestNode::usual().await;
    let body = "\u{feff}: hi\nid: 7\nretry: 1\n\nevent: delta\ndata: {\"t\":\"a\"}\n\ndata: 42\n\ndata: a\ndata: b\r\n\r\n\
                data: [DONE]\n\nevent: only\n\ndata: cut off";
    let post = || node.post(&format!("{ORDERS}?event=e")).header("content-type", "text/event-stream");
    assert_eq!(post().body(body).await.ok().json()["published"], 4);
    assert_eq!(
        kept(&node, "orders:1").await,
        [json!({"t": "a"}), json!("42"), json!("a\nb"), json!("[DONE]")]
    );
    let page = node.get(ORDERS).await.json();
    let events: Vec<_> = page["messages"].as_array().unwrap().iter().map(|m| m["event"].clone()).collect();
    assert_eq!(events, ["delta", "e", "e", "e"]);
    let reserved = post().body("data: 1\n\nevent: tidings.gap\ndata: 2\n\n").await.problem(400, "bad-event");
    assert_eq!(reserved["published"], 1);
    let none = post().body("event: tidings.x\n\n").await.problem(400, "bad-event");
    assert_eq!((&none["published"], &none["cursor"]), (&json!(0), &Value::Null));
}

/// Each message of a stream is stored when it is complete, and an error says how many were.
#[tokio::test]
async fn a_body_publishes_as_it_arrives() {
    let node = TestNode::new().namespace("orders", |n| n).set("[limits]\nbody_idle = \"1s\"").run().await;
    let mut stream = node.sse(ORDERS).await;
    stream.block().await;
    let mut raw = node.raw().await;
    raw.send(format!(
        "POST {ORDERS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n\"one\"\n\r\n8\r\n\"two\"\n\"t\r\n"
    ))
    .await;
    assert!(stream.event().await.ends_with("data: \"one\""));
    assert!(stream.event().await.ends_with("data: \"two\""));
    // Then it pauses for too long.
    let problem = raw.reply("POST").await.problem(408, "body-incomplete");
    assert_eq!(problem["published"], 2);
    assert!(problem["cursor"].is_string());
    // A body that breaks off.
    let mut raw = node.raw().await;
    raw.send(format!(
        "POST {ORDERS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Type: application/x-ndjson\r\nContent-Length: 100\r\n\r\n3\n4\n5"
    ))
    .await;
    raw.finish().await;
    assert!(stream.event().await.ends_with("data: 3"));
    assert!(stream.event().await.ends_with("data: 4"));
    let problem = raw.reply("POST").await.problem(408, "body-incomplete");
    assert_eq!(problem["published"], 2);
    assert!(stream.is_quiet().await, "a line that the end cuts off is not published");
}

/// D29.
#[tokio::test]
async fn what_is_too_large_is_refused() {
    let node =
        TestNode::new().namespace("orders", |n| n).set("[limits]\nmessage_bytes = \"1KiB\"").run().await;
    node.post(ORDERS).body(vec![0; 1024]).await.ok();
    node.post(ORDERS).body(vec![0; 1025]).await.problem(413, "too-large");
    let lines = format!("1\n\"{}\"\n3\n", "x".repeat(1023));
    let post = |kind: &str| node.post(ORDERS).header("content-type", kind);
    let problem = post("application/x-ndjson").body(lines).await.problem(413, "too-large");
    assert_eq!(problem["published"], 1);
    let events = format!("data: 1\n\ndata: {}\n\n", "x".repeat(1025));
    let problem = post("text/event-stream").body(events).await.problem(413, "too-large");
    assert_eq!(problem["published"], 1);
    let events = format!("data: {0}\ndata: {0}\n\n", "x".repeat(600));
    post("text/event-stream").body(events).await.problem(413, "too-large");
    post("text/event-stream").body(format!("data: {}\n\n", "x".repeat(1024))).await.ok();
    let batch = json!({"messages": [
        {"channel": "orders:1", "data": "x".repeat(1023)}, {"channel": "orders:1", "data": "ok"}]});
    let results = node.post("/v1/publish").json(&batch).await.ok().json();
    assert_eq!(results["results"][0]["error"]["code"], "too-large");
    assert_eq!(results["results"][1]["duplicate"], false);
}

/// `from` is the user of a token; a backend has none.
#[tokio::test]
async fn a_users_message_says_from_whom_it_is() {
    let node = TestNode::new().namespace("chat", |n| n.set("publish = \"token\"")).run().await;
    let alice = token("alice", &[], &["chat:1"]);
    node.call("POST", "/v1/channels/chat:1").bearer(&alice).text("hi").await.ok();
    let spoof = json!({"messages": [{"channel": "chat:1", "data": 1, "from": "bob"}]});
    node.post("/v1/publish").json(&spoof).await.ok();
    let page = node.get("/v1/channels/chat:1").await.json();
    assert_eq!(page["messages"][0]["from"], "alice");
    assert_eq!(page["messages"][1].get("from"), None);
}
