//! HTTP around every path: the order of checks, methods, CORS, limits of a head, and 100-continue.

use serde_json::json;

use crate::node::{KEY, TestNode, token};

const ORDERS: &str = "/v1/channels/orders:1";

/// G43: path, method, channel name, namespace, credentials, right, query, body.
#[tokio::test]
async fn checks_come_in_their_order() {
    let node = TestNode::new().namespace("orders", |n| n.set("subscribe = \"token\"")).run().await;
    let bob = token("bob", &[], &[]);
    for (method, bad) in [("GET", "bad-query"), ("POST", "bad-json")] {
        let call = |target: &str| {
            let call = node.call(method, target).header("content-type", "application/json");
            if method == "POST" { call.body("nonsense") } else { call }
        };
        call("/v1/nowhere/or%20ders?limit=x").bearer("bad").await.problem(404, "not-found");
        node.call("PATCH", "/v1/channels/or%20ders").await.problem(405, "method-not-allowed");
        call("/v1/channels/or%20ders?limit=x").bearer("bad").await.problem(400, "bad-channel");
        call("/v1/channels/nowhere:1?limit=x").bearer("bad").await.problem(404, "unknown-namespace");
        call("/v1/channels/nowhere:1?limit=x")
            .header("authorization", "Basic x")
            .await
            .problem(404, "unknown-namespace");
        call(&format!("{ORDERS}?limit=x")).bearer("bad").await.problem(401, "bad-token");
        call(&format!("{ORDERS}?limit=x")).await.problem(401, "no-credentials");
        call(&format!("{ORDERS}?limit=x")).bearer(&bob).await.problem(403, "forbidden");
        call(&format!("{ORDERS}?limit=x&event="))
            .bearer(KEY)
            .await
            .problem(400, if method == "GET" { bad } else { "bad-event" });
        if method == "POST" {
            call(ORDERS).bearer(KEY).await.problem(400, bad);
        }
    }
}

#[tokio::test]
async fn what_no_channel_is_named_like() {
    let node = TestNode::usual().await;
    for name in [
        "%ff",
        "%00",
        "a%2Fb",
        "%2e%2e",
        ".",
        "%C3%BC",
        "a%0Ab",
        "$presence:x",
        "%24x",
        "a*",
        &"x".repeat(256),
    ] {
        let reply = node.get(&format!("/v1/channels/{name}")).await;
        reply.problem(400, "bad-channel");
        node.post(&format!("/v1/channels/{name}")).text("x").await.problem(400, "bad-channel");
        node.get(&format!("/v1/channels/{name}/presence")).await.problem(400, "bad-channel");
        node.get(&format!("/v1/subscribe?channel={name}")).await.problem(400, "bad-channel");
    }
    node.call("PATCH", "/v1/channels/%ff").await.problem(405, "method-not-allowed");
    node.get("/v1/channels/default-is-not-declared").await.problem(404, "unknown-namespace");
    node.get("/v1/channels/orders%3A1").await.ok();
    for path in [
        "/",
        "/v1",
        "/v1/channel",
        "/v1/channels/",
        "/v1/channels/orders:1/",
        "/v1/channels/orders:1/x",
        "//v1/publish",
    ] {
        node.get(path).await.problem(404, "not-found");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let node = TestNode::usual().await;
    for (method, path, allow) in [
        ("PATCH", ORDERS, "GET, HEAD, POST, PUT, DELETE, OPTIONS"),
        ("POST", "/v1/subscribe?channel=orders:1", "GET, HEAD, OPTIONS"),
        ("GET", "/v1/publish", "POST, OPTIONS"),
        ("HEAD", "/v1/publish", "POST, OPTIONS"),
        ("POST", "/v1/channels/orders:1/presence", "GET, HEAD, OPTIONS"),
        ("POST", "/healthz", "GET, HEAD, OPTIONS"),
        ("DELETE", "/readyz", "GET, HEAD, OPTIONS"),
        ("POST", "/metrics", "GET, HEAD, OPTIONS"),
    ] {
        let reply = node.call(method, path).await;
        assert_eq!((reply.status, reply.header("allow")), (405, allow), "{method} {path}");
        if method != "HEAD" {
            reply.problem(405, "method-not-allowed");
        }
    }
}

/// C22: HEAD is the poll without its body.
#[tokio::test]
async fn head_is_a_poll_without_its_body() {
    let node = TestNode::usual().await;
    node.publish("orders:1", json!("ü")).await;
    let head = node.call("HEAD", ORDERS).header("accept", "text/event-stream").await;
    let get = node.get(ORDERS).await.ok();
    assert_eq!(head.status, 200);
    for name in ["etag", "content-type", "content-length", "tidings-delivery", "cache-control", "vary"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
    assert_eq!(get.header("content-length"), get.body.len().to_string());
    let known = node.call("HEAD", ORDERS).header("if-none-match", get.header("etag")).await;
    assert_eq!(known.status, 304);
}

/// C23.
#[tokio::test]
async fn any_page_may_and_errors_say_so_too() {
    let node = TestNode::usual().await;
    let preflight = node.call("OPTIONS", ORDERS).header("origin", "https://a.example");
    let preflight = preflight.header("access-control-request-method", "POST").await;
    assert_eq!((preflight.status, preflight.body.as_str()), (204, ""));
    assert_eq!(preflight.header("access-control-allow-origin"), "*");
    assert!(preflight.header("access-control-allow-methods").contains("POST"));
    for name in [
        "Authorization",
        "Content-Type",
        "Idempotency-Key",
        "Last-Event-ID",
        "If-None-Match",
        "Tidings-Event",
    ] {
        assert!(preflight.header("access-control-allow-headers").contains(name), "{name}");
    }
    let wrong = node.call("POST", ORDERS).header("origin", "https://a.example");
    let stream = node.get(ORDERS).header("accept", "text/event-stream").header("authorization", "x");
    for reply in [
        node.get(ORDERS).await,
        wrong.await,
        node.get("/nowhere").await,
        stream.await,
        node.get("/readyz").await,
    ] {
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        assert_eq!(
            reply.header("access-control-expose-headers"),
            "ETag, Tidings-Poll-After, Tidings-Delivery, Retry-After"
        );
        assert_eq!(reply.head.header("access-control-allow-credentials"), None);
    }
    let mut raw = node.raw().await;
    raw.send(format!("GET {ORDERS} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")).await;
    assert_eq!(raw.head().await.header("access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn a_list_of_origins_is_kept_on_http_and_websocket() {
    let node = TestNode::new()
        .namespace("orders", |n| n)
        .set("[cors]\norigins = [\"https://a.example\"]")
        .run()
        .await;
    let good = node.get(ORDERS).header("origin", "https://a.example").await.ok();
    assert_eq!(good.header("access-control-allow-origin"), "https://a.example");
    assert!(good.head.text.to_ascii_lowercase().contains("vary: origin"));
    let bad = node.get(ORDERS).header("origin", "https://b.example").await.ok();
    assert_eq!(bad.head.header("access-control-allow-origin"), None);
    let preflight = node.call("OPTIONS", ORDERS).header("origin", "https://b.example").await;
    assert_eq!((preflight.status, preflight.head.header("access-control-allow-origin")), (204, None));
    for (origin, status) in [("https://a.example", 101), ("https://b.example", 403), ("null", 403)] {
        let mut raw = node.raw().await;
        let upgrade =
            crate::socket::upgrade(ORDERS).replace("Host: ", &format!("Origin: {origin}\r\nHost: "));
        raw.send(upgrade).await;
        assert_eq!(raw.head().await.status, status, "{origin}");
    }
}

#[tokio::test]
async fn heads_have_limits() {
    let node = TestNode::usual().await;
    let padded = |bytes: usize| format!("{ORDERS}?x={}", "x".repeat(bytes - ORDERS.len() - 3));
    node.get(&padded(16 * 1024)).await.ok();
    node.get(&padded(16 * 1024 + 1)).await.problem(414, "uri-too-long");
    node.get(&padded(60 * 1024)).await.problem(414, "uri-too-long");
    let far = node.get(&padded(100 * 1024)).await;
    assert!(matches!(far.status, 414 | 431), "{}", far.status);
    let many = (0..101).map(|n| format!("channel=orders:{n}")).collect::<Vec<_>>().join("&");
    node.get(&format!("/v1/subscribe?{many}")).await.problem(400, "too-many-channels");
    let hundred = many.rsplit_once('&').unwrap().0;
    let page = node.get(&format!("/v1/subscribe?{hundred}&channel=orders:1")).await.ok();
    assert_eq!(page.text("cursor").len(), 3_200, "duplicates are folded");
    node.get("/v1/subscribe").await.problem(400, "bad-query");
    let long = node.get(ORDERS).header("x", &"x".repeat(2 << 20)).await;
    assert_eq!(long.status, 431);
}

/// A client that waits for 100 before its body is told so, and one that is refused is not asked for it.
#[tokio::test]
async fn expect_100_continue() {
    let node = TestNode::usual().await;
    let head = |target: &str| {
        format!(
            "POST {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: text/plain\r\n\
             Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let mut raw = node.raw().await;
    raw.send(head(ORDERS)).await;
    assert_eq!(raw.head().await.text, "HTTP/1.1 100 Continue\r\n\r\n");
    raw.send("hi").await;
    raw.reply("POST").await.ok();
    let mut raw = node.raw().await;
    raw.send(head("/v1/channels/nowhere:1")).await;
    raw.reply("POST").await.problem(404, "unknown-namespace");
}
