//! Heads of requests that are none, or too much.

use std::time::Duration;

use crate::node::{KEY, TestNode};

use super::{ORDERS, Witness, refusal};

/// A request with these lines between the first and the blank one.
fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

#[tokio::test]
async fn what_is_no_request_is_a_problem() {
    let node = TestNode::usual().await;
    let mut witness = Witness::of(&node).await;
    let cases: &[&[u8]] = &[
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello of TLS\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x00\x00\x00\x00\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/0.9\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
        b"GET / HTTP/2\r\nHost: x\r\n\r\n",
        b"GET / http/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
        b"G@T / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"G\xffT / HTTP/1.1\r\nHost: x\r\n\r\n",
        b" GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET  HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /?after=\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\n: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX\xff: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX Y: a\r\n\r\n",
        // RFC 9112 section 3.2.
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ];
    for case in cases {
        let text = String::from_utf8_lossy(case);
        // Whole, and byte by byte where it is short enough.
        let reply = refusal(&node, case).await;
        assert_eq!(reply.status, 400, "{text}: {}", reply.head.text);
        reply.problem(400, "bad-request");
        assert_eq!(reply.header("access-control-allow-origin"), "*", "{text}");
        assert_eq!(reply.header("cache-control"), "no-store");
        assert!(reply.head.header("date").is_some());
    }
    witness.goes_on(&node).await;
    let measures = node.get("/metrics").bearer(KEY).await.ok().body;
    assert!(
        measures.contains("tidings_errors_total{code=\"bad-request\"} 29"),
        "they are counted: {measures}"
    );
    witness.lost_nothing(&node).await;
}

#[tokio::test]
async fn odd_requests_that_are_requests_are_answered() {
    let node = TestNode::usual().await;
    let witness = Witness::of(&node).await;
    let close = "Host: x\r\nConnection: close\r\n";
    for (request, status, code) in [
        (format!("\r\n\r\nGET {ORDERS} HTTP/1.1\r\n{close}\r\n"), 200, ""),
        (format!("GET {ORDERS} HTTP/1.1\n{}\n", close.replace('\r', "")), 200, ""),
        (format!("GET {ORDERS} HTTP/1.0\r\n\r\n"), 200, ""),
        (format!("GET http://elsewhere.example{ORDERS} HTTP/1.1\r\n{close}\r\n"), 200, ""),
        (format!("GET {ORDERS}?limit=1#fragment HTTP/1.1\r\n{close}\r\n"), 200, ""),
        (format!("OPTIONS * HTTP/1.1\r\n{close}\r\n"), 204, ""),
        (format!("GET nowhere HTTP/1.1\r\n{close}\r\n"), 404, "not-found"),
        (format!("GET * HTTP/1.1\r\n{close}\r\n"), 404, "not-found"),
        (format!("GET /%zz HTTP/1.1\r\n{close}\r\n"), 404, "not-found"),
        (format!("GET /v1/channels/%zz HTTP/1.1\r\n{close}\r\n"), 400, "bad-channel"),
        (format!("GET /v1/channels/% HTTP/1.1\r\n{close}\r\n"), 400, "bad-channel"),
        (format!("GET /v1/channels/\u{fc} HTTP/1.1\r\n{close}\r\n"), 400, "bad-channel"),
        (format!("GET /v1/../v1/channels/orders:1 HTTP/1.1\r\n{close}\r\n"), 404, "not-found"),
        (format!("CONNECT example.com:443 HTTP/1.1\r\n{close}\r\n"), 404, "not-found"),
        (format!("get {ORDERS} HTTP/1.1\r\n{close}\r\n"), 405, "method-not-allowed"),
        (format!("BREW {ORDERS} HTTP/1.1\r\n{close}\r\n"), 405, "method-not-allowed"),
        (format!("TRACE {ORDERS} HTTP/1.1\r\n{close}\r\n"), 405, "method-not-allowed"),
        (format!("{} {ORDERS} HTTP/1.1\r\n{close}\r\n", "M".repeat(5_000)), 405, "method-not-allowed"),
    ] {
        let mut raw = node.raw().await;
        raw.send(&request).await;
        let reply = raw.reply("GET").await;
        assert_eq!(reply.status, status, "{request}: {}", reply.head.text);
        if !code.is_empty() {
            reply.problem(status, code);
        }
        assert_eq!(raw.rest().await, "", "{request}");
    }
    witness.lost_nothing(&node).await;
}

/// A6, and its like for the head as a whole.
#[tokio::test]
async fn a_head_has_limits() {
    let node = TestNode::usual().await;
    let mut witness = Witness::of(&node).await;
    let padded = |bytes: usize| format!("{ORDERS}?x={}", "x".repeat(bytes - ORDERS.len() - 3));
    node.get(&padded(16 * 1024)).await.ok();
    for bytes in [16 * 1024 + 1, 60 * 1024, 65_530, 65_536, 100 * 1024, 1 << 20] {
        let reply = node.get(&padded(bytes)).await;
        reply.problem(414, "uri-too-long");
        assert_eq!(reply.header("access-control-allow-origin"), "*");
    }
    // Without an end.
    refusal(&node, format!("GET /{}", "x".repeat(70_000))).await.problem(414, "uri-too-long");
    refusal(&node, "M".repeat(70_000)).await.problem(431, "head-too-large");
    let lines = |count: usize| (0..count).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    let mut raw = node.raw().await;
    raw.send(get(ORDERS, &lines(99))).await;
    raw.reply("GET").await.ok();
    for head in [
        get(ORDERS, &lines(100)),
        get(ORDERS, &lines(5_000)),
        get(ORDERS, &format!("X: {}\r\n", "y".repeat(65_536))),
        get(ORDERS, &format!("X: {}\r\n", "y".repeat(2 << 20))),
        get(ORDERS, &format!("X: {}", "y".repeat(65_536))),
        get(ORDERS, &format!("{}: y\r\n", "X".repeat(70_000))),
    ] {
        refusal(&node, head).await.problem(431, "head-too-large");
    }
    refusal(&node, get(&padded(17_000), &lines(100))).await.problem(414, "uri-too-long");
    witness.goes_on(&node).await;
    node.get(ORDERS).header("x", &"y".repeat(60_000)).await.ok();
    witness.lost_nothing(&node).await;
}

/// A peer that stops in the middle of a head: nothing waits for it for ever, and it is told.
#[tokio::test]
async fn half_a_head() {
    let node = TestNode::usual().await;
    let witness = Witness::of(&node).await;
    for half in ["G", "GET /v1/chan", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: x\r\nX: "] {
        let mut raw = node.raw().await;
        raw.send(half).await;
        raw.finish().await;
        raw.reply("GET").await.problem(400, "bad-request");
    }
    // Nothing at all is no request, and gets no answer.
    let mut silent = node.raw().await;
    silent.finish().await;
    assert_eq!(silent.rest().await, "");
    let mut stopped = node.raw().await;
    stopped.send("GET / HTTP/1.1\r\nHost: x\r\n").await;
    let mut idle = node.raw().await;
    idle.send(get(ORDERS, "")).await;
    idle.reply("GET").await.ok();
    idle.send("\r\n").await;
    let mut never = node.raw().await;
    assert!(stopped.is_quiet().await && idle.is_quiet().await && never.is_quiet().await);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(76)).await;
    tokio::time::resume();
    stopped.reply("GET").await.problem(400, "bad-request");
    assert_eq!(stopped.rest().await, "");
    // A client that had nothing to ask would take an answer for that to its next question.
    assert_eq!(idle.rest().await, "");
    assert_eq!(never.rest().await, "");
    witness.lost_nothing(&node).await;
}
