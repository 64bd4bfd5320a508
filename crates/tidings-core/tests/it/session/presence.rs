//! Who is here: joins, leaves, and how long somebody stays.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidings_core::broker::faulty::{Faults, Faulty};
use tidings_core::broker::{Broker, Memory};
use tidings_core::{Clock, Code, Credentials, Delivery, From, Namespace, Present, Subscription};
use tokio::time::sleep;

use super::token::{of_user, token};
use crate::node::{BEGAN_MS, Node, ROOM, channel, public, want};
use crate::slow::Slow;

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

async fn members(node: &Node) -> Vec<Present> {
    node.backend().presence(&channel("room:a")).await.unwrap().members
}

async fn here(node: &Node) -> Vec<String> {
    members(node).await.iter().map(|present| present.user.to_string()).collect()
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
async fn since_goes_on_to_the_next_connection_on_whichever_node() {
    let nodes = nodes();
    let since = async || {
        sleep(Duration::from_secs(1)).await;
        let mut since = Vec::new();
        for node in &nodes {
            since.push(members(node).await[0].since_ms - BEGAN_MS);
        }
        since
    };
    let first = join(&nodes[0], "u1").await;
    sleep(Duration::from_secs(10)).await;
    let second = join(&nodes[0], "u1").await;
    sleep(Duration::from_secs(10)).await;
    let _third = join(&nodes[1], "u1").await;
    drop(first);
    sleep(Duration::from_secs(8)).await;
    assert_eq!(since().await, [0, 0], "it may come back");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(since().await, [10_000, 10_000]);
    drop(second);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(since().await, [20_000, 20_000]);
}

#[tokio::test(start_paused = true)]
async fn nodes_agree_on_what_is_said_of_a_user() {
    let nodes = nodes();
    let follow = async |node: usize, info: Value| {
        let claims = json!({ "sub": "u1", "exp": BEGAN_MS / 1_000 + 3_600, "tidings": { "info": info } });
        let session = nodes[node].open(&Credentials::Bearer(token(&claims))).unwrap();
        let subscription = session.follow(want(&["room:a"], From::Latest)).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let mut said = Vec::new();
        for node in &nodes {
            said.push(members(node).await[0].info.clone().map(String::from));
        }
        assert_eq!(said[0], said[1]);
        (subscription, said.swap_remove(0).unwrap_or_default())
    };
    let (_first, said) = follow(0, json!("one")).await;
    assert_eq!(said, "\"one\"");
    let (_second, said) = follow(1, json!("two")).await;
    assert_eq!(said, "\"two\"");
    let (_third, said) = follow(0, json!("three")).await;
    assert_eq!(said, "\"three\"");
    let (_fourth, said) = follow(1, Value::Null).await;
    assert_eq!(said, "\"three\"", "a token that says nothing takes nothing back");
}

#[tokio::test(start_paused = true)]
async fn who_asks_again_reads_what_is_new() {
    let clock = Clock::simulated(BEGAN_MS);
    let broker = Slow::start(&clock);
    let node = |incarnation| Node::over(broker.clone(), clock.clone(), namespaces(), 100, incarnation);
    let (one, two) = (node(7), node(8));
    let read = async |expected: &[&str]| {
        broker.messages_read();
        assert_eq!(here(&two).await, expected);
        broker.messages_read()
    };
    // A day of visitors leaves its marks, though nobody is here.
    for n in 0..3_000 {
        join(&one, &format!("u{n}")).await.left_cleanly();
    }
    sleep(Duration::from_secs(12)).await;
    assert!(read(&[]).await >= 3_000);
    assert_eq!(read(&[]).await, 0);
    let _visitor = join(&one, "visitor").await;
    sleep(Duration::from_secs(1)).await;
    assert!((1..=3).contains(&read(&["visitor"]).await), "the visitor, and a lease");
    assert_eq!(read(&["visitor"]).await, 0);
    // What nobody asks for is not kept.
    sleep(Duration::from_secs(75)).await;
    assert!(read(&["visitor"]).await >= 3_000);
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
async fn a_broker_that_lost_everything_learns_it_again() {
    let clock = Clock::simulated(BEGAN_MS);
    let life = clock.clone();
    let make = move |life_number: u64| -> Arc<dyn Broker> {
        Arc::new(Memory::start(life.clone(), ROOM, (1 + life_number) << 40))
    };
    let faulty = Arc::new(Faulty::new(1, Faults::NONE, make));
    let node = |incarnation| Node::over(faulty.clone(), clock.clone(), namespaces(), 100, incarnation);
    let nodes = [node(7), node(8)];
    let (_member, other) = (join(&nodes[0], "u1").await, join(&nodes[1], "u2").await);
    agree(&nodes, &["u1", "u2"]).await;
    faulty.restart();
    drop(other);
    sleep(Duration::from_secs(12)).await;
    agree(&nodes, &["u1"]).await;
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
