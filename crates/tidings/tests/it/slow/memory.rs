//! What several hundred stopped readers cost: no memory that grows with what they do not read.

use crate::durable::Env;
use crate::node::{Plan, TestNode};
use crate::process::Process;
use crate::raw::soon;
use futures_util::future::join_all;

use super::{BYTES, Got, ORDERS, Reader, Wire, data};

/// So many stop; `TIDINGS_STOPPED` is for `make prove`, whose thousand would keep the everyday run busy.
fn stopped() -> usize {
    Env::number("TIDINGS_STOPPED").unwrap_or(400)
}

const MESSAGES: u64 = 1_500;

/// Publishes, and lets who reads keep up: so few messages are kept.
async fn publish(node: &Process, numbers: std::ops::Range<u64>, healthy: &mut [Reader]) {
    for number in numbers {
        let post = node.post(ORDERS).header("content-type", "application/json");
        post.body(data(number).to_string()).await.ok();
        for reader in &mut *healthy {
            assert!(matches!(reader.next().await, Got::Message { number: one, .. } if one == number));
        }
    }
}

#[tokio::test]
async fn stopped_readers_hold_no_memory() {
    hold_no_memory(TestNode::new()).await;
}

#[tokio::test]
async fn stopped_readers_hold_no_memory_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    hold_no_memory(TestNode::new().set(&format!("broker.kind = \"disk\"\nbroker.path = {path:?}"))).await;
}

async fn hold_no_memory(plan: Plan) {
    let plan = plan.set("max_lag = \"10m\"").namespace("orders", |n| n.retain(100));
    let node = Process::start(plan).await;
    let mut healthy = Vec::new();
    for wire in [Wire::Sse, Wire::WebSocket] {
        healthy.push(Reader::open(node.address, wire, ORDERS).await);
    }
    // What any node holds that does this much.
    publish(&node, 0..200, &mut healthy).await;
    let mut readers = Vec::new();
    for wire in [Wire::Sse, Wire::WebSocket].repeat(stopped() / 2) {
        readers.push(Reader::open(node.address, wire, ORDERS).await);
    }
    let before = node.resident();
    publish(&node, 200..200 + MESSAGES, &mut healthy).await;
    let after = node.resident();
    let (published, grown) = (MESSAGES * BYTES as u64, after.saturating_sub(before));
    // If each had a queue, of messages that all share, it were all that was published; of copies, hundreds of times that.
    assert!(grown < published / 2, "grew by {grown} bytes while {published} were published");
    // They are still there, and go on where they stopped: with a gap, since so few are kept. (All of them would keep
    // this test busy for long.)
    readers.truncate(40);
    let resumed = readers.iter_mut().map(async |reader| {
        let (mut next, mut gaps) = (200, 0);
        while next < 200 + MESSAGES {
            match soon("what was missed", reader.next()).await {
                Got::Message { number, .. } => {
                    assert_eq!(number, next);
                    next += 1;
                }
                Got::Gap { missed, .. } => {
                    next += missed.unwrap();
                    gaps += 1;
                }
                end @ Got::End(_) => panic!("{end:?}"),
            }
        }
        assert_eq!(gaps, 1);
    });
    join_all(resumed).await;
}
