//! Lengths that two servers could understand in two ways: it must be one, or none (RFC 9112 section 6).

use crate::node::{KEY, TestNode};

use super::{ORDERS, Witness, refusal};

fn post(lines: &str, rest: &str) -> String {
    format!(
        "POST {ORDERS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\nContent-Type: text/plain\r\n\
         {lines}\r\n{rest}"
    )
}

/// The data of all that `orders:1` keeps.
async fn kept(node: &TestNode) -> Vec<String> {
    let page = node.get(&format!("{ORDERS}?limit=1000")).await.ok().json();
    page["messages"].as_array().unwrap().iter().map(|m| m["data"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_length_that_is_none_is_refused() {
    let node = TestNode::usual().await;
    let mut witness = Witness::of(&node).await;
    for length in
        ["-1", "+2", "2,3", "2, 3", "0x2", "2e0", "2.0", "", " ", "two", "2 2", "99999999999999999999999"]
    {
        let reply = refusal(&node, post(&format!("Content-Length: {length}\r\n"), "hi")).await;
        assert_eq!(reply.status, 400, "{length}: {}", reply.head.text);
        reply.problem(400, "bad-request");
    }
    for lines in [
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding:\x0bchunked\r\n",
        "Transfer-Encoding: gzip\r\nContent-Length: 2\r\n",
    ] {
        let reply = refusal(&node, post(lines, "2\r\nhi\r\n0\r\n\r\n")).await;
        assert_eq!(reply.status, 400, "{lines}: {}", reply.head.text);
        reply.problem(400, "bad-request");
    }
    let old = post("Transfer-Encoding: chunked\r\n", "2\r\nhi\r\n0\r\n\r\n").replace("HTTP/1.1", "HTTP/1.0");
    refusal(&node, old).await.problem(400, "bad-request");
    witness.goes_on(&node).await;
    for length in ["1048577", "9223372036854775807", "18446744073709551613", "18446744073709551615"] {
        let reply = refusal(&node, post(&format!("Content-Length: {length}\r\n"), "hi")).await;
        assert_eq!(reply.status, 413, "{length}: {}", reply.head.text);
        reply.problem(413, "too-large");
    }
    assert_eq!(kept(&node).await, Vec::<String>::new());
    witness.lost_nothing(&node).await;
}

/// Where there are both lengths the chunks count, and the connection ends: nothing behind it is a request.
#[tokio::test]
async fn of_two_lengths_one_counts_and_the_connection_ends() {
    let node = TestNode::usual().await;
    let witness = Witness::of(&node).await;
    let smuggled = format!("GET {ORDERS} HTTP/1.1\r\nHost: smuggled\r\n\r\n");
    for (n, lines) in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: nonsense\r\nConnection: keep-alive\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        let mut raw = node.raw().await;
        raw.send(post(lines, &format!("2\r\n#{n}\r\n0\r\n\r\n{smuggled}"))).await;
        raw.reply("POST").await.ok();
        assert_eq!(raw.rest().await, "", "{lines}");
    }
    assert_eq!(kept(&node).await, ["#0", "#1", "#2", "#3"]);
    // The same length twice is that length.
    let mut raw = node.raw().await;
    raw.send(post("Content-Length: 2\r\nContent-Length: 2\r\n", &format!("hi{smuggled}"))).await;
    raw.reply("POST").await.ok();
    raw.reply("GET").await.ok();
    witness.lost_nothing(&node).await;
}

/// What a length says is the body, whatever it looks like.
#[tokio::test]
async fn a_body_that_looks_like_a_request_is_a_body() {
    let node = TestNode::usual().await;
    let witness = Witness::of(&node).await;
    let inner = format!("POST {ORDERS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n");
    let mut raw = node.raw().await;
    raw.send(post(&format!("Content-Length: {}\r\n", inner.len()), &inner)).await;
    raw.reply("POST").await.ok();
    let chunked = format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    raw.send(post("Transfer-Encoding: chunked\r\n", &chunked)).await;
    raw.reply("POST").await.ok();
    // A body where none is asked for, and one behind a request that is refused, are no requests either.
    raw.send(format!(
        "GET {ORDERS}?last=0 HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{inner}",
        inner.len()
    ))
    .await;
    raw.reply("GET").await.ok();
    let mut refused = node.raw().await;
    refused
        .send(post(&format!("Content-Length: {}\r\n", inner.len()), &inner).replace("orders:1", "or%20ders"))
        .await;
    refused.reply("POST").await.problem(400, "bad-channel");
    assert_eq!(kept(&node).await, [inner.as_str(), &inner]);
    witness.lost_nothing(&node).await;
}
