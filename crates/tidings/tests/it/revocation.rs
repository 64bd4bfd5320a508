//! `POST /v1/revocations`: what it ends, what it refuses, and until when (surface-details M58).

use serde_json::{Value, json};

use crate::node::{Call, TestNode, sign};
use crate::raw::soon;
use crate::time::Time;

const CHANNEL: &str = "/v1/channels/orders:1";

async fn node(time: &Time) -> TestNode {
    let plan = TestNode::new().namespace("orders", |n| n.set("subscribe = \"user\"\npublish = \"user\""));
    plan.set("heartbeat = \"60s\"\nlimits.body_idle = \"10m\"").clock(&time.clock).run().await
}

/// A token of a user that ends in an hour, with more claims.
fn token(time: &Time, user: &str, more: Value) -> String {
    let mut claims = json!({ "sub": user, "exp": time.now_ms() / 1_000 + 3_600 });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    sign(&claims)
}

fn revoke(node: &TestNode, body: &Value) -> Call {
    node.post("/v1/revocations").json(body)
}

#[tokio::test]
async fn it_ends_live_connections_at_once() {
    let time = Time::stop();
    let node = node(&time).await;
    let (alice, bob) = (token(&time, "alice", json!({})), token(&time, "bob", json!({})));
    let mut stream = node.sse_as(CHANNEL, Some(&alice)).await;
    stream.block().await;
    let mut socket = node.socket_as(CHANNEL, Some(&alice)).await;
    socket.frame_with("subscribed").await;
    let mut theirs = node.socket_as(CHANNEL, Some(&bob)).await;
    theirs.frame_with("subscribed").await;
    let mut body = node.raw().await;
    body.send(format!(
        "POST {CHANNEL} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice}\r\nContent-Type: \
         application/x-ndjson\r\nContent-Length: 1000\r\n\r\n1\n2"
    ))
    .await;
    socket.frame_with("data").await;
    let mut held = node.raw().await;
    let ask =
        format!("GET {CHANNEL}?after=latest&wait=60 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice}");
    held.send(format!("{ask}\r\n\r\n")).await;
    node.reading(4).await;
    let reply = revoke(&node, &json!({ "user": "alice" })).await.ok().json();
    assert_eq!((&reply["user"], &reply["ended"]), (&json!("alice"), &json!(3)));
    // A new token is what a client can act on: it comes back with its cursor.
    let (code, reason) = socket.closed().await;
    assert_eq!((code, reason), (4001, json!({ "code": "token-expired", "retry_ms": 0 })));
    let last = soon("the end", stream.rest()).await;
    let cursor = last.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap().to_owned();
    let page = held.reply("GET").await.ok();
    let problem = soon("the answer", body.reply("POST")).await.problem(401, "token-expired");
    assert_eq!(problem["published"], 1);
    for call in [
        node.get(CHANNEL),
        node.get(&format!("{CHANNEL}?wait=1")),
        node.get(CHANNEL).header("accept", "text/event-stream"),
        node.call("POST", CHANNEL).text("x"),
    ] {
        let problem = call.bearer(&alice).await.problem(401, "token-expired");
        assert!(problem["detail"].as_str().unwrap().contains("revoked"), "{problem}");
    }
    // Nothing is lost for who may come back, and nobody else notices.
    time.pass(2_000).await;
    let fresh = token(&time, "alice", json!({ "iat": time.now_ms() / 1_000 }));
    node.publish("orders:1", 7).await;
    for cursor in [cursor, page.text("cursor")] {
        let page = node.get(&format!("{CHANNEL}?after={cursor}")).bearer(&fresh).await.ok();
        let messages = page.json()["messages"].as_array().unwrap().clone();
        assert_eq!(messages.last().unwrap()["data"], 7);
    }
    while theirs.frame_with("data").await["data"] != 7 {}
    node.reading(1).await;
}

#[tokio::test]
async fn it_is_about_tokens_made_before_it() {
    let time = Time::stop();
    let node = node(&time).await;
    let status = async |token: &str| node.get(CHANNEL).bearer(token).await.status;
    let now = time.now_ms() / 1_000;
    let before = token(&time, "alice", json!({ "iat": now - 60 }));
    let same_second = token(&time, "alice", json!({ "iat": now }));
    let silent = token(&time, "alice", json!({}));
    let after = token(&time, "alice", json!({ "iat": now + 1 }));
    let other = token(&time, "Alice", json!({}));
    revoke(&node, &json!({ "user": "alice", "until": now + 100 })).await.ok();
    for (token, expected) in
        [(&before, 401), (&same_second, 401), (&silent, 401), (&after, 200), (&other, 200)]
    {
        assert_eq!(status(token).await, expected);
    }
    // Until it ends.
    time.pass(100_500).await;
    assert_eq!(status(&before).await, 200);
    // One token by its name, whenever it was made.
    let (one, two) = (json!({ "jti": "one", "iat": now + 10_000 }), json!({ "jti": "two" }));
    let (one, two) = (token(&time, "carol", one), token(&time, "carol", two));
    let mut socket = node.socket_as(CHANNEL, Some(&one)).await;
    socket.frame_with("subscribed").await;
    let reply = revoke(&node, &json!({ "jti": "one", "until": "2999-01-01T00:00:00Z" })).await;
    reply.problem(400, "bad-revocation");
    assert_eq!(revoke(&node, &json!({ "jti": "one" })).await.ok().json()["ended"], 1);
    assert_eq!(socket.closed().await.0, 4001);
    assert_eq!((status(&one).await, status(&two).await), (401, 200));
    assert_eq!(status(&token(&time, "one", json!({}))).await, 200, "a `jti` is no user");
}

#[tokio::test]
async fn only_who_may_administer_revokes_and_only_what_can_be_named() {
    let time = Time::stop();
    let node = node(&time).await;
    let alice = token(&time, "alice", json!({ "tidings": { "publish": ["*"], "subscribe": ["*"] } }));
    let body = json!({ "user": "alice" });
    let call = || node.call("POST", "/v1/revocations");
    call().json(&body).await.problem(401, "no-credentials");
    call().json(&body).bearer(&alice).await.problem(403, "forbidden");
    call().bearer(&alice).body("nonsense").await.problem(403, "forbidden");
    let reply = node.get("/v1/revocations").await;
    reply.problem(405, "method-not-allowed");
    assert_eq!(reply.header("allow"), "POST, OPTIONS");
    let now = time.now_ms() / 1_000;
    let long = "x".repeat(256);
    for bad in [
        json!({}),
        json!([]),
        json!("alice"),
        json!({ "user": "" }),
        json!({ "user": 7 }),
        json!({ "user": long }),
        json!({ "user": "a", "jti": "b" }),
        json!({ "user": "a", "unti": now + 60 }),
        json!({ "user": "a", "until": now - 60 }),
        json!({ "user": "a", "until": -1 }),
        json!({ "user": "a", "until": now + 367 * 86_400 }),
        json!({ "user": "a", "until": 1e300 }),
        json!({ "user": "a", "until": "tomorrow" }),
        json!({ "user": "a", "until": [now] }),
    ] {
        revoke(&node, &bad).await.problem(400, "bad-revocation");
    }
    node.post("/v1/revocations").body("nonsense").await.problem(400, "bad-revocation");
    node.post("/v1/revocations").body(vec![b' '; 1 << 17]).await.problem(413, "too-large");
    node.get(CHANNEL).bearer(&alice).await.ok();
    // Thirty days, where nothing else is said.
    let until = revoke(&node, &json!({ "user": "bob", "until": null })).await.ok().text("until");
    let until = humantime::parse_rfc3339(&until).unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(until.as_millis() as u64, time.now_ms() + 30 * 86_400_000);
}
