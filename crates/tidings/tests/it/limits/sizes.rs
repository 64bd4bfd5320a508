//! Names and batches.

use serde_json::json;

use crate::node::{KEY, TestNode};

#[tokio::test]
async fn names_of_channels_may_be_limited_further() {
    let node = TestNode::new().namespace("orders", |n| n).set("limits.channel_bytes = 16").run().await;
    node.post("/v1/channels/orders:123456789").text("x").await.ok();
    let long = "orders:1234567890";
    for call in
        [node.post(&format!("/v1/channels/{long}")).text("x"), node.get(&format!("/v1/channels/{long}"))]
    {
        let problem = call.await.problem(400, "bad-channel");
        assert!(problem["detail"].as_str().unwrap().contains("16 bytes"), "{problem}");
    }
    node.get(&format!("/v1/channels/{long}/presence")).await.problem(400, "bad-channel");
    let reply =
        node.post("/v1/publish").json(&json!({ "messages": [{ "channel": long, "data": 1 }] })).await.ok();
    assert_eq!(reply.json()["results"][0]["error"]["code"], "bad-channel");
    let mut session = node.socket_as("/v1/connect", Some(KEY)).await;
    session.send(json!({ "id": 1, "subscribe": { "channel": long } })).await;
    assert_eq!(session.frame().await["error"]["code"], "bad-channel");
}

#[tokio::test]
async fn batches_may_be_limited_further() {
    let node = TestNode::new().namespace("orders", |n| n).set("limits.batch_messages = 2").run().await;
    let batch = |count: usize| {
        let messages: Vec<_> = (0..count).map(|n| json!({ "channel": "orders:1", "data": n })).collect();
        node.post("/v1/publish").json(&json!({ "messages": messages }))
    };
    batch(2).await.ok();
    let problem = batch(3).await.problem(400, "bad-batch");
    assert!(problem["detail"].as_str().unwrap().contains("of at most 2"), "{problem}");
}
