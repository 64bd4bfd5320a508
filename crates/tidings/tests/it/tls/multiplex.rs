//! HTTP/2: many streams on one connection, each as good as one of its own.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use super::Secure;
use crate::node::{Namespace, TestNode, now_ms, sign};
use crate::raw::soon;

const ORDERS: &str = "/v1/channels/orders:1";

#[tokio::test]
async fn two_hundred_streams_share_a_connection() {
    let secure = Secure::usual().await;
    let many = secure.many().await;
    let first = many.publish("orders:1", "first").await;
    let streams = join_all((0..200).map(|_| many.sse(ORDERS))).await;
    secure.reading(200).await;
    let readers = streams.into_iter().map(|mut stream| async move {
        let greeting = stream.block().await.unwrap();
        for n in 0..20 {
            assert_eq!(stream.event().await.1, n.to_string());
        }
        (greeting, stream)
    });
    let publish = async {
        for n in 0..20 {
            many.publish("orders:1", n).await;
        }
        // The same connection answers everything else, too.
        many.get(&format!("{ORDERS}?after={first}"), &[]).await.json().await
    };
    let (readers, page) = tokio::join!(join_all(readers), publish);
    assert_eq!(page["messages"].as_array().unwrap().len(), 20);
    for (greeting, _) in &readers {
        assert!(greeting.starts_with("retry: ") && greeting.ends_with(&format!("id: {first}")), "{greeting}");
    }
    // Who goes is gone: a reset of its stream, on a connection that lives on.
    drop(readers);
    secure.reading(0).await;
    many.publish("orders:1", "alive").await;
}

#[tokio::test]
async fn a_stream_ends_after_its_limit() {
    let secure = Secure::usual().await;
    let many = secure.many().await;
    for n in 0..3 {
        many.publish("orders:1", n).await;
    }
    let mut stream = many.sse(&format!("{ORDERS}?after=earliest&limit=2")).await;
    assert_eq!(stream.event().await.1, "0");
    assert_eq!(stream.event().await.1, "1");
    assert_eq!(stream.block().await, None);
    let page = many.get(&format!("{ORDERS}?limit=2"), &[]).await;
    assert_eq!(page.head["tidings-delivery"], "at-least-once");
    let etag = page.head["etag"].to_str().unwrap().to_owned();
    assert_eq!(page.json().await["messages"].as_array().unwrap().len(), 2);
    let same = many.get(&format!("{ORDERS}?limit=2"), &[("if-none-match", &etag)]).await;
    assert_eq!(same.status, 304);
}

#[tokio::test]
async fn several_channels_have_one_cursor() {
    let secure = Secure::usual().await;
    let many = secure.many().await;
    let mut stream = many.sse("/v1/subscribe?channel=orders:1&channel=orders:2").await;
    many.publish("orders:1", 1).await;
    let (cursor, _) = stream.event().await;
    many.publish("orders:2", 2).await;
    let page = format!("/v1/subscribe?channel=orders:1&channel=orders:2&after={cursor}");
    let page = many.get(&page, &[]).await.json().await;
    assert_eq!(page["messages"][0]["data"], 2, "{page}");
    assert_eq!(page["messages"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_quiet_stream_is_proved_alive_and_ends_with_its_token() {
    let plan = TestNode::new().set("heartbeat = \"1s\"");
    let secure = Secure::run(plan.namespace("orders", |n| n.set("subscribe = \"token\""))).await;
    let many = secure.many().await;
    let cursor = many.publish("orders:1", 1).await;
    let exp = now_ms() / 1_000 + 3;
    let token = sign(&json!({ "sub": "a", "exp": exp, "tidings": { "subscribe": ["orders:*"] } }));
    let mut stream = many.sse(&format!("{ORDERS}?token={token}")).await;
    stream.block().await.unwrap();
    assert_eq!(stream.block().await.unwrap(), ":");
    loop {
        match stream.block().await.unwrap().as_str() {
            ":" => {}
            last => {
                assert_eq!(last, format!("retry: 2000\nid: {cursor}"));
                break;
            }
        }
    }
    assert_eq!(stream.block().await, None);
    assert!(now_ms() >= exp * 1_000);
}

#[tokio::test]
async fn a_node_that_leaves_ends_streams_and_then_the_connection() {
    let secure = Secure::usual().await;
    let many = secure.many().await;
    let cursor = many.publish("orders:1", 1).await;
    let mut streams = join_all((0..5).map(|_| many.sse(ORDERS))).await;
    let poll = tokio::spawn({
        let (many, target) = (many.clone(), format!("{ORDERS}?after={cursor}&wait=60"));
        async move { many.get(&target, &[]).await.json().await }
    });
    secure.reading(6).await;
    let (began, Secure { node, .. }) = (Instant::now(), secure);
    let stopped = tokio::spawn(node.node.stop());
    for stream in &mut streams {
        stream.block().await.unwrap();
        let last = stream.block().await.unwrap();
        let retry = last.strip_prefix("retry: ").and_then(|rest| rest.split_once('\n')).unwrap();
        assert!((1_000..=5_000).contains(&retry.0.parse().unwrap()), "{last}");
        assert_eq!(retry.1, format!("id: {cursor}"));
        assert_eq!(stream.block().await, None);
    }
    let page = soon("the poll", poll).await.unwrap();
    assert_eq!((&page["messages"], &page["cursor"]), (&json!([]), &json!(cursor)));
    soon("the node's end", stopped).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // GOAWAY, and then the end.
    let mut send = many.0;
    soon("the end of the connection", async {
        while send.ready().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_too_long_is_refused() {
    let secure = Secure::usual().await;
    let many = secure.many().await;
    let long = many.get(&format!("{ORDERS}?x={}", "x".repeat(17_000)), &[]).await;
    assert_eq!((long.status, &long.json().await["code"]), (414, &json!("uri-too-long")));
    let large = many.get(ORDERS, &[("x", &"x".repeat(70_000))]).await;
    assert_eq!(large.status, 431);
    many.publish("orders:1", "alive").await;
}

#[tokio::test]
async fn presence_counts_the_streams_of_a_connection() {
    let plan = TestNode::new().namespace("chat", |n: Namespace| n.set("presence = true"));
    let secure = Secure::run(plan).await;
    let many = secure.many().await;
    let token = crate::node::token("alice", &["chat:*"], &[]);
    let stream = many.sse(&format!("/v1/channels/chat:1?token={token}")).await;
    let members =
        async || many.get("/v1/channels/chat:1/presence", &[]).await.json().await["count"].as_u64().unwrap();
    assert_eq!(members().await, 1);
    drop(stream);
    soon("alice to be gone", async {
        while members().await > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_connection_too_many_hears_so_once_and_ends() {
    let plan = TestNode::new().namespace("orders", |n| n).set("limits.connections = 1");
    let secure = Secure::run(plan).await;
    let first = secure.many().await;
    first.publish("orders:1", 1).await;
    let second = secure.many().await;
    let answer = second.get(ORDERS, &[]).await;
    assert_eq!((answer.status, answer.json().await["code"].as_str()), (503, Some("overloaded")));
    let mut send = second.0.clone();
    let ended = async {
        while send.ready().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await
        }
    };
    soon("the end", ended).await;
    first.publish("orders:1", 2).await;
}
