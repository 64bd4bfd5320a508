//! Keys and tokens that are accepted no more, and those that still are.

use std::time::Duration;

use serde_json::json;

use crate::jwks::{Endpoint, Signer, good};
use crate::node::{KEY, Plan, TestNode, now_ms, token};
use crate::raw::soon;

const CHANNEL: &str = "/v1/channels/orders:1";

fn plan() -> Plan {
    TestNode::new()
        .namespace("orders", |n| n.set("subscribe = \"user\"\npublish = \"user\"\npresence = true"))
}

#[tokio::test]
async fn a_key_is_rotated() {
    let mut node = plan().run().await;
    let after = node.publish("orders:1", 1).await;
    let mut socket = node.socket(CHANNEL).await;
    socket.frame_with("subscribed").await;
    let mut stream = node.sse_as(CHANNEL, Some(KEY)).await;
    stream.block().await;
    let mut session = node.connect(Some(KEY)).await;
    session.subscribe("orders:1").await;
    let mut of_token = node.socket_as(CHANNEL, Some(&token("alice", &[], &[]))).await;
    of_token.frame_with("subscribed").await;
    // Both are good for a while: nobody notices.
    assert_eq!(node.change(plan().keys(&format!("\"{KEY}\", \"sk_new\""))), "auth.api_keys");
    node.publish("orders:1", 2).await;
    for socket in [&mut socket, &mut of_token, &mut session] {
        assert_eq!(socket.frame().await["data"], 2);
    }
    assert!(stream.event().await.contains("data: 2"));
    assert_eq!(node.change(plan().keys("\"sk_new\"")), "auth.api_keys");
    let ended = (4001, json!({ "code": "token-expired", "retry_ms": 0 }));
    assert_eq!(socket.closed().await, ended);
    assert_eq!(session.closed().await, ended);
    let last = soon("the end", stream.rest()).await;
    assert!(last.contains("retry: ") && last.contains("\nid: "), "{last}");
    for call in
        [node.get(CHANNEL), node.get(CHANNEL).header("accept", "text/event-stream"), node.get("/metrics")]
    {
        call.bearer(KEY).await.problem(401, "bad-token");
    }
    node.post(CHANNEL).text("x").await.problem(401, "bad-token");
    node.call("POST", CHANNEL).bearer("sk_new").text("x").await.ok();
    assert_eq!(of_token.frame().await["data"], "x");
    let page = node.get(&format!("{CHANNEL}?after={after}")).bearer("sk_new").await.ok();
    assert_eq!(page.json()["messages"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_key_loses_a_right() {
    let hash = tidings_core::ApiKey::plain(KEY).sha256;
    let hash = hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let with = |rights: &str| plan().keys(&format!("{{ sha256 = \"{hash}\", rights = [{rights}] }}"));
    let mut node = with("\"publish\", \"read\", \"administer\"").run().await;
    let mut socket = node.socket(CHANNEL).await;
    socket.frame_with("subscribed").await;
    // As it was, only written in another way.
    assert_eq!(node.change(plan()), "");
    assert_eq!(node.change(with("\"read\"")), "auth.api_keys");
    let refused = socket.ask(json!({ "data": 1 })).await;
    assert_eq!(refused["error"]["code"], "forbidden", "{refused}");
    node.change(with("\"publish\""));
    assert_eq!(socket.closed().await, (4503, json!({ "code": "forbidden" })));
    node.post(CHANNEL).text("x").await.ok();
    node.get(CHANNEL).bearer(KEY).await.problem(403, "forbidden");
}

#[tokio::test]
async fn a_secret_is_rotated() {
    let mut node = plan().run().await;
    let alice = token("alice", &["orders:*"], &[]);
    let mut socket = node.socket_as(CHANNEL, Some(&alice)).await;
    socket.frame_with("subscribed").await;
    let mut of_key = node.socket(CHANNEL).await;
    of_key.frame_with("subscribed").await;
    // A body that arrives slowly, and a poll that is held.
    let mut body = node.raw().await;
    let head = format!("POST {CHANNEL} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice}\r\n");
    body.send(format!("{head}Content-Type: application/x-ndjson\r\nContent-Length: 1000\r\n\r\n1\n2")).await;
    socket.frame_with("data").await;
    let mut held = node.raw().await;
    held.send(format!(
        "GET {CHANNEL}?after=latest&wait=60 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice}\r\n\r\n"
    ))
    .await;
    node.reading(3).await;
    let other = "jwt.hmac_secret = \"another secret of thirty-two bytes\"";
    assert_eq!(node.change(plan().jwt(other)), "auth.jwt.hmac_secret");
    assert_eq!(socket.closed().await.0, 4001);
    let problem = soon("the answer", body.reply("POST")).await.problem(401, "token-expired");
    assert_eq!(problem["published"], 1);
    let page = soon("the page", held.reply("GET")).await.ok();
    assert!(!page.text("cursor").is_empty());
    node.get(CHANNEL).bearer(&alice).await.problem(401, "bad-token");
    node.publish("orders:1", 7).await;
    while of_key.frame_with("data").await["data"] != 7 {}
    // Whose tokens must be for an audience from now on.
    let audience = format!("{other}\njwt.audience = \"tidings\"");
    assert_eq!(node.change(plan().jwt(&audience)), "auth.jwt.audience");
}

#[tokio::test]
async fn the_keys_come_from_another_url() {
    let [rsa, ec, _] = Signer::all();
    let (first, second) = (Endpoint::start(good(&[&rsa])).await, Endpoint::start(good(&[&ec])).await);
    let of = |endpoint: &Endpoint| {
        plan().jwt(&format!("jwt.jwks_url = \"http://{}/jwks.json\"", endpoint.address))
    };
    let (by_first, by_second) = (rsa.token_at(Some("r"), now_ms()), ec.token_at(Some("e"), now_ms()));
    let mut node = of(&first).run().await;
    let mut socket = node.socket_as(CHANNEL, Some(&by_first)).await;
    socket.frame_with("subscribed").await;
    let mut of_key = node.socket(CHANNEL).await;
    of_key.frame_with("subscribed").await;
    node.get(CHANNEL).bearer(&by_second).await.problem(401, "bad-token");
    let asked = first.asked();
    // What is the same is not fetched again, and nobody notices.
    assert_eq!(node.change(of(&first).set("heartbeat = \"20s\"")), "heartbeat");
    node.publish("orders:1", 1).await;
    assert_eq!(socket.frame().await["data"], 1);
    assert_eq!((first.asked(), second.asked()), (asked, 0));
    assert_eq!(node.change(of(&second).set("heartbeat = \"20s\"")), "auth.jwt.jwks_url");
    assert_eq!(socket.closed().await.0, 4001);
    // Nobody has to know that the keys are on their way.
    node.get(CHANNEL).bearer(&by_second).await.ok();
    node.get(CHANNEL).bearer(&by_first).await.problem(401, "bad-token");
    assert!(second.asked() > 0);
    assert_eq!(first.asked(), asked, "it is asked no more");
    node.publish("orders:1", 2).await;
    while of_key.frame_with("data").await["data"] != 2 {}
}

/// Neither needs its peer for it.
#[tokio::test]
async fn a_reader_that_takes_nothing_ends_as_well() {
    // Nothing else falls due meanwhile.
    let plan = || plan().set("heartbeat = \"60s\"\nmax_lag = \"10m\"");
    let mut node = plan().run().await;
    let mut socket = node.raw_socket(CHANNEL).await;
    socket.head().await;
    let _stream = node.sse_as(CHANNEL, Some(KEY)).await;
    let text = "x".repeat(1 << 20);
    for _ in 0..32 {
        node.post(CHANNEL).text(&text).await.ok();
    }
    node.change(plan().keys("\"sk_new\""));
    let gone = async {
        loop {
            let measures = node.get("/metrics").bearer("sk_new").await.ok().body;
            if measures.contains("\ntidings_subscriptions 0\n") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("its end", gone).await;
}
