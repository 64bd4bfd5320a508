//! `max_rate` and `conflate`, on each transport.

use std::time::Duration;

use serde_json::{Value, json};
use tidings::client::{Endpoint, Item, Rate, Reader, Start, Subscription, Transport};
use tokio::time::Instant;
use url::Url;

use crate::node::{KEY, Reading, TestNode, now_ms};
use crate::raw::soon;

const ORDERS: &str = "/v1/channels/orders:1";

impl TestNode {
    fn paced(&self, transport: Transport, per_second: f64, conflate: bool) -> Reading {
        let endpoint = Endpoint::new(Url::parse(&self.url()).unwrap(), Some(KEY)).unwrap();
        let rate = Some(Rate { per_second, conflate });
        let (start, transport) = (Start::Earliest, Some(transport));
        let subscription = Subscription { start, transport, rate, ..Subscription::to("orders:1") };
        Reading(Reader::new(endpoint, subscription))
    }

    async fn keyed(&self, key: &str, n: u32) {
        self.post(&format!("{ORDERS}?key={key}")).json(&json!(n)).await.ok();
    }
}

#[tokio::test]
async fn every_transport_gives_the_newest_of_each_key() {
    let node = TestNode::usual().await;
    for n in 0..40 {
        node.keyed(["a", "b"][n as usize % 2], n).await;
    }
    for transport in Transport::ALL {
        let mut reading = node.paced(transport, 20.0, true);
        assert_eq!(reading.data(2).await, ["38", "39"], "{transport}");
        // While it reads, too: what it gets is in order, ends with the newest, and has no gap.
        let publish = async {
            for n in 40..100 {
                node.keyed(["a", "b"][n as usize % 2], n).await;
            }
        };
        let read = async {
            let mut last = 39;
            while last < 99 {
                let Item::Message(message) = reading.next().await else { panic!("{transport}: no message") };
                let n: u32 = message.parts().unwrap().data.get().parse().unwrap();
                assert!(n > last, "{transport}: {n} after {last}");
                last = n;
            }
        };
        tokio::join!(publish, read);
        node.keyed("a", 38).await;
        node.keyed("b", 39).await;
    }
}

#[tokio::test]
async fn streams_keep_the_pace_and_lose_nothing() {
    let node = TestNode::usual().await;
    for n in 0..11 {
        node.keyed("a", n).await;
    }
    let expected: Vec<_> = (0..11).map(|n| n.to_string()).collect();
    for transport in [Transport::Ws, Transport::Sse, Transport::Session] {
        let mut reading = node.paced(transport, 20.0, false);
        reading.data(1).await;
        let since = Instant::now();
        assert_eq!(reading.data(10).await, expected[1..], "{transport}");
        assert!(since.elapsed() >= Duration::from_millis(480), "{transport}: {:?}", since.elapsed());
        assert!(since.elapsed() < Duration::from_secs(5), "{transport}: {:?}", since.elapsed());
    }
}

/// A2, M56.
#[tokio::test]
async fn the_guarantee_says_so() {
    let node = TestNode::usual().await;
    node.keyed("a", 1).await;
    let paced = format!("{ORDERS}?after=earliest&max_rate=10");
    for (target, stated) in
        [(paced.clone(), "at-least-once"), (format!("{paced}&conflate=key"), "at-least-once; conflated")]
    {
        let mut raw = node.raw().await;
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
        raw.send(request).await;
        assert_eq!(raw.head().await.header("tidings-delivery"), Some(stated));
        let mut socket = node.socket(&target).await;
        assert_eq!(socket.head.headers()["tidings-delivery"], stated);
        assert_eq!(socket.frame().await["subscribed"]["channels"][0]["delivery"], stated);
        for wait in ["", "&wait=1"] {
            let page = node.get(&format!("{target}{wait}")).await.ok();
            assert_eq!(page.header("tidings-delivery"), stated);
            assert_eq!(page.json()["delivery"], stated);
        }
    }
    let mut session = node.connect(None).await;
    let mut subscribe = async |more: Value| {
        let mut ask = json!({ "channel": format!("orders:{}", now_ms()), "after": "earliest" });
        ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        tokio::time::sleep(Duration::from_millis(2)).await;
        session.call(json!({ "id": 1, "subscribe": ask })).await
    };
    assert_eq!(subscribe(json!({ "max_rate": 0.5 })).await["subscribed"]["delivery"], "at-least-once");
    let reply = subscribe(json!({ "max_rate": 10, "conflate": "key" })).await;
    assert_eq!(reply["subscribed"]["delivery"], "at-least-once; conflated");
    for (bad, code) in [
        (json!({ "max_rate": 0 }), "bad-query"),
        (json!({ "max_rate": 1001 }), "bad-query"),
        (json!({ "max_rate": 1, "conflate": "id" }), "bad-query"),
        (json!({ "conflate": "key" }), "bad-query"),
    ] {
        assert_eq!(subscribe(bad.clone()).await["error"]["code"], code, "{bad}");
    }
}

#[tokio::test]
async fn what_is_no_pace_is_refused_on_every_transport() {
    let node = TestNode::usual().await;
    let bad = [
        "max_rate=0",
        "max_rate=-1",
        "max_rate=x",
        "max_rate=",
        "max_rate=NaN",
        "max_rate=1001",
        "conflate=key",
        "max_rate=1&conflate=id",
        "max_rate=1&conflate=",
        "max_rate=1&max_rate=2",
    ];
    for query in bad {
        for wait in ["", "&wait=1"] {
            node.get(&format!("{ORDERS}?{query}{wait}")).await.problem(400, "bad-query");
        }
        let stream = node.get(&format!("{ORDERS}?{query}")).header("accept", "text/event-stream");
        stream.await.problem(400, "bad-query");
        let mut raw = node.raw_socket(&format!("{ORDERS}?{query}")).await;
        assert_eq!(raw.head().await.status, 400, "{query}");
    }
}

/// Who is cut goes on at its cursor, on any transport: what comes is in order and ends with the newest.
#[tokio::test]
async fn a_cut_loses_nothing_but_what_was_replaced() {
    let node = TestNode::usual().await;
    for n in 0..60 {
        node.keyed(&format!("{}", n % 6), n).await;
    }
    let (mut after, mut got) = ("earliest".to_owned(), Vec::new());
    for _ in 0..3 {
        let target = format!("{ORDERS}?after={after}&max_rate=50&conflate=key&limit=1");
        let mut socket = node.socket(&target).await;
        let frame = socket.frame_with("data").await;
        after = frame["cursor"].as_str().unwrap().to_owned();
        got.push(frame["data"].clone());
        assert_eq!(soon("the limit", socket.closed()).await.0, 1000);
    }
    assert_eq!(got, [54, 55, 56]);
    let page = node.get(&format!("{ORDERS}?after={after}&max_rate=50&conflate=key")).await.ok().json();
    let rest: Vec<_> = page["messages"].as_array().unwrap().iter().map(|one| one["data"].clone()).collect();
    assert_eq!(rest, [57, 58, 59]);
}

#[tokio::test]
async fn several_channels_share_the_pace_of_their_stream() {
    let node = TestNode::usual().await;
    for n in 0..6 {
        for channel in ["orders:1", "orders:2"] {
            node.post(&format!("/v1/channels/{channel}?key=a")).json(&json!(n)).await.ok();
        }
    }
    let query = "channel=orders:1&channel=orders:2&after=earliest&max_rate=10";
    let mut all = node.socket(&format!("/v1/subscribe?{query}")).await;
    all.frame_with("data").await;
    let since = Instant::now();
    for _ in 0..11 {
        all.frame_with("data").await;
    }
    assert!(since.elapsed() >= Duration::from_millis(1_080), "{:?}", since.elapsed());
    let mut newest = node.socket(&format!("/v1/subscribe?{query}&conflate=key")).await;
    for _ in 0..2 {
        assert_eq!(newest.frame_with("data").await["data"], 5);
        newest.frame_with("cursor").await;
    }
}
