//! Bodies and frames that are deep, huge, broken, or not what they say.

use serde_json::{Value, json};

use crate::node::{KEY, TestNode};

use super::{ORDERS, Witness};

/// More levels than a stack has room for.
const LEVELS: usize = 100_000;

fn deep() -> String {
    "[".repeat(LEVELS) + &"]".repeat(LEVELS)
}

/// Deep JSON is JSON: it is stored, and comes out on each transport as it went in.
#[tokio::test]
async fn deep_json_comes_back_as_it_was() {
    let node = TestNode::usual().await;
    let witness = Witness::of(&node).await;
    let mut stream = node.sse(ORDERS).await;
    let mut full = node.sse("/v1/subscribe?channel=orders:1").await;
    let mut socket = node.raw_socket(ORDERS).await;
    for raw in [&mut stream, &mut full] {
        raw.block().await;
    }
    socket.head().await;
    let deep = deep();
    let object = "{\"a\":".repeat(LEVELS) + "1" + &"}".repeat(LEVELS);
    let post =
        |kind: &str, body: String| node.post(ORDERS).header("content-type", kind).body(body.into_bytes());
    post("application/json", deep.clone()).await.ok();
    post("application/json", object.clone()).await.ok();
    post("application/x-ndjson", format!("{deep}\n{object}\n")).await.ok();
    post("text/event-stream", format!("data: {deep}\n\n")).await.ok();
    let batch = format!("{{\"messages\":[{{\"channel\":\"orders:1\",\"x\":{deep},\"data\":{deep}}}]}}");
    let answer = node.post("/v1/publish").body(batch.into_bytes()).await.ok();
    assert_eq!(answer.json()["results"][0]["duplicate"], false);
    let frame = format!("{{\"x\":{deep},\"data\":{deep}}}");
    socket.send(crate::socket::frame(1, frame.as_bytes())).await;
    socket.until("\"published\"").await;
    for expected in [&deep, &object, &deep, &object, &deep, &deep, &deep] {
        assert!(stream.event().await.ends_with(&format!("\ndata: {expected}")));
        assert!(full.event().await.ends_with(&format!(",\"data\":{expected}}}")));
    }
    let page = node.get(ORDERS).await.ok().body;
    assert_eq!(page.matches(&format!("\"data\":{deep}}}")).count(), 5);
    assert_eq!(page.matches(&format!("\"data\":{object}}}")).count(), 2);
    // Where it is not closed, or where something is built from it, it is refused.
    for (kind, body) in [
        ("application/json", "[".repeat(1_000_000)),
        ("application/json", "{\"a\":".repeat(200_000)),
        ("application/x-ndjson", "[".repeat(1_000_000)),
    ] {
        post(kind, body).await.problem(400, "bad-json");
    }
    let envelopes = [
        "[".repeat(1_000_000),
        format!("{{\"messages\":{}", "[".repeat(1_000_000)),
        format!("{{\"messages\":[{deep}],\"x\":{}", "[".repeat(100)),
    ];
    for body in envelopes {
        node.post("/v1/publish").body(body.into_bytes()).await.problem(400, "bad-batch");
    }
    let inside = node.post("/v1/publish").body(format!("{{\"messages\":[{deep}]}}").into_bytes()).await.ok();
    assert_eq!(inside.json()["results"][0]["error"]["code"], "bad-json");
    witness.lost_nothing(&node).await;
}

#[tokio::test]
async fn tokens_are_made_of_shallow_wishes() {
    let node = TestNode::new().dev().run().await;
    let wish = format!("{{\"info\":{}}}", deep());
    node.call("POST", "/dev/token").body(wish.into_bytes()).await.problem(400, "bad-json");
    node.call("POST", "/dev/token").body("[".repeat(1_000_000).into_bytes()).await.problem(400, "bad-json");
    node.get("/healthz").await.ok();
}

/// C24: JSON keeps its text, whatever the reader makes of it.
#[tokio::test]
async fn numbers_and_strings_keep_their_text() {
    let node = TestNode::usual().await;
    let digits = "9".repeat(100_000);
    let texts = [
        "1e999999",
        "-0",
        "0.1000000000000000055511151231257827",
        "1E400",
        "-1e-400",
        "123456789012345678901234567890",
        &digits,
        &format!("0.{digits}"),
        &format!("1e{digits}"),
        r#""\ud800""#,
        r#""\u0000\uffff""#,
        r#"{"a":1,"a":2,"__proto__":{}}"#,
    ];
    for text in texts {
        let post = node.post(ORDERS).header("content-type", "application/json").body(text);
        post.await.ok();
        let page = node.get(&format!("{ORDERS}?last=1")).await.ok().body;
        assert!(page.contains(&format!(",\"data\":{text}}}],")), "{}", &text[..text.len().min(50)]);
    }
    for text in ["01", "1.", ".5", "+1", "1e", "NaN", "Infinity", "0x1", "--1", "1e+", r#""\x""#, "\"\n\""] {
        let post = node.post(ORDERS).header("content-type", "application/json").body(text);
        post.await.problem(400, "bad-json");
    }
}

#[tokio::test]
async fn what_is_no_utf8_is_refused_where_text_is_meant() {
    let node = TestNode::usual().await;
    let witness = Witness::of(&node).await;
    let wrong: [&[u8]; 6] =
        [b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x28\xa1"];
    for bytes in wrong {
        let quoted = [b"\"", bytes, b"\""].concat();
        let event = [b"data: ", bytes, b"\n\n"].concat();
        let batch = [b"{\"messages\":[{\"channel\":\"orders:1\",\"data\":", &quoted[..], b"}]}"].concat();
        let post = |kind: &str, body: Vec<u8>| node.post(ORDERS).header("content-type", kind).body(body);
        post("text/plain", bytes.to_vec()).await.problem(400, "bad-text");
        post("application/json", quoted.clone()).await.problem(400, "bad-json");
        post("application/x-ndjson", quoted.clone()).await.problem(400, "bad-json");
        post("text/event-stream", event).await.problem(400, "bad-text");
        let named = [b"event: ", bytes, b"\ndata: x\n\n"].concat();
        post("text/event-stream", named).await.problem(400, "bad-event");
        node.post("/v1/publish").body(batch).await.problem(400, "bad-batch");
        post("application/octet-stream", bytes.to_vec()).await.ok();
        let escaped: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
        let named = |query: &str| node.post(&format!("{ORDERS}?{query}={escaped}")).text("x");
        named("event").await.problem(400, "bad-event");
        named("key").await.problem(400, "bad-key");
        let with = |name: &str| format!("GET {ORDERS}?{name}={escaped}");
        for (name, code) in [("after", "bad-cursor"), ("limit", "bad-query"), ("last", "bad-query")] {
            node.get(&with(name)[4..]).await.problem(400, code);
        }
        node.get(&with("wait")[4..]).await.problem(400, "bad-query");
        node.get(&with("token")[4..]).await.problem(401, "bad-token");
        node.get(&format!("/v1/subscribe?channel={escaped}")).await.problem(400, "bad-channel");
        node.get(&with("unknown")[4..]).await.ok();
    }
    // The replacement character itself is a character.
    node.post(&format!("{ORDERS}?event=%EF%BF%BD")).text("x").await.ok();
    let last = node.get(&format!("{ORDERS}?last=1")).await.ok().json();
    assert_eq!(last["messages"][0]["event"], "\u{fffd}");
    witness.lost_nothing(&node).await;
}

/// Chunks that are none end the request; what was whole before is stored, and said to be.
#[tokio::test]
async fn broken_chunks_are_told_from_a_body_that_breaks_off() {
    let node = TestNode::usual().await;
    let mut witness = Witness::of(&node).await;
    let head = format!(
        "POST {ORDERS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n1\n\r\n"
    );
    let long = format!("2;{}\r\n2\n\r\n0\r\n\r\n", "x".repeat(100_000));
    let trailers = format!("0\r\n{}\r\n", "X: y\r\n".repeat(5_000));
    let mut before = 0;
    for chunks in [
        "zz\r\n2\n\r\n0\r\n\r\n",
        "-2\r\n2\n\r\n0\r\n\r\n",
        "2\r\n2\nmore than two\r\n0\r\n\r\n",
        "fffffffffffffffff\r\n2\n",
        "\r\n2\n\r\n0\r\n\r\n",
        "2\n2\n\r\n0\r\n\r\n",
        &long,
        &trailers,
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        let mut raw = node.raw().await;
        raw.send(format!("{head}{chunks}")).await;
        let reply = raw.reply("POST").await;
        assert_eq!(reply.status, 400, "{}: {}", &chunks[..chunks.len().min(30)], reply.body);
        let problem = reply.problem(400, "bad-request");
        let published = problem["published"].as_u64().unwrap();
        assert!(published >= 1, "{problem}");
        assert!(problem["cursor"].is_string());
        before += published as usize;
        assert_eq!(raw.rest().await, "");
        let page = node.get(&format!("{ORDERS}?limit=1000")).await.ok().json();
        assert_eq!(page["messages"].as_array().unwrap().len(), before, "it says how many are stored");
    }
    witness.goes_on(&node).await;
    for cut in ["2\r\n2", "2", "", "2\r\n2\n\r\n0\r\n"] {
        let mut raw = node.raw().await;
        raw.send(format!("{head}{cut}")).await;
        raw.finish().await;
        let problem = raw.reply("POST").await.problem(408, "body-incomplete");
        assert!(problem["published"].as_u64().unwrap() >= 1);
    }
    witness.lost_nothing(&node).await;
}

/// F39: frames that are none are answered with `bad-frame`, and the connection goes on.
#[tokio::test]
async fn frames_of_every_wrong_kind() {
    let node = TestNode::usual().await;
    let witness = Witness::of(&node).await;
    let mut socket = node.socket(ORDERS).await;
    socket.frame().await;
    for text in [
        "",
        " ",
        "nonsense",
        "{",
        "}",
        "[]",
        "[null,null,null,null,null,42]",
        "null",
        "42",
        "\"text\"",
        "{}",
        "{\"id\":\"x\"}",
        "{\"data\":}",
        "{\"data\":1}{\"data\":2}",
        "{\"data\":1,\"data\":2}",
        "{\"data\":1,\"id\":7}",
        "{\"data\":1,\"id\":null,\"event\":[]}",
        "{\"data\":1,\"event\":\"\\ud800\"}",
        "{\"data\":1,\"encoding\":\"base64\"}",
        "{\"data\":\"?\",\"encoding\":\"base64\"}",
        "{\"data\":\"AA==\",\"encoding\":\"gzip\"}",
        "{\"data\":1,\"channel\":\"orders:2\"}",
        &"[".repeat(LEVELS),
        &format!("{{\"data\":{}", "[".repeat(LEVELS)),
    ] {
        socket.send(text).await;
        let error = socket.frame_with("error").await["error"].clone();
        assert_eq!(error["code"], "bad-frame", "{}: {error}", &text[..text.len().min(50)]);
        assert_eq!(error["status"], 400);
    }
    let named = json!({"id": "mine", "x": 1});
    assert_eq!(socket.ask(named).await["error"]["id"], "mine", "where it can be read it is repeated");
    assert!(socket.ask(json!({"data": null})).await["published"].is_object());
    let page = node.get(ORDERS).await.ok().json();
    assert_eq!(page["messages"].as_array().unwrap().len(), 1);
    assert_eq!(page["messages"][0]["data"], Value::Null);
    witness.lost_nothing(&node).await;
}
