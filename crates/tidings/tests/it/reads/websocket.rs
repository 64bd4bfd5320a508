//! WebSocket on a channel URL: frames, publishing, and each way in which it ends.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::node::{KEY, TestNode, now_ms, sign};
use crate::raw::soon;
use crate::socket::{Socket, frame, upgrade};

const ORDERS: &str = "/v1/channels/orders:1";

#[tokio::test]
async fn the_head_and_the_greeting() {
    let node = TestNode::new()
        .namespace("orders", |n| n.retain(1))
        .namespace("ticks", |n| n.at_most_once())
        .run()
        .await;
    let mut raw = node.raw_socket(ORDERS).await;
    let head = raw.head().await;
    assert!(head.text.starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
    assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(head.header("tidings-delivery"), Some("at-least-once"));
    let mut socket = node.socket(ORDERS).await;
    let greeting = socket.frame().await;
    let cursor = greeting["subscribed"]["cursor"].clone();
    // 1b: no `recovered` where no cursor was given.
    let facts = json!([{"channel": "orders:1", "delivery": "at-least-once"}]);
    assert_eq!(greeting, json!({"subscribed": {"channels": facts, "cursor": cursor}}));
    for n in 0..3 {
        node.publish("orders:1", n).await;
    }
    let mut socket = node.socket(&format!("{ORDERS}?after={}", cursor.as_str().unwrap())).await;
    assert_eq!(socket.frame().await["subscribed"]["recovered"], false);
    let gap = socket.frame().await;
    assert_eq!((&gap["gap"]["missed"], &gap["cursor"]), (&json!(2), &gap["gap"]["until"]));
    let message = socket.frame().await;
    let mut names: Vec<_> = message.as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["channel", "cursor", "data", "event", "id", "time"]);
    let after = message["cursor"].as_str().unwrap().to_owned();
    let two = format!("/v1/subscribe?channel=orders:1&channel=ticks:1&after={after}");
    let mut socket = node.socket(&two).await;
    assert_eq!(socket.head.headers()["tidings-delivery"], "at-most-once", "the weakest");
    let greeting = socket.frame().await["subscribed"].clone();
    assert_eq!(greeting["recovered"], true);
    assert_eq!(
        greeting["channels"][0],
        json!({"channel": "orders:1", "delivery": "at-least-once", "recovered": true})
    );
    assert_eq!(greeting["channels"][1], json!({"channel": "ticks:1", "delivery": "at-most-once"}));
    let cursor = node.publish("orders:1", 9).await;
    assert_eq!(socket.frame().await["data"], 9);
    let composite = socket.frame().await;
    assert_eq!(composite.as_object().unwrap().len(), 1);
    assert!(composite["cursor"].as_str().unwrap().starts_with(&cursor));
}

/// F38: before the upgrade a refusal is a plain problem.
#[tokio::test]
async fn a_refusal_is_a_plain_reply() {
    let node = TestNode::new().namespace("orders", |n| n.set("subscribe = \"token\"")).run().await;
    let cases = [
        ("/v1/channels/or%20ders", KEY, 400, "bad-channel"),
        ("/v1/channels/orders:1?limit=0", KEY, 400, "bad-query"),
        ("/v1/channels/orders:1?after=x", KEY, 400, "bad-cursor"),
        ("/v1/channels/orders:1", "no", 401, "bad-token"),
        ("/v1/channels/nowhere:1", KEY, 404, "unknown-namespace"),
    ];
    for (target, key, status, code) in cases {
        let mut raw = node.raw().await;
        raw.send(upgrade(target).replace(KEY, key)).await;
        raw.reply("GET").await.problem(status, code);
    }
    let bob = crate::node::token("bob", &["chat:*"], &[]);
    let mut raw = node.raw().await;
    raw.send(upgrade(ORDERS).replace(KEY, &bob)).await;
    raw.reply("GET").await.problem(403, "forbidden");
    for (from, to) in [("Version: 13", "Version: 12"), ("dGhlIHNhbXBsZSBub25jZQ==", "dGhl")] {
        let mut raw = node.raw().await;
        raw.send(upgrade(ORDERS).replace(from, to)).await;
        let reply = raw.reply("GET").await;
        reply.problem(400, "bad-frame");
        assert_eq!(reply.header("sec-websocket-version"), "13");
    }
    // A session is only ever a WebSocket; what a proxy has taken away of the handshake is missed.
    for (from, to) in
        [("Upgrade: websocket\r\n", ""), ("Connection: Upgrade\r\n", ""), ("HTTP/1.1", "HTTP/1.0")]
    {
        let mut raw = node.raw().await;
        let request = upgrade("/v1/connect");
        assert!(request.contains(from), "{request}");
        raw.send(request.replace(from, to)).await;
        let problem = raw.reply("GET").await.problem(400, "bad-frame");
        assert!(problem["detail"].as_str().unwrap().contains("docs/proxies.md"));
    }
}

/// F40.
#[tokio::test]
async fn a_client_publishes_and_is_answered_in_order() {
    let node = TestNode::new().namespace("orders", |n| n.set("publish = \"token\"")).run().await;
    let alice = crate::node::token("alice", &[], &["orders:1"]);
    let mut socket = node.socket_as(ORDERS, Some(&alice)).await;
    socket.frame().await;
    for n in 0..50 {
        socket.send(json!({"data": n, "id": format!("id-{n}"), "event": "made", "key": "k"})).await;
    }
    let (mut answers, mut own) = (Vec::new(), Vec::new());
    while answers.len() + own.len() < 100 {
        let one = socket.frame().await;
        if one.get("published").is_some() { answers.push(one["published"].clone()) } else { own.push(one) }
    }
    for n in 0..50 {
        assert_eq!(answers[n]["id"], format!("id-{n}"));
        assert_eq!((&answers[n]["cursor"], &answers[n]["duplicate"]), (&own[n]["cursor"], &json!(false)));
        assert_eq!((&own[n]["data"], &own[n]["from"]), (&json!(n), &json!("alice")));
        assert_eq!((&own[n]["event"], &own[n]["key"]), (&json!("made"), &json!("k")));
    }
    let again = socket.ask(json!({"data": "x", "id": "id-7"})).await;
    assert_eq!(
        (&again["published"]["cursor"], &again["published"]["duplicate"]),
        (&own[7]["cursor"], &json!(true))
    );
    socket.send_bytes(&[0, 255]).await;
    let bytes = socket.frame_with("data").await;
    assert_eq!((&bytes["data"], &bytes["encoding"]), (&json!("AP8="), &json!("base64")));
    let encoded = json!({"data": "AP8=", "encoding": "base64"});
    socket.ask(encoded).await;
    socket.leave().await;
}

/// F39: errors as frames leave the connection open.
#[tokio::test]
async fn a_refused_frame_leaves_the_connection_open() {
    let node = TestNode::new().namespace("orders", |n| n.set("publish = \"token\"")).run().await;
    let mut socket = node.socket_as(ORDERS, None).await;
    let refused = socket.ask(json!({"data": 1, "id": "mine"})).await;
    assert_eq!(
        (&refused["error"]["code"], &refused["error"]["id"]),
        (&json!("no-credentials"), &json!("mine"))
    );
    assert_eq!(refused["error"]["status"], 401);
    let mut socket = node.socket(ORDERS).await;
    for (text, code) in [
        ("", "bad-frame"),
        ("nonsense", "bad-frame"),
        ("[]", "bad-frame"),
        ("{}", "bad-frame"),
        ("null", "bad-frame"),
        ("{\"data\":}", "bad-frame"),
        ("{\"data\":1,\"data\":2}", "bad-frame"),
        ("{\"data\":1,\"id\":7}", "bad-frame"),
        ("{\"data\":1,\"event\":\"tidings.x\"}", "bad-event"),
        ("{\"data\":1,\"event\":\"a\\nb\"}", "bad-event"),
        ("{\"data\":1,\"key\":\"\\u0000\"}", "bad-key"),
        ("{\"data\":1,\"id\":\"\"}", "bad-id"),
        ("{\"data\":1,\"channel\":\"orders:2\"}", "bad-frame"),
        ("{\"data\":\"?\",\"encoding\":\"base64\"}", "bad-frame"),
    ] {
        socket.send(text).await;
        let error = socket.frame_with("error").await;
        assert_eq!(error["error"]["code"], code, "{text}");
        assert!(error["error"]["type"].as_str().unwrap().ends_with(code));
    }
    let fine = socket.ask(json!({"data": null, "channel": "orders:1"})).await;
    assert!(fine["published"]["cursor"].is_string(), "{fine}");
    let mut several = node.socket("/v1/subscribe?channel=orders:1&channel=orders:2").await;
    assert_eq!(several.ask(json!({"data": 1})).await["error"]["code"], "bad-frame", "which channel?");
    several.send_bytes(b"x").await;
    assert_eq!(several.frame_with("error").await["error"]["code"], "bad-frame");
    assert_eq!(
        several.ask(json!({"data": 1, "channel": "orders:2"})).await["published"]["channel"],
        "orders:2"
    );
    assert_eq!(
        several.ask(json!({"data": 1, "channel": "nowhere:2"})).await["error"]["code"],
        "unknown-namespace"
    );
}

#[tokio::test]
async fn a_limit_closes_with_1000() {
    let node = TestNode::usual().await;
    for n in 0..5 {
        node.publish("orders:1", n).await;
    }
    let mut socket = node.socket(&format!("{ORDERS}?after=earliest&limit=3")).await;
    socket.frame().await;
    for n in 0..3 {
        assert_eq!(socket.frame().await["data"], n);
    }
    assert_eq!(socket.closed().await.0, 1000);
    let two = "/v1/subscribe?channel=orders:1&channel=ticks:1&after=earliest&limit=3";
    let mut socket = node.socket(two).await;
    socket.frame().await;
    for _ in 0..3 {
        socket.frame_with("data").await;
    }
    socket.frame_with("cursor").await;
    assert_eq!(socket.closed().await.0, 1000);
}

/// D29: an error frame, then 1009, whether the frame is too large or the message in it.
#[tokio::test]
async fn what_is_too_large_closes_with_1009() {
    let node =
        TestNode::new().namespace("orders", |n| n).set("[limits]\nmessage_bytes = \"1KiB\"").run().await;
    for bytes in [1_023, 100_000] {
        let mut socket = node.socket(ORDERS).await;
        socket.frame().await;
        let fits = socket.ask(json!({"data": "x".repeat(1_022)})).await;
        assert!(fits["published"].is_object());
        socket.send(json!({"data": "x".repeat(bytes), "id": "big"})).await;
        assert_eq!(socket.frame_with("error").await["error"]["code"], "too-large", "{bytes}");
        let (code, reason) = socket.closed().await;
        assert_eq!((code, &reason["code"]), (1009, &json!("too-large")));
    }
    let mut socket = node.socket(ORDERS).await;
    socket.send_bytes(&[0; 1_025]).await;
    assert_eq!(socket.frame_with("error").await["error"]["code"], "too-large");
    assert_eq!(socket.closed().await.0, 1009);
}

#[tokio::test]
async fn who_breaks_the_protocol_is_closed_with_its_code() {
    let node = TestNode::usual().await;
    let unmasked = vec![0x81, 1, b'x'];
    let lonely_continuation = frame(0, b"x");
    let reserved_bit = [vec![0xc1], frame(1, b"x")[1..].to_vec()].concat();
    let unknown_opcode = frame(3, b"x");
    let long_ping = frame(9, &[0; 126]);
    let fragmented_ping = [vec![0x09], frame(9, b"x")[1..].to_vec()].concat();
    let bad_close = frame(8, &[0x03]);
    for bytes in
        [unmasked, lonely_continuation, reserved_bit, unknown_opcode, long_ping, fragmented_ping, bad_close]
    {
        let mut socket = node.socket(ORDERS).await;
        socket.frame().await;
        socket.send_raw(&bytes).await;
        assert_eq!(socket.closed().await.0, 1002, "{bytes:?}");
    }
    for text in [&[0xff][..], &"ü".as_bytes()[..1]] {
        let mut socket = node.socket(ORDERS).await;
        socket.frame().await;
        socket.send_raw(&frame(1, text)).await;
        assert_eq!(socket.closed().await.0, 1007, "{text:?}");
    }
}

#[tokio::test]
async fn pings_are_answered_and_sent() {
    let node = TestNode::new().namespace("orders", |n| n).set("heartbeat = \"1s\"").run().await;
    let mut socket = node.socket(ORDERS).await;
    socket.frame().await;
    socket.inner.send(Message::Ping(b"hello".to_vec().into())).await.unwrap();
    let pong = soon("pong", socket.inner.next()).await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong(b"hello".to_vec().into()));
    let ping = soon("ping", socket.inner.next()).await.unwrap().unwrap();
    assert!(ping.is_ping(), "{ping:?}");
    // It stays open while they are answered.
    let ping = soon("ping", socket.inner.next()).await.unwrap().unwrap();
    assert!(ping.is_ping(), "{ping:?}");
    node.publish("orders:1", 1).await;
    assert_eq!(socket.frame().await["data"], 1);
}

/// F41: closed ten seconds after a ping that nobody answers.
#[tokio::test]
async fn a_silent_peer_is_let_go() {
    let node = TestNode::new().namespace("orders", |n| n).set("heartbeat = \"1s\"").run().await;
    let mut raw = node.raw_socket(ORDERS).await;
    raw.head().await;
    let begun = now_ms();
    raw.rest().await;
    let lived = now_ms() - begun;
    assert!((10_500..13_500).contains(&lived), "{lived} ms");
}

#[tokio::test]
async fn a_drain_closes_with_4000_and_a_delay_for_each() {
    let node = TestNode::usual().await;
    let mut sockets = Vec::new();
    for _ in 0..8 {
        let mut socket = node.socket(ORDERS).await;
        socket.frame().await;
        sockets.push(socket);
    }
    let stopping = tokio::spawn(node.node.stop());
    let mut delays = Vec::new();
    for socket in &mut sockets {
        let (code, reason) = socket.closed().await;
        assert_eq!((code, &reason["code"]), (4000, &json!("draining")));
        delays.push(reason["retry_ms"].as_u64().unwrap());
        socket.ended().await;
    }
    drop(sockets);
    soon("stop", stopping).await.unwrap();
    delays.sort();
    delays.dedup();
    assert!(delays.len() > 4, "they are spread: {delays:?}");
}

#[tokio::test]
async fn the_end_of_the_token_closes_with_4001() {
    let node = TestNode::new().namespace("orders", |n| n.set("subscribe = \"user\"")).run().await;
    let expires_ms = now_ms() + 600;
    let token = sign(&json!({"sub": "alice", "exp": expires_ms as f64 / 1_000.0}));
    let mut socket: Socket = node.socket_as(&format!("{ORDERS}?token={token}"), None).await;
    let greeting: Value = socket.frame().await;
    assert!(greeting["subscribed"].is_object());
    let (code, reason) = socket.closed().await;
    assert_eq!((code, &reason["code"]), (4001, &json!("token-expired")));
    assert!(now_ms() >= expires_ms);
}

#[tokio::test]
async fn a_close_is_answered_with_its_code() {
    let node = TestNode::usual().await;
    for (sent, code) in [(&[0x0b, 0xb8][..], Some(3000)), (&[][..], None)] {
        let mut socket = node.socket(ORDERS).await;
        socket.frame().await;
        socket.send_raw(&frame(8, sent)).await;
        let answer = socket.ended().await.unwrap().unwrap();
        let Message::Close(close) = answer else { panic!("{answer:?}") };
        assert_eq!(close.map(|close| u16::from(close.code)), code);
    }
}
