//! What an operator's machines see, and how a node leaves; a development node.

use serde_json::json;

use crate::node::{KEY, TestNode, now_ms};
use crate::raw::soon;

#[tokio::test]
async fn measures_need_a_key_and_health_does_not() {
    let node = TestNode::usual().await;
    assert_eq!(node.get("/healthz").await.ok().json(), json!({ "status": "ok" }));
    assert_eq!(node.get("/readyz").await.ok().json(), json!({ "status": "ok" }));
    node.get("/metrics").await.problem(401, "no-credentials");
    node.publish("orders:1", 1).await;
    let measures = node.get("/metrics").bearer(KEY).await.ok().body;
    assert!(measures.contains("tidings_published_total{namespace=\"orders\"} 1"), "{measures}");
    // What this call could be of use for to a stranger: nothing.
    let token = crate::node::token("alice", &["*"], &["*"]);
    node.get("/metrics").bearer(&token).await.problem(403, "forbidden");
}

/// A node that has never had its broker takes no traffic, not even for the time of a hiccup, and says why.
#[tokio::test]
async fn a_node_is_not_ready_before_its_broker_has_answered() {
    // A port that nobody listens at.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for kind in ["redis", "nats"] {
        let broker = format!("broker.kind = \"{kind}\"\nbroker.url = \"{kind}://{free}\"");
        let node = TestNode::new().set(&broker).namespace("orders", |n| n).run().await;
        let reply = node.get("/readyz").await;
        let detail = reply.problem(503, "broker-unavailable")["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.contains("broker cannot be reached") || detail.contains("does not answer"),
            "{detail}"
        );
        node.get("/healthz").await.ok();
    }
}

#[tokio::test]
async fn the_measures_of_a_disk() {
    let folder = tempfile::tempdir().unwrap();
    let broker = format!("broker.kind = \"disk\"\nbroker.path = {:?}", folder.path().join("data"));
    let node = TestNode::new().set(&broker).namespace("orders", |n| n).run().await;
    node.publish("orders:1", 1).await;
    // The node itself appends how it is.
    assert!(node.measure("tidings_disk_append_seconds_count").await >= 1.0);
    assert!(node.measure("tidings_disk_batch_messages_sum").await >= 1.0);
    assert!(node.measure("tidings_disk_sync_seconds_count").await >= 1.0);
    assert_eq!(node.measure("tidings_disk_damaged_messages_total").await, 0.0);
    let looked = async {
        while node.measure("tidings_disk_store_bytes").await == 0.0 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    soon("a look at the files", looked).await;
    assert!(node.measure("tidings_disk_wal_bytes").await > 0.0);
}

#[tokio::test]
async fn a_node_that_stops_tells_everybody_to_come_back() {
    let node = TestNode::usual().await;
    let mut stream = node.sse("/v1/channels/orders:1").await;
    let mut socket = node.socket("/v1/channels/orders:1").await;
    socket.frame_with("subscribed").await;
    let began_ms = now_ms();
    let TestNode { node, .. } = node;
    let stopped = tokio::spawn(node.stop());
    let last = soon("the end of the stream", stream.rest()).await;
    assert!(last.contains("retry: ") && last.contains("id: "), "{last}");
    let (code, reason) = socket.closed().await;
    assert_eq!((code, &reason["code"]), (4000, &json!("draining")));
    assert!(reason["retry_ms"].as_u64().is_some_and(|ms| ms > 0), "{reason}");
    drop(socket);
    soon("the node's end", stopped).await.unwrap();
    // Nobody held it up for the whole grace.
    assert!(now_ms() - began_ms < 9_000);
}

#[tokio::test]
async fn a_development_node_serves_this_machine() {
    let node = TestNode::new().dev().run().await;
    let page = node.get("/").await.ok();
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let wish = json!({ "user": "alice", "subscribe": ["demo:*"] });
    let token = node.call("POST", "/dev/token").json(&wish).await.ok().json();
    let token = token["token"].as_str().unwrap();
    node.get("/v1/channels/demo:a").bearer(token).await.ok();
    node.get("/v1/channels/durable:a").bearer(token).await.problem(403, "forbidden");
    node.get("/healthz").header("origin", "http://evil.test").await.problem(403, "origin-refused");
    let mut raw = node.raw().await;
    raw.send("GET /healthz HTTP/1.1\r\nhost: evil.test\r\n\r\n").await;
    raw.reply("GET").await.problem(403, "origin-refused");
}

#[tokio::test]
async fn a_node_serves_its_dashboard_and_a_development_node_the_other_pages_too() {
    let node = TestNode::usual().await;
    let page = node.get("/dashboard").await.ok();
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").contains("default-src 'self'"));
    let script = node.get("/pages/dashboard.js").await.ok();
    assert_eq!(script.header("content-type"), "text/javascript; charset=utf-8");
    let etag = script.header("etag").to_owned();
    let again = node.get("/pages/dashboard.js").header("if-none-match", &etag).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    for path in ["/lab", "/advisor", "/pages/nothing.js", "/pages/..%2f..%2fpackage.json"] {
        node.get(path).await.problem(404, "not-found");
    }
    let node = TestNode::new().dev().run().await;
    for path in ["/lab", "/advisor", "/dashboard"] {
        assert!(node.get(path).await.ok().body.contains("<main id=\"main\""), "{path}");
    }
}

#[tokio::test]
async fn a_development_node_advises_by_the_rules_of_the_command() {
    let node = TestNode::new().dev().run().await;
    let situation = json!({
        "sends": "never", "fresh_s": 60, "every_s": 600, "users": 2_000, "bytes": 200,
        "loss": "never", "network": "unknown",
    });
    let advice = node.call("POST", "/dev/advise").json(&situation).await.ok().json();
    assert_eq!(advice["decision"]["ladder"], json!(["poll"]));
    assert!(advice["configuration"].as_str().unwrap().contains("delivery = \"at-least-once\""));
    let examples = node.get("/dev/advise/examples").await.ok().json();
    assert_eq!(examples["examples"][1]["name"], "Chat");
    let advice =
        node.call("POST", "/dev/advise").json(&examples["examples"][1]["situation"]).await.ok().json();
    assert_eq!(advice["decision"]["ladder"][0], "sse");
    node.call("POST", "/dev/advise").json(&json!({ "sends": "never" })).await.problem(400, "bad-json");
}

#[tokio::test]
async fn a_page_imports_the_sdk_of_its_node() {
    let node = TestNode::usual().await;
    for path in ["/sdk/tidings.js", "/sdk/tabs.js"] {
        let module = node.get(path).header("origin", "https://shop.test").await.ok();
        assert_eq!(module.header("content-type"), "text/javascript; charset=utf-8");
        assert_eq!(module.header("access-control-allow-origin"), "*");
        assert!(module.body.contains("export"), "{path}");
        let etag = module.header("etag").to_owned();
        for known in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".into()] {
            let again = node.get(path).header("if-none-match", &known).await;
            assert_eq!((again.status, again.header("etag")), (304, etag.as_str()), "{known}");
            assert_eq!(again.body, "");
        }
        node.get(path).header("if-none-match", "\"other\"").await.ok();
        node.call("POST", path).await.problem(405, "method-not-allowed");
    }
}

/// M54: more channels are read than the node follows. Nobody is refused, and nothing is lost.
#[tokio::test]
async fn more_channels_than_feeds() {
    let node = TestNode::new().set("limits.feeds = 2").namespace("orders", |n| n).run().await;
    let mut streams = Vec::new();
    for n in 0..6 {
        let mut stream = node.sse(&format!("/v1/channels/orders:{n}")).await;
        stream.block().await;
        streams.push(stream);
    }
    let mut socket = node.socket("/v1/channels/orders:6").await;
    socket.frame_with("subscribed").await;
    for round in 0..2 {
        for n in 0..7 {
            node.publish(&format!("orders:{n}"), round).await;
        }
        for stream in &mut streams {
            assert!(stream.event().await.ends_with(&format!("\ndata: {round}")));
        }
        assert_eq!(socket.frame_with("data").await["data"], round);
    }
    let measures = node.get("/metrics").bearer(KEY).await.ok().body;
    assert!(
        measures.contains("tidings_feeds 2\n") && measures.contains("tidings_feeds_polled 5\n"),
        "{measures}"
    );
}
