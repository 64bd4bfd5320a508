//! Publishing again with one key: answers that are late, lost, or asked for twice at once.

use std::sync::Arc;
use std::time::Duration;

use tidings_core::broker::faulty::{Faults, Faulty};
use tidings_core::broker::{Broker, Memory};
use tidings_core::log::{Draft, Once};
use tidings_core::{Clock, Code, Delivery, From, Stored};
use tokio::time::{Instant, sleep};

use crate::node::{BEGAN_MS, Node, ROOM, draft, public, want};

fn node(faults: Faults) -> (Arc<Faulty>, Arc<Node>) {
    let clock = Clock::simulated(BEGAN_MS);
    let memory = Arc::new(Memory::start(clock.clone(), ROOM, 1 << 40));
    let faulty = Arc::new(Faulty::new(1, faults, move |_| memory.clone() as Arc<dyn Broker>));
    let node = Node::over(faulty.clone(), clock, [("log", public(Delivery::AtLeastOnce))], 100, 7);
    (faulty, Arc::new(node))
}

fn keyed(key: &str, text: &str) -> Draft {
    Draft { once: Once::Id, id: key.into(), ..draft(text) }
}

async fn stored(node: &Node) -> usize {
    node.backend().read(want(&["log:a"], From::Earliest), 1_000).await.unwrap().messages.len()
}

/// E30: a second request while the first is under way waits for it.
#[tokio::test(start_paused = true)]
async fn at_once_it_is_stored_once_and_nobody_is_answered_early() {
    let (_, node) = node(Faults { late_ms_max: 2_000, ..Faults::NONE });
    for round in 0..20u64 {
        let senders: Vec<_> = (0..4u64)
            .map(|sender| {
                let node = node.clone();
                tokio::spawn(async move {
                    sleep(Duration::from_millis(sender * 37 * round)).await;
                    let drafts = vec![keyed(&format!("k{round}"), &format!("body {sender}"))];
                    let one = node.try_publish("log:a", drafts).await.unwrap().remove(0);
                    let read = node.backend().read(want(&["log:a"], From::Earliest), 1_000).await.unwrap();
                    assert!(read.messages.iter().any(|message| message.position == one.position));
                    one
                })
            })
            .collect();
        let mut answers = Vec::new();
        for sender in senders {
            answers.push(sender.await.unwrap());
        }
        assert_eq!(answers.iter().filter(|one| !one.duplicate).count(), 1, "round {round}");
        assert!(answers.iter().all(|one| one.position == answers[0].position));
    }
    assert_eq!(stored(&node).await, 20);
}

/// E32: a retry with the same key is safe.
#[tokio::test(start_paused = true)]
async fn after_a_lost_answer_the_same_key_gets_the_same_place() {
    let (faulty, node) = node(Faults { appends_lost: 1_000, ..Faults::NONE });
    let stopped = node.try_publish("log:a", vec![keyed("k", "first")]).await.unwrap_err();
    assert_eq!((stopped.error.code, stopped.error.stored), (Code::BrokerUnavailable, Some(Stored::Unknown)));
    faulty.set(Faults::NONE);
    let again = node.try_publish("log:a", vec![keyed("k", "second")]).await.unwrap();
    assert!(again[0].duplicate);
    let read = node.backend().read(want(&["log:a"], From::Earliest), 9).await.unwrap();
    assert_eq!(read.messages.len(), 1);
    assert_eq!(read.messages[0].position, again[0].position);
    assert_eq!(&read.messages[0].payload.bytes[..], b"first", "the first body wins");
}

/// A batch that stopped in the middle is sent again whole.
#[tokio::test(start_paused = true)]
async fn after_a_prefix_the_rest_is_stored() {
    let (faulty, node) = node(Faults { appends_fail: 1_000, ..Faults::NONE });
    let batch = || (0..10).map(|n| keyed(&format!("k{n}"), "x")).collect::<Vec<_>>();
    let stopped = node.try_publish("log:a", batch()).await.unwrap_err();
    let first = stopped.stored.len();
    assert_eq!((stopped.error.stored, first), (Some(Stored::No), stored(&node).await));
    let measures = node.hub.metrics().text();
    assert!(first > 0 && measures.contains(&format!("tidings_published_total{{namespace=\"log\"}} {first}")));
    faulty.set(Faults::NONE);
    let again = node.try_publish("log:a", batch()).await.unwrap();
    assert_eq!(again.iter().filter(|one| one.duplicate).count(), first);
    assert!(again.windows(2).all(|two| two[0].position.offset < two[1].position.offset));
    assert_eq!(stored(&node).await, 10);
}

/// Whoever sends again before the first answer came, and goes away, leaves nothing half done.
#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_leaves_its_key_usable() {
    let (_, node) = node(Faults { late_ms_max: 500, ..Faults::NONE });
    for round in 0..20u64 {
        let key = format!("k{round}");
        let first = tokio::spawn({
            let (node, key) = (node.clone(), key.clone());
            async move { drop(node.try_publish("log:a", vec![keyed(&key, "x")]).await) }
        });
        sleep(Duration::from_millis(round * 50)).await;
        first.abort();
        let began = Instant::now();
        node.try_publish("log:a", vec![keyed(&key, "x")]).await.unwrap();
        assert!(began.elapsed() <= Duration::from_secs(2), "it waits for one who is gone");
        assert!(node.try_publish("log:a", vec![keyed(&key, "x")]).await.unwrap()[0].duplicate);
    }
    assert_eq!(stored(&node).await, 20);
}
