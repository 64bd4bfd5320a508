//! A reload in the midst of traffic: nothing is lost for who may stay.

use std::time::Duration;

use tidings::client::{Start, Transport};

use crate::node::{KEY, Plan, TestNode};

const MESSAGES: usize = 600;
const RELOADS: usize = 20;

fn plan(round: usize) -> Plan {
    let more = format!("n{round}");
    let keys = format!("\"{KEY}\", \"sk_{round}\"");
    let plan =
        TestNode::new().namespace("orders", |n| n.retain(1_000 + round as u64)).namespace(&more, |n| n);
    plan.keys(&keys).set(&format!("limits.feeds = {}", 100 + round))
}

#[tokio::test]
async fn nothing_is_lost_for_who_stays() {
    let mut node = plan(0).run().await;
    let mut readers = Vec::new();
    for transport in [Transport::Sse, Transport::Ws, Transport::Session, Transport::LongPoll] {
        for channels in [&["orders:1"][..], &["orders:1", "orders:2"]] {
            let limit = (transport != Transport::LongPoll).then_some(MESSAGES as u64);
            let reading = node.reader(transport, channels, Start::Latest, limit);
            // A connection that ended and came back would not show in what is read.
            readers.push(reading.connected().await);
        }
    }
    let address = node.address;
    let publishing = tokio::spawn(async move {
        for n in 0..MESSAGES {
            TestNode::call_at(address, "POST", "/v1/channels/orders:1")
                .bearer(KEY)
                .text(&n.to_string())
                .await
                .ok();
        }
    });
    let reading: Vec<_> = readers
        .into_iter()
        .map(|mut reader| tokio::spawn(async move { reader.data(MESSAGES).await }))
        .collect();
    for round in 1..=RELOADS {
        assert!(!node.change(plan(round)).is_empty());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    publishing.await.unwrap();
    let all: Vec<_> = (0..MESSAGES).map(|n| format!("\"{n}\"")).collect();
    for read in reading {
        assert_eq!(read.await.unwrap(), all);
    }
}
