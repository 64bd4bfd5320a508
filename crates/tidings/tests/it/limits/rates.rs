//! How fast one may publish, and connect.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::node::{KEY, TestNode, sign};
use crate::time::Time;

const CHANNEL: &str = "/v1/channels/chat:1";

async fn node(time: &Time) -> TestNode {
    let plan = TestNode::new().namespace("chat", |n| n.set("publish = \"user\""));
    let plan = plan.set("limits.publish_rate = 10\nlimits.publish_burst = 5\nheartbeat = \"60s\"");
    plan.clock(&time.clock).run().await
}

fn token(time: &Time, user: &str) -> String {
    sign(&json!({ "sub": user, "exp": time.now_ms() / 1_000 + 3_600 }))
}

#[tokio::test]
async fn a_user_who_is_too_fast_is_told_when_to_go_on() {
    let time = Time::stop();
    let node = node(&time).await;
    let (alice, bob) = (token(&time, "alice"), token(&time, "bob"));
    let publish = |who: &str| node.call("POST", CHANNEL).bearer(who).text("x");
    for _ in 0..5 {
        publish(&alice).await.ok();
    }
    let refused = publish(&alice).await;
    assert_eq!(refused.head.header("retry-after"), Some("1"));
    let problem = refused.problem(429, "rate-limited");
    assert_eq!((&problem["retry_ms"], &problem["stored"]), (&json!(100), &json!(false)));
    publish(&bob).await.ok();
    for _ in 0..10 {
        publish(KEY).await.ok();
    }
    time.pass(100).await;
    publish(&alice).await.ok();
    publish(&alice).await.problem(429, "rate-limited");
    node.get(CHANNEL).bearer(&alice).await.ok();
}

#[tokio::test]
async fn in_a_batch_and_in_frames_each_message_has_its_answer() {
    let time = Time::stop();
    let node = node(&time).await;
    let messages: Vec<_> = (0..7).map(|n| json!({ "channel": format!("chat:{n}"), "data": n })).collect();
    let call = node.call("POST", "/v1/publish").bearer(&token(&time, "alice"));
    let reply = call.json(&json!({ "messages": messages })).await.ok().json();
    let results = reply["results"].as_array().unwrap();
    let codes: Vec<_> = results.iter().map(|one| one["error"]["code"].as_str().unwrap_or("ok")).collect();
    assert_eq!(codes, ["ok", "ok", "ok", "ok", "ok", "rate-limited", "rate-limited"]);

    let bob = token(&time, "bob");
    let mut socket = node.socket_as(CHANNEL, Some(&bob)).await;
    let mut session = node.socket_as("/v1/connect", Some(&token(&time, "carol"))).await;
    for n in 0..5 {
        socket.send(json!({ "data": n, "id": format!("b{n}") })).await;
        socket.frame_with("published").await;
        session.send(json!({ "id": n, "publish": { "channel": "chat:1", "data": n } })).await;
        session.frame_with("published").await;
    }
    socket.send(json!({ "data": 5, "id": "late" })).await;
    let error = socket.frame_with("error").await["error"].clone();
    assert_eq!(
        (&error["code"], &error["id"], &error["retry_ms"]),
        (&json!("rate-limited"), &json!("late"), &json!(100))
    );
    session.send(json!({ "id": 5, "publish": { "channel": "chat:1", "data": 5 } })).await;
    assert_eq!(session.frame_with("error").await["error"]["code"], "rate-limited");
    time.pass(100).await;
    socket.send(json!({ "data": 5, "id": "late" })).await;
    let published: Value = socket.frame_with("published").await;
    assert_eq!(published["published"]["duplicate"], false);
}

#[tokio::test]
async fn a_stream_that_is_too_fast_is_read_more_slowly() {
    let plan = TestNode::new().namespace("chat", |n| n.set("publish = \"user\""));
    let node = plan.set("limits.publish_rate = 100\nlimits.publish_burst = 10").run().await;
    let alice = crate::node::token("alice", &[], &[]);
    let body: String = (0..60).map(|n| format!("{n}\n")).collect();
    let began = Instant::now();
    let call = node.call("POST", CHANNEL).bearer(&alice).header("content-type", "application/x-ndjson");
    assert_eq!(call.body(body).await.ok().json()["published"], 60);
    assert!(began.elapsed() >= Duration::from_millis(490), "{:?}", began.elapsed());
}

#[tokio::test]
async fn connections_are_taken_at_their_rate_and_all_of_them() {
    let node = TestNode::new().namespace("chat", |n| n).set("limits.accept_rate = 50").run().await;
    let mut reader = node.socket(CHANNEL).await;
    reader.frame_with("subscribed").await;
    let began = Instant::now();
    let polls = (0..25).map(|_| async { node.get(CHANNEL).await.ok() });
    let polls = futures_util::future::join_all(polls);
    let news = async {
        // A connection that is there already waits for nobody.
        reader.send(json!({ "data": 1 })).await;
        reader.frame_with("published").await;
        began.elapsed()
    };
    let (_, published) = tokio::join!(polls, news);
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    assert!(published < Duration::from_millis(400), "{published:?}");
}
