//! What a node's log never holds, at its most talkative: credentials and payloads.

use serde_json::json;

use crate::node::{KEY, SECRET, TestNode, now_ms, sign, token};
use crate::process::Process;
use crate::raw::Raw;
use crate::socket::upgrade;

const CHANNEL: &str = "/v1/channels/rooms:1";

#[tokio::test]
async fn no_credential_and_no_payload_is_logged() {
    let plan = TestNode::new().namespace("rooms", |n| n.set("subscribe = \"token\"\npublish = \"token\""));
    let mut node = Process::talkative(plan).await;
    let alice = token("alice", &["rooms:*"], &["rooms:*"]);
    let bob = token("bob", &[], &[]);
    let expired = sign(&json!({ "sub": "carol", "exp": now_ms() / 1_000 - 60 }));
    for credential in [&alice, &bob, &expired, KEY, "a_word_that_is_no_token"] {
        for target in ["", "?limit=x", "?wait=0.01", "?after=nonsense", "/presence", "/nowhere"] {
            let joint = if target.contains('?') { '&' } else { '?' };
            node.call("GET", &format!("{CHANNEL}{target}")).bearer(credential).await;
            node.call("GET", &format!("{CHANNEL}{target}{joint}token={credential}")).await;
        }
        node.call("GET", "/metrics").bearer(credential).await;
        node.call("POST", CHANNEL).bearer(credential).text("a_payload_of_the_log").await;
        node.call("POST", &format!("{CHANNEL}?token={credential}"))
            .header("content-type", "application/x-ndjson")
            .body("\"a_payload_of_the_log\"\n a_payload_of_the_log")
            .await;
        let mut stream = Raw::connect(node.address).await;
        stream
            .send(format!(
                "GET {CHANNEL}?limit=1&after=earliest&token={credential} HTTP/1.1\r\nHost: x\r\n\
                 Connection: close\r\nAccept: text/event-stream\r\n\r\n"
            ))
            .await;
        stream.rest().await;
        let mut socket = Raw::connect(node.address).await;
        socket.send(upgrade(&format!("{CHANNEL}?token={credential}")).replace(KEY, credential)).await;
        socket.head().await;
        socket.send(crate::socket::frame(1, br#"{"data":"a_payload_of_the_log","event":"tidings.x"}"#)).await;
        // Not HTTP at all.
        let mut raw = Raw::connect(node.address).await;
        raw.send(format!("{credential} a_payload_of_the_log\r\n\r\n")).await;
        raw.finish().await;
        raw.rest().await;
    }
    node.terminate();
    assert!(node.ended().await.success());
    let log = node.log();
    assert!(log.contains("\"code\":\"bad-token\"") && log.contains("shutting down"), "{log}");
    let parts = [&alice, &bob, &expired].into_iter().flat_map(|token| token.split('.').skip(1));
    for secret in parts.chain([KEY, SECRET, "a_word_that_is_no_token", "a_payload"]) {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}
