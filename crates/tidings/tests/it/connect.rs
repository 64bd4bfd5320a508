//! The session protocol on `/v1/connect`: many channels, and all else, on one socket.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::node::{KEY, Namespace, TestNode, now_ms, sign};
use crate::socket::Socket;

async fn node() -> TestNode {
    TestNode::new()
        .namespace("orders", |n| n)
        .namespace("ticks", Namespace::at_most_once)
        .namespace("chat", |n| {
            n.set("subscribe = \"token\"").set("publish = \"token\"").set("presence = true")
        })
        .run()
        .await
}

impl TestNode {
    pub async fn connect(&self, credential: Option<&str>) -> Socket {
        self.socket_as("/v1/connect", credential).await
    }
}

impl Socket {
    /// Sends a request; gives its reply. Frames that come before it are lost.
    pub async fn call(&mut self, request: Value) -> Value {
        let id = request["id"].clone();
        self.send(request).await;
        loop {
            let frame = self.frame().await;
            if frame.get("data").is_none() && frame["id"] == id {
                return frame;
            }
        }
    }

    pub async fn subscribe(&mut self, channel: &str) -> Value {
        self.call(json!({ "id": channel, "subscribe": { "channel": channel } })).await
    }
}

fn token(user: &str, ttl_s: i64, tidings: Value) -> String {
    let exp = i64::try_from(now_ms() / 1_000).unwrap() + ttl_s;
    sign(&json!({ "sub": user, "exp": exp, "tidings": tidings }))
}

fn alice(ttl_s: i64) -> String {
    token("alice", ttl_s, json!({ "subscribe": ["chat:*"], "publish": ["chat:*"], "info": { "n": 1 } }))
}

#[tokio::test]
async fn the_frame_of_the_contract() {
    let node = node().await;
    let mut socket = node.connect(None).await;
    let reply = socket.call(json!({ "id": 1, "subscribe": { "channel": "orders:1" } })).await;
    assert_eq!((&reply["id"], &reply["subscribed"]["channel"]), (&json!(1), &json!("orders:1")));
    assert_eq!(reply["subscribed"]["delivery"], "at-least-once");
    assert!(reply["subscribed"].get("recovered").is_none());
    let cursor = reply["subscribed"]["cursor"].as_str().unwrap().to_owned();
    let stored = node.publish("orders:1", "a").await;
    let message = socket.frame().await;
    assert_eq!((&message["data"], &message["cursor"]), (&json!("a"), &json!(stored)));

    let mut again = node.connect(None).await;
    let request = json!({ "id": "x", "subscribe": { "channel": "orders:1", "after": cursor } });
    assert_eq!(again.call(request).await["subscribed"]["recovered"], true);
    assert_eq!(again.frame().await["cursor"], stored);
}

#[tokio::test]
async fn channels_come_and_go() {
    let node = node().await;
    let mut socket = node.connect(None).await;
    for channel in ["orders:1", "orders:2", "ticks:1"] {
        assert!(socket.subscribe(channel).await.get("subscribed").is_some());
    }
    let twice = socket.subscribe("orders:2").await;
    assert_eq!(twice["error"]["code"], "already-subscribed");
    assert!(
        socket.call(json!({ "id": 9, "unsubscribe": { "channel": "orders:1" } })).await["unsubscribed"]
            .is_object()
    );
    node.publish("orders:1", "not seen").await;
    node.publish("orders:2", "seen").await;
    assert_eq!(socket.frame().await["data"], "seen");
    // The place that it left is given again, and what it missed comes from its cursor.
    let request = json!({ "id": 10, "subscribe": { "channel": "orders:1", "after": "earliest" } });
    assert!(socket.call(request).await["subscribed"].is_object());
    assert_eq!(socket.frame().await["data"], "not seen");
    node.publish("ticks:1", 7).await;
    assert_eq!(socket.frame().await["channel"], "ticks:1");
}

#[tokio::test]
async fn many_channels_each_get_their_own() {
    let node = node().await;
    let mut socket = node.connect(None).await;
    for n in 0..300 {
        socket.subscribe(&format!("orders:{n}")).await;
    }
    for n in (0..300).rev() {
        node.publish(&format!("orders:{n}"), n).await;
    }
    let mut seen = vec![false; 300];
    for _ in 0..300 {
        let frame = socket.frame().await;
        let n = frame["data"].as_u64().unwrap() as usize;
        assert_eq!(frame["channel"], format!("orders:{n}"));
        assert!(!std::mem::replace(&mut seen[n], true));
    }
}

#[tokio::test]
async fn more_channels_than_allowed_are_refused_and_the_others_live() {
    let node =
        TestNode::new().set("[limits]\nconnection_channels = 2").namespace("orders", |n| n).run().await;
    let mut socket = node.connect(None).await;
    for channel in ["orders:1", "orders:2"] {
        assert!(socket.subscribe(channel).await["subscribed"].is_object());
    }
    assert_eq!(socket.subscribe("orders:3").await["error"]["code"], "too-many-channels");
    socket.call(json!({ "id": 1, "unsubscribe": { "channel": "orders:1" } })).await;
    assert!(socket.subscribe("orders:3").await["subscribed"].is_object());
    node.publish("orders:3", "x").await;
    assert_eq!(socket.frame().await["channel"], "orders:3");
}

#[tokio::test]
async fn publishing_and_history() {
    let node = node().await;
    let mut socket = node.connect(Some(KEY)).await;
    let request =
        json!({ "id": 1, "publish": { "channel": "orders:1", "data": { "n": 1 }, "id": "k", "event": "e" } });
    let first = socket.call(request.clone()).await["published"].clone();
    assert_eq!(
        (&first["channel"], &first["id"], &first["duplicate"]),
        (&json!("orders:1"), &json!("k"), &json!(false))
    );
    let again = socket.call(request).await["published"].clone();
    assert_eq!((&again["cursor"], &again["duplicate"]), (&first["cursor"], &json!(true)));
    socket.call(json!({ "id": 2, "publish": { "channel": "orders:1", "data": 2 } })).await;

    let page =
        socket.call(json!({ "id": 3, "history": { "channel": "orders:1", "limit": 1 } })).await["history"]
            .clone();
    assert_eq!((page["messages"].as_array().unwrap().len(), &page["more"]), (1, &json!(true)));
    assert_eq!((&page["gap"], &page["delivery"]), (&Value::Null, &json!("at-least-once")));
    let rest = json!({ "id": 4, "history": { "channel": "orders:1", "after": page["cursor"] } });
    let rest = socket.call(rest).await["history"].clone();
    assert_eq!((&rest["messages"][0]["data"], &rest["more"]), (&json!(2), &json!(false)));
    let last = socket.call(json!({ "id": 5, "history": { "channel": "orders:1", "last": 1 } })).await;
    assert_eq!(last["history"]["messages"][0]["data"], 2);
}

#[tokio::test]
async fn a_refused_request_says_why_and_leaves_the_rest() {
    let node = node().await;
    let mut socket = node.connect(None).await;
    socket.subscribe("orders:1").await;
    for (request, code) in [
        (json!({ "id": 1, "subscribe": { "channel": "nowhere:1" } }), "unknown-namespace"),
        (json!({ "id": 1, "subscribe": { "channel": "a b" } }), "bad-channel"),
        (json!({ "id": 1, "subscribe": { "channel": "chat:1" } }), "no-credentials"),
        (json!({ "id": 1, "subscribe": { "channel": "orders:2", "after": "nonsense" } }), "bad-cursor"),
        (
            json!({ "id": 1, "subscribe": { "channel": "orders:2", "after": "latest", "last": 1 } }),
            "bad-query",
        ),
        (json!({ "id": 1, "subscribe": { "channel": "orders:2", "presence": true } }), "presence-off"),
        (json!({ "id": 1, "publish": { "channel": "orders:1", "data": 1 } }), "no-credentials"),
        (json!({ "id": 1, "publish": { "data": 1 } }), "bad-frame"),
        (json!({ "id": 1, "publish": { "channel": "pub:a", "data": 1, "event": 5 } }), "bad-frame"),
        (json!({ "id": 1, "history": { "channel": "orders:1", "limit": 0 } }), "bad-query"),
        (json!({ "id": 1, "presence": { "channel": "orders:1" } }), "presence-off"),
        (json!({ "id": 1, "refresh": { "token": "nonsense" } }), "bad-token"),
        (json!({ "id": 1, "token": "late" , "refresh": { "token": "x" } }), "bad-frame"),
        (json!({ "id": 1, "jump": {} }), "bad-frame"),
        (
            json!({ "id": 1, "subscribe": { "channel": "orders:2" }, "presence": { "channel": "orders:2" } }),
            "bad-frame",
        ),
    ] {
        let reply = socket.call(request.clone()).await;
        assert_eq!((&reply["id"], &reply["error"]["code"]), (&json!(1), &json!(code)), "{request}");
    }
    for unreadable in [
        "{",
        "[]",
        "7",
        "{\"subscribe\":{\"channel\":\"orders:1\"}}",
        "{\"id\":{},\"presence\":{\"channel\":\"a\"}}",
    ] {
        socket.send(unreadable).await;
        assert_eq!(socket.frame().await["error"]["code"], "bad-frame", "{unreadable}");
    }
    socket.send_bytes(b"bytes").await;
    assert_eq!(socket.frame().await["error"]["code"], "bad-frame");
    // A heartbeat asks for nothing, and nothing answers it.
    socket.send("{}").await;
    node.publish("orders:1", "still here").await;
    assert_eq!(socket.frame().await["data"], "still here");
}

#[tokio::test]
async fn the_first_frame_may_carry_the_token() {
    let node = node().await;
    let mut socket = node.connect(None).await;
    let reply =
        socket.call(json!({ "id": 1, "token": alice(60), "subscribe": { "channel": "chat:1" } })).await;
    assert_eq!(reply["subscribed"]["channel"], "chat:1");
    let reply = socket.call(json!({ "id": 2, "publish": { "channel": "chat:1", "data": "hi" } })).await;
    assert!(reply["published"].is_object());

    let mut refused = node.connect(None).await;
    let reply =
        refused.call(json!({ "id": 1, "token": "nonsense", "subscribe": { "channel": "orders:1" } })).await;
    assert_eq!(reply["error"]["code"], "bad-token");
    assert_eq!(refused.closed().await.0, 4501);
}

#[tokio::test]
async fn a_refusal_comes_after_the_upgrade() {
    let node = node().await;
    for (credential, code, close) in
        [("nonsense", "bad-token", 4501), (alice(-60).as_str(), "token-expired", 4001)]
    {
        let mut socket = node.connect(Some(credential)).await;
        assert_eq!(socket.frame().await["error"]["code"], code);
        let (number, reason) = socket.closed().await;
        assert_eq!((number, &reason["code"]), (close, &json!(code)));
    }
}

#[tokio::test]
async fn a_refreshed_token_goes_on_and_what_it_does_not_allow_ends() {
    let node = node().await;
    let mut socket = node.connect(Some(&alice(60))).await;
    socket.subscribe("chat:1").await;
    socket.subscribe("chat:2").await;
    let other = token("bob", 60, json!({ "subscribe": ["chat:*"] }));
    let reply = socket.call(json!({ "id": 1, "refresh": { "token": other } })).await;
    assert_eq!(reply["error"]["code"], "forbidden");
    let less = token("alice", 120, json!({ "subscribe": ["chat:2"], "publish": ["chat:2"] }));
    socket.send(json!({ "id": 2, "refresh": { "token": less } })).await;
    let ended = socket.frame().await;
    assert_eq!(ended["unsubscribed"]["channel"], "chat:1");
    assert_eq!(ended["unsubscribed"]["error"]["code"], "forbidden");
    let refreshed = socket.frame().await;
    assert_eq!(refreshed["id"], 2);
    assert!(refreshed["refreshed"]["expires"].as_str().unwrap().ends_with('Z'));
    node.publish("chat:1", "no").await;
    node.publish("chat:2", "yes").await;
    assert_eq!(socket.frame().await["data"], "yes");
}

#[tokio::test]
async fn a_session_ends_with_its_token_unless_it_is_refreshed() {
    let node = node().await;
    let mut ends = node.connect(Some(&alice(2))).await;
    let mut lives = node.connect(Some(&alice(2))).await;
    lives.subscribe("chat:1").await;
    let reply = lives.call(json!({ "id": 1, "refresh": { "token": alice(60) } })).await;
    assert!(reply["refreshed"].is_object());
    assert_eq!(ends.closed().await.0, 4001);
    node.publish("chat:1", "on").await;
    assert_eq!(lives.frame_with("data").await["data"], "on");
}

#[tokio::test]
async fn presence_comes_with_its_changes() {
    let node = node().await;
    let mut watcher = node.connect(Some(&alice(60))).await;
    let reply =
        watcher.call(json!({ "id": 1, "subscribe": { "channel": "chat:1", "presence": true } })).await;
    assert_eq!(reply["subscribed"]["presence"]["count"].as_u64().map(|count| count <= 1), Some(true));
    let mut bob =
        node.connect(Some(&token("bob", 60, json!({ "subscribe": ["chat:*"], "info": "b" })))).await;
    bob.subscribe("chat:1").await;
    let joined = loop {
        let change = watcher.frame_with("presence").await["presence"].clone();
        assert_eq!(change["channel"], "chat:1");
        let joined = change["joined"].as_array().unwrap().clone();
        if let Some(bob) = joined.into_iter().find(|member| member["user"] == "bob") {
            break bob;
        }
    };
    assert_eq!(joined["info"], "b");
    let here =
        watcher.call(json!({ "id": 2, "presence": { "channel": "chat:1" } })).await["presence"].clone();
    assert_eq!((&here["channel"], &here["count"]), (&json!("chat:1"), &json!(2)));
    bob.call(json!({ "id": 1, "unsubscribe": { "channel": "chat:1" } })).await;
    let left = watcher.frame_with("presence").await["presence"].clone();
    assert_eq!((&left["joined"], &left["left"]), (&json!([]), &json!(["bob"])));
}

#[tokio::test]
async fn who_takes_a_token_later_is_present_from_then_on() {
    let plan = TestNode::new().namespace("lobby", |n| n.set("presence = true"));
    let node = plan.run().await;
    let mut socket = node.connect(None).await;
    socket.subscribe("lobby:1").await;
    let ask = json!({ "id": "who", "presence": { "channel": "lobby:1" } });
    assert_eq!(socket.call(ask.clone()).await["presence"]["count"], 0);
    let alice = token("alice", 60, json!({ "subscribe": [], "publish": [] }));
    socket.call(json!({ "id": 1, "refresh": { "token": alice } })).await;
    let here = socket.call(ask).await;
    assert_eq!(here["presence"]["members"][0]["user"], "alice", "{here}");
}

#[tokio::test]
async fn the_subprotocol_is_agreed_where_it_is_offered() {
    let node = node().await;
    for (offered, agreed) in [
        (Some("tidings.v1"), Some("tidings.v1")),
        (Some("other, tidings.v1"), Some("tidings.v1")),
        (None, None),
    ] {
        let mut request = format!("ws://{}/v1/connect", node.address).into_client_request().unwrap();
        if let Some(offered) = offered {
            request.headers_mut().insert("sec-websocket-protocol", offered.parse().unwrap());
        }
        let stream = tokio::net::TcpStream::connect(node.address).await.unwrap();
        let (_, head) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        let chosen =
            head.headers().get("sec-websocket-protocol").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(chosen.as_deref(), agreed);
    }
}

#[tokio::test]
async fn heartbeats_are_frames_that_javascript_sees() {
    let node = TestNode::new().set("heartbeat = \"1s\"").namespace("orders", |n| n).run().await;
    let mut socket = node.connect(None).await;
    for _ in 0..2 {
        assert_eq!(socket.frame().await, json!({}));
        socket.send("{}").await;
    }
}

#[tokio::test]
async fn a_drain_tells_everyone_to_come_back() {
    let node = node().await;
    let mut socket = node.connect(None).await;
    socket.subscribe("orders:1").await;
    let stopped = tokio::spawn(node.node.stop());
    let (code, reason) = socket.closed().await;
    assert_eq!((code, &reason["code"]), (4000, &json!("draining")));
    assert!(reason["retry_ms"].as_u64().unwrap() > 0);
    stopped.await.unwrap();
}

#[tokio::test]
async fn a_flood_of_requests_holds_back_nobody_and_not_even_itself() {
    let node = node().await;
    let mut flood = node.connect(Some(KEY)).await;
    flood.subscribe("orders:news").await;
    let mut other = node.socket("/v1/channels/orders:news").await;
    other.frame_with("subscribed").await;
    for n in 0..500 {
        flood.send(json!({ "id": n, "publish": { "channel": "orders:flood", "data": n } })).await;
    }
    node.publish("orders:news", "now").await;
    assert_eq!(other.frame_with("data").await["data"], "now");
    // Every request is answered, in order, and the news comes between.
    let (mut next, mut news) = (0, false);
    while next < 500 || !news {
        let frame = flood.frame().await;
        match frame.get("data") {
            Some(data) => news = data == "now",
            None => {
                assert_eq!((&frame["id"], frame["published"].is_object()), (&json!(next), true), "{frame}");
                next += 1;
            }
        }
    }
}
