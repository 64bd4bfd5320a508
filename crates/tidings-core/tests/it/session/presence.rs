//! Who is here: joins, leaves, and how long somebody stays.

use std::sync::Arc;
use std::time::Duration;

use tidings_core::broker::faulty::{Faults, Faulty};
use tidings_core::broker::{Broker, Memory};
use tidings_core::{Clock, Code, Credentials, Delivery, From, Namespace, Subscription};
use tokio::time::sleep;

use super::token::of_user;
use crate::node::{BEGAN_MS, Node, ROOM, channel, public, want};

fn namespaces() -> [(&'static str, Namespace); 2] {
    let room = Namespace { presence: true, ..public(Delivery::AtLeastOnce) };
    [("room", room), ("default", public(Delivery::AtLeastOnce))]
}

/// Two nodes over one broker.
fn nodes() -> [Node; 2] {
    let clock = Clock::simulated(BEGAN_MS);
    let broker: Arc<dyn Broker> = Arc::new(Memory::start(clock.clone(), ROOM, 1 << 40));
    [7, 8].map(|incarnation| Node::over(broker.clone(), clock.clone(), namespaces(), 100, incarnation))
}

async fn join(node: &Node, user: &str) -> Subscription {
    let session = node.open(&of_user(user, &[], &[])).unwrap();
    session.follow(want(&["room:a"], From::Latest)).await.unwrap()
}

async fn here(node: &Node) -> Vec<String> {
    let roster = node.backend().presence(&channel("room:a")).await.unwrap();
    roster.members.iter().map(|present| present.user.to_string()).collect()
}

/// Whether both nodes agree on who is here, after a second of theirs.
async fn agree(nodes: &[Node; 2], expected: &[&str]) {
    sleep(Duration::from_secs(1)).await;
    for (n, node) in nodes.iter().enumerate() {
        assert_eq!(here(node).await, expected, "node {n}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_member_a_user_since_its_oldest_connection() {
    let nodes = nodes();
    let first = join(&nodes[0], "u1").await;
    sleep(Duration::from_secs(5)).await;
    let (second, third) = (join(&nodes[0], "u1").await, join(&nodes[1], "u1").await);
    sleep(Duration::from_secs(1)).await;
    let _other = join(&nodes[1], "u2").await;
    agree(&nodes, &["u1", "u2"]).await;
    for node in &nodes {
        let members = node.backend().presence(&channel("room:a")).await.unwrap().members;
        assert_eq!(members[0].since_ms, BEGAN_MS);
        assert_eq!(members[0].info.as_deref(), Some("{\"name\":\"u1\"}"));
        assert_eq!(members[1].since_ms, BEGAN_MS + 6_000);
    }
    drop(second);
    drop(third);
    sleep(Duration::from_secs(60)).await;
    agree(&nodes, &["u1", "u2"]).await;
    drop(first);
    sleep(Duration::from_secs(12)).await;
    agree(&nodes, &["u2"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_clean_close_is_gone_after_two_seconds() {
    let nodes = nodes();
    let mut subscription = join(&nodes[0], "u1").await;
    agree(&nodes, &["u1"]).await;
    subscription.left_cleanly();
    drop(subscription);
    sleep(Duration::from_millis(500)).await;
    agree(&nodes, &["u1"]).await;
    agree(&nodes, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_gone_after_ten_seconds() {
    let nodes = nodes();
    drop(join(&nodes[0], "u1").await);
    sleep(Duration::from_millis(8_500)).await;
    agree(&nodes, &["u1"]).await;
    agree(&nodes, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_stays_half_a_minute() {
    let nodes = nodes();
    let session = nodes[0].open(&of_user("u1", &[], &[])).unwrap();
    session.linger(&[channel("room:a"), channel("lobby")]);
    for _ in 0..3 {
        sleep(Duration::from_millis(28_500)).await;
        agree(&nodes, &["u1"]).await;
        session.linger(&[channel("room:a")]);
    }
    sleep(Duration::from_millis(28_500)).await;
    agree(&nodes, &["u1"]).await;
    agree(&nodes, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn who_is_back_in_time_was_never_gone() {
    let nodes = nodes();
    drop(join(&nodes[0], "u1").await);
    sleep(Duration::from_secs(9)).await;
    let _back = join(&nodes[0], "u1").await;
    for _ in 0..15 {
        agree(&nodes, &["u1"]).await;
    }
    let members = nodes[1].backend().presence(&channel("room:a")).await.unwrap().members;
    assert_eq!(members[0].since_ms, BEGAN_MS, "nothing was announced");
}

#[tokio::test(start_paused = true)]
async fn a_dead_nodes_members_go_with_its_lease() {
    let clock = Clock::simulated(BEGAN_MS);
    let memory: Arc<dyn Broker> = Arc::new(Memory::start(clock.clone(), ROOM, 1 << 40));
    // What dies is seen by others as one that writes no more.
    let faulty = Arc::new(Faulty::new(1, Faults::NONE, {
        let memory = memory.clone();
        move |_| memory.clone()
    }));
    let one = Node::over(faulty.clone(), clock.clone(), namespaces(), 100, 7);
    let two = Node::over(memory, clock, namespaces(), 100, 8);
    let (_member, _other) = (join(&one, "u1").await, join(&two, "u2").await);
    sleep(Duration::from_secs(100)).await;
    assert_eq!(here(&two).await, ["u1", "u2"], "the lease is renewed");
    faulty.down_for(Duration::from_secs(100));
    sleep(Duration::from_secs(19)).await;
    assert_eq!(here(&two).await, ["u1", "u2"], "one hiccup is no death");
    sleep(Duration::from_secs(12)).await;
    assert_eq!(here(&two).await, ["u2"]);
    sleep(Duration::from_secs(90)).await;
    assert_eq!(here(&two).await, ["u1", "u2"], "it was not dead");
}

#[tokio::test(start_paused = true)]
async fn who_is_counted() {
    let nodes = nodes();
    let nameless = nodes[0].open(&of_user("", &[], &[])).unwrap();
    let _nameless = nameless.follow(want(&["room:a"], From::Latest)).await.unwrap();
    let _backend = nodes[0].follow(&["room:a"], From::Latest).await.unwrap();
    let anonymous = nodes[0].open(&Credentials::None).unwrap();
    let _anonymous = anonymous.follow(want(&["room:a"], From::Latest)).await.unwrap();
    let reader = nodes[0].open(&of_user("u1", &[], &[])).unwrap();
    reader.read(want(&["room:a"], From::Latest), 1).await.unwrap();
    agree(&nodes, &[]).await;
    let off = reader.presence(&channel("lobby")).await.unwrap_err();
    assert_eq!(off.code, Code::PresenceOff);
    assert_eq!(reader.presence(&channel("nowhere:x")).await.unwrap_err().code, Code::UnknownNamespace);
}

#[tokio::test(start_paused = true)]
async fn a_refused_subscription_is_not_here() {
    let node = Node::new(namespaces());
    let session = node.open(&of_user("u1", &[], &[])).unwrap();
    let refused = session.follow(want(&["room:a", "nowhere:b"], From::Latest)).await;
    assert_eq!(refused.map(|_| ()).unwrap_err().code, Code::UnknownNamespace);
    assert!(here(&node).await.is_empty());
}
