//! Each transport over TLS, and one cursor for all of them.

use tidings::client::Transport::{LongPoll, Poll, Sse, Ws};
use tidings::client::{Body, Draft, Endpoint, Error, Item, Reader, Start, Subscription, Timing, publish};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use url::Url;

use super::{Authority, Secure};
use crate::node::{KEY, TestNode};
use crate::raw::soon;

#[tokio::test]
async fn a_cursor_moves_from_one_transport_to_the_next() {
    let secure = Secure::usual().await;
    let many = secure.many().await;
    for n in 0..8 {
        many.publish("orders:1", n).await;
    }
    // HTTP/2 SSE, then HTTP/1.1 WebSocket, then polls: two messages each.
    let mut events = many.sse("/v1/channels/orders:1?after=earliest").await;
    let mut cursor = String::new();
    for n in 0..2 {
        let (id, data) = events.event().await;
        assert_eq!(data, n.to_string());
        cursor = id;
    }
    let mut next = 2;
    for transport in [Ws, LongPoll, Poll] {
        let mut reader = secure.reader(transport, &["orders:1"], Start::After(cursor.clone()));
        for _ in 0..2 {
            let Item::Message(message) = reader.next().await else { panic!("{transport}") };
            assert_eq!(message.parts().unwrap().data.to_string(), next.to_string(), "{transport}");
            cursor = message.cursor().to_owned();
            next += 1;
        }
    }
    many.publish("orders:1", "last").await;
    let mut again = many.sse(&format!("/v1/channels/orders:1?after={cursor}")).await;
    assert_eq!(again.event().await.1, "\"last\"");
}

#[tokio::test]
async fn messages_come_live_on_each() {
    let secure = Secure::usual().await;
    let many = secure.many().await;
    for transport in [Ws, Sse, LongPoll, Poll] {
        let channel = format!("orders:{transport}");
        many.publish(&channel, "before").await;
        let mut reader = secure.reader(transport, &[&channel], Start::Latest).connected().await;
        for n in 0..20 {
            many.publish(&channel, n).await;
        }
        let wanted: Vec<_> = (0..20).map(|n| n.to_string()).collect();
        assert_eq!(reader.data(20).await, wanted, "{transport}");
    }
}

/// Many records of TLS, in both directions.
#[tokio::test]
async fn large_messages_arrive_whole() {
    let secure = Secure::usual().await;
    let many = secure.many().await;
    let large = "x".repeat(900_000);
    for transport in [Ws, Sse, LongPoll, Poll] {
        let channel = format!("orders:{transport}");
        let mut reader = secure.reader(transport, &[&channel], Start::Latest).connected().await;
        many.publish(&channel, large.clone()).await;
        assert_eq!(reader.data(1).await[0].len(), large.len() + 2, "{transport}");
    }
}

#[tokio::test]
async fn plain_http_to_the_port_of_tls_is_told_so() {
    let secure = Secure::usual().await;
    let refused = secure.node.get("/v1/channels/orders:1").await;
    let problem = refused.problem(400, "tls-required");
    assert!(problem["detail"].as_str().unwrap().contains("https://"), "{problem}");
    let socket = secure.node.get("/v1/channels/orders:1").header("upgrade", "websocket");
    socket.header("connection", "upgrade").await.problem(400, "tls-required");
    // What is neither is not answered for ever.
    let mut raw = secure.node.raw().await;
    raw.send("\0\0\0\0\0\0").await;
    raw.rest().await;
}

#[tokio::test]
async fn a_client_of_tls_finds_out_what_is_wrong() {
    let plain = TestNode::usual().await;
    let secure = Secure::usual().await;
    let stranger = Authority::new().pem();
    let cases = [
        (plain.address, secure.authority.pem(), "does not speak TLS"),
        (secure.node.address, stranger, "certificate is not trusted"),
    ];
    for (address, ca, wanted) in cases {
        let url = Url::parse(&format!("https://{address}")).unwrap();
        let endpoint = Endpoint::trusting(url, Some(KEY), Some(ca.as_bytes())).unwrap();
        for transport in [Ws, Sse, Poll] {
            let (channels, start) = (vec!["orders:1".to_owned()], Start::Latest);
            let transport = Some(transport);
            let subscription =
                Subscription { channels, start, transport, limit: None, timing: Timing::default() };
            let mut reader = Reader::new(endpoint.clone(), subscription);
            let error = loop {
                match soon("an end", reader.next()).await {
                    Ok(Item::Status(_)) => {}
                    Ok(item) => panic!("{item:?}"),
                    Err(error) => break error,
                }
            };
            assert!(
                matches!(&error, Error::Untrusted(why) if why.contains(wanted)),
                "{transport:?}: {error:?}"
            );
        }
        let draft = Draft {
            channel: "orders:1".into(),
            event: None,
            key: None,
            id: None,
            close: false,
            body: Body::Text("x".into()),
        };
        let sent = publish(&endpoint, &draft, |_, _| {}).await;
        assert!(matches!(&sent, Err(Error::Untrusted(why)) if why.contains(wanted)), "{sent:?}");
    }
}

/// A client that says nothing, or half of what it must, does not keep a connection.
#[tokio::test]
async fn a_handshake_has_its_time() {
    let secure = Secure::usual().await;
    let (address, began) = (secure.node.address, Instant::now());
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
    for stream in [&mut silent, &mut slow] {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = soon("the end", stream.read_to_end(&mut rest)).await;
    }
    let seconds = began.elapsed().as_secs();
    assert!((9..14).contains(&seconds), "{seconds}");
}
