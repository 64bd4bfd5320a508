//! Two brokers of one server, as two nodes have them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tidings_core::broker::Broker;
use tokio::time::timeout;

use crate::words::{RULES, all, channel, once};

/// Whatever both write at once, there is one order, and a key holds on both.
pub async fn have_one_order_and_share_their_keys<B: Broker + 'static>(nodes: [Arc<B>; 2]) {
    let mut tails = Vec::new();
    for node in &nodes {
        tails.push(node.follow(&channel("a"), &RULES).await.unwrap());
    }
    let writers: Vec<_> = (0..6)
        .map(|writer| {
            let node = nodes[writer % 2].clone();
            tokio::spawn(async move {
                let mut stored = Vec::new();
                for n in 0..40 {
                    // Every key is sent by one writer of each node.
                    let text = format!("{}.{n}", writer / 2);
                    stored
                        .push(node.append(&channel("a"), vec![once(&text)], &RULES).await.unwrap().remove(0));
                }
                stored
            })
        })
        .collect();
    let mut stored = Vec::new();
    for writer in writers {
        stored.push(writer.await.unwrap());
    }
    for (one, other) in [(0, 1), (2, 3), (4, 5)] {
        for (one, other) in stored[one].iter().zip(&stored[other]) {
            assert_eq!(one.position, other.position, "the same place on both nodes");
            assert!(one.duplicate != other.duplicate, "stored once: {one:?} {other:?}");
        }
    }
    let order = all(&*nodes[0], "a").await;
    assert_eq!(order.len(), 120);
    assert_eq!(order, all(&*nodes[1], "a").await);
    for tail in &mut tails {
        let mut heard = Vec::new();
        while heard.len() < 120 {
            let batch = timeout(Duration::from_secs(10), tail.items.next()).await.unwrap().unwrap();
            heard.extend(batch.iter().map(|message| message.id.to_string()));
        }
        assert_eq!(heard, order);
    }
}
