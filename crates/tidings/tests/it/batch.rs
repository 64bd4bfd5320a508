//! Batches (E36): a result for each message, in order; one that fails does not fail the others.

use serde_json::{Value, json};

use crate::node::{TestNode, token};

async fn results(node: &TestNode, messages: Value) -> Vec<Value> {
    let reply = node.post("/v1/publish").json(&json!({ "messages": messages })).await.ok().json();
    reply["results"].as_array().unwrap().clone()
}

#[tokio::test]
async fn each_message_has_its_own_result() {
    let node = TestNode::usual().await;
    let results = results(
        &node,
        json!([
            {"channel": "orders:1", "data": 0, "id": "a", "event": "made", "key": "k"},
            {"channel": "nowhere:1", "data": 1},
            {"channel": "or ders", "data": 2},
            {"data": 3},
            {"channel": "orders:1"},
            {"channel": "ticks:1", "data": null},
            {"channel": "orders:1", "data": "AP8=", "encoding": "base64"},
            {"channel": "orders:1", "data": 7, "event": "tidings.x"},
            {"channel": "orders:1", "data": 8, "id": "a"},
            "nonsense",
            {"channel": "orders:1", "data": 10},
        ]),
    )
    .await;
    let codes: Vec<_> = results.iter().map(|one| one["error"]["code"].as_str().unwrap_or("ok")).collect();
    let wanted = [
        "ok",
        "unknown-namespace",
        "bad-channel",
        "bad-batch",
        "bad-json",
        "ok",
        "ok",
        "bad-event",
        "ok",
        "bad-json",
        "ok",
    ];
    assert_eq!(codes, wanted);
    assert_eq!(results[1]["error"]["status"], 404, "each is a whole problem");
    assert_eq!((&results[0]["id"], &results[0]["duplicate"]), (&json!("a"), &json!(false)));
    assert_eq!((&results[8]["cursor"], &results[8]["duplicate"]), (&results[0]["cursor"], &json!(true)));
    let page = node.get("/v1/channels/orders:1").await.json();
    let kept: Vec<_> = page["messages"].as_array().unwrap().iter().map(|m| m["data"].clone()).collect();
    assert_eq!(kept, [json!(0), json!("AP8="), json!(10)]);
    assert_eq!(page["messages"][1]["encoding"], "base64");
    assert_eq!((&page["messages"][0]["event"], &page["messages"][0]["key"]), (&json!("made"), &json!("k")));
    assert_eq!(node.get("/v1/channels/ticks:1").await.json()["messages"][0]["data"], Value::Null);
}

#[tokio::test]
async fn only_a_wrong_envelope_is_a_400() {
    let node = TestNode::usual().await;
    let post = |body: String| node.post("/v1/publish").header("content-type", "application/json").body(body);
    for wrong in ["", "[]", "{}", "{\"messages\":{}}", "{\"messages\":[1}", "nonsense"] {
        post(wrong.into()).await.problem(400, "bad-batch");
    }
    let many = |count: usize| {
        let one = json!({"channel": "orders:1", "data": 1});
        post(json!({ "messages": vec![one; count] }).to_string())
    };
    many(1_001).await.problem(400, "bad-batch");
    assert_eq!(many(1_000).await.ok().json()["results"].as_array().unwrap().len(), 1_000);
    assert_eq!(post("{\"messages\":[]}".into()).await.ok().json(), json!({"results": []}));
}

/// G43: credentials are judged before the body.
#[tokio::test]
async fn credentials_are_for_the_whole_batch_and_rights_for_each_message() {
    let node = TestNode::new().namespace("chat", |n| n.set("publish = \"token\"")).run().await;
    let body = json!({"messages": [{"channel": "chat:1", "data": 1}, {"channel": "chat:2", "data": 2}]});
    let anonymous = node.call("POST", "/v1/publish");
    anonymous.json(&body).await.problem(401, "no-credentials");
    node.call("POST", "/v1/publish").body("nonsense").await.problem(401, "no-credentials");
    node.call("POST", "/v1/publish").bearer("x").json(&body).await.problem(401, "bad-token");
    let alice = token("alice", &[], &["chat:2"]);
    let results = node.call("POST", "/v1/publish").bearer(&alice).json(&body).await.ok().json();
    assert_eq!(results["results"][0]["error"]["code"], "forbidden");
    assert_eq!(results["results"][1]["channel"], "chat:2");
}
