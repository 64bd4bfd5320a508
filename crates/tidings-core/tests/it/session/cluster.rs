//! Several nodes on one broker: who is there, who reads, and what is done to them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidings_core::broker::faulty::{Faults, Faulty};
use tidings_core::broker::{Broker, Memory};
use tidings_core::log::Position;
use tidings_core::{Channel, Clock, Code, Credentials, Delivery, End, From, Own, Subscription, Via, Whose};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::token::of_user;
use crate::node::{BEGAN_MS, Node, ROOM, channel, next, public, want};

struct Cluster {
    broker: Arc<dyn Broker>,
    clock: Clock,
}

impl Cluster {
    fn new() -> Self {
        let clock = Clock::simulated(BEGAN_MS);
        Cluster { broker: Arc::new(Memory::start(clock.clone(), ROOM, 1 << 40)), clock }
    }

    fn node(&self, name: &'static str, incarnation: u64) -> Node {
        let namespaces = [("default", public(Delivery::AtLeastOnce))];
        let node = Node::over(self.broker.clone(), self.clock.clone(), namespaces, 100, incarnation);
        let said = json!({ "node": name, "incarnation": node.control.incarnation(), "state": "serving" });
        node.control.join(Own { node: name.into(), describe: Box::new(move || said.to_string()) });
        node
    }

    /// Two nodes that have heard of each other.
    async fn two(&self) -> (Node, Node) {
        let both = (self.node("one", 1), self.node("two", 2));
        sleep(Duration::from_secs(1)).await;
        both
    }
}

async fn read(node: &Node, credentials: &Credentials, name: &str) -> Subscription {
    node.open(credentials).unwrap().follow(want(&[name], From::Latest)).await.unwrap()
}

/// A client that takes what comes; gives why it ended.
fn take(mut read: Subscription) -> JoinHandle<End> {
    tokio::spawn(async move {
        loop {
            match next(&mut read, 10).await {
                Ok(items) => items.iter().for_each(|(reader, item)| read.advance(*reader, item)),
                Err(end) => return end,
            }
        }
    })
}

fn names(nodes: &[String]) -> Vec<String> {
    let node = |text: &String| serde_json::from_str::<serde_json::Value>(text).unwrap()["node"].clone();
    nodes.iter().map(|text| node(text).as_str().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn nodes_hear_of_each_other_until_they_part_or_fall_silent() {
    let cluster = Cluster::new();
    let (one, two) = cluster.two().await;
    assert_eq!(names(&one.backend().nodes().unwrap()), ["one", "two"]);
    assert_eq!(names(&two.backend().nodes().unwrap()), ["one", "two"]);
    // One that comes later knows of both at once.
    let three = cluster.node("three", 3);
    sleep(Duration::from_millis(10)).await;
    assert_eq!(names(&three.backend().nodes().unwrap()), ["one", "three", "two"]);
    two.control.part().await;
    sleep(Duration::from_millis(10)).await;
    assert_eq!(names(&one.backend().nodes().unwrap()), ["one", "three"]);
    drop(three);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(names(&one.backend().nodes().unwrap()), ["one"]);
    let strangers = [(Credentials::None, Code::NoCredentials), (of_user("a", &["*"], &[]), Code::Forbidden)];
    for (credentials, code) in strangers {
        assert_eq!(one.open(&credentials).unwrap().nodes().unwrap_err().code, code);
    }
}

#[tokio::test(start_paused = true)]
async fn what_nodes_say_is_a_channel_of_those_who_administer() {
    let cluster = Cluster::new();
    let (one, _two) = cluster.two().await;
    sleep(Duration::from_secs(60)).await;
    let nodes = Channel::nodes();
    let page = one.backend().read(want(&["@tidings:nodes"], From::Earliest), 100).await.unwrap();
    // Each once in five seconds.
    assert!((24..=28).contains(&page.messages.len()), "{}", page.messages.len());
    assert_eq!(page.messages[0].event.as_deref(), Some("node"));
    let token = one.open(&of_user("a", &["*"], &["*"])).unwrap();
    assert_eq!(token.may_read(std::slice::from_ref(&nodes)).unwrap_err().code, Code::Forbidden);
    assert_eq!(token.writer(&nodes).err().unwrap().code, Code::Forbidden);
    let stranger = one.open(&Credentials::None).unwrap();
    assert_eq!(stranger.may_read(std::slice::from_ref(&nodes)).unwrap_err().code, Code::NoCredentials);
    assert_eq!(one.backend().writer(&nodes).err().unwrap().code, Code::Forbidden);
    assert_eq!(one.backend().delete(&nodes).await.unwrap_err().code, Code::Forbidden);
    let other = one.backend().may_read(&[channel("@tidings:other")]);
    assert_eq!(other.unwrap_err().code, Code::UnknownNamespace);
}

#[tokio::test(start_paused = true)]
async fn a_roll_is_called_on_all_nodes() {
    let cluster = Cluster::new();
    let (one, two) = cluster.two().await;
    let alice = read(&one, &of_user("alice", &["*"], &[]), "x").await;
    alice.introduce(Via::Sse, Some("192.0.2.7".parse().unwrap()));
    let _alice = take(alice);
    let _bob = take(read(&two, &of_user("bob", &["*"], &[]), "x").await);
    let _other = take(read(&two, &Credentials::None, "y").await);
    // Its socket is full: it does not look.
    let _stuck = read(&two, &Credentials::None, "x").await;
    let stored = one.publish("x", &["1", "2"]).await;
    sleep(Duration::from_millis(10)).await;
    let began = Instant::now();
    let report = two.backend().readers(&channel("x"), Some(stored[1].position)).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!((report.answered, report.silent), (vec!["one".to_owned(), "two".to_owned()], vec![]));
    let roll = report.found;
    assert_eq!((roll.count, roll.stuck, roll.end), (3, 1, Some(stored[1].position)));
    let said: Vec<_> =
        roll.readers.iter().map(|reader| (&*reader.client.node, reader.client.user.as_deref())).collect();
    assert_eq!(said, [("one", Some("alice")), ("two", Some("bob"))]);
    let first = &roll.readers[0];
    assert_eq!((&*first.client.transport, first.client.connection.as_str()), ("sse", "0000000000000001.0"));
    assert_eq!(first.client.address, Some("192.0.2.7".parse().unwrap()));
    assert_eq!((first.at, first.behind, first.passed), (stored[1].position, Some(0), Some(true)));
    // A place that none has reached.
    let Position { epoch, offset } = stored[1].position;
    let later = Position { epoch, offset: offset + 1 };
    let roll = one.backend().readers(&channel("x"), Some(later)).await.unwrap().found;
    assert!(roll.readers.iter().all(|reader| reader.passed == Some(false)), "{roll:?}");
    let nobody = one.backend().readers(&channel("z"), None).await.unwrap().found;
    assert_eq!((nobody.count, nobody.stuck), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn clients_and_channels_of_all_nodes_are_listed() {
    let cluster = Cluster::new();
    let (one, two) = cluster.two().await;
    let mut held = Vec::new();
    for n in 0..3 {
        held.push(read(&one, &of_user("alice", &["*"], &[]), &format!("x{n}")).await);
        held.push(read(&two, &of_user("bob", &["*"], &[]), "x1").await);
        sleep(Duration::from_millis(5)).await;
    }
    let found = one.backend().clients(None, 4).await.unwrap().found;
    assert_eq!((found.0.len(), found.1), (4, 6));
    assert!(found.0.is_sorted_by_key(|client| client.since_ms));
    let found = one.backend().clients(Some("bob".into()), 100).await.unwrap().found;
    assert_eq!((found.0.len(), found.1), (3, 3));
    let (list, more) = two.backend().channels_in_use("x", None, 2).await.unwrap().found;
    let seen: Vec<_> = list.iter().map(|one| (&*one.channel, one.readers, one.nodes.len())).collect();
    assert_eq!((seen, more), (vec![("x0", 1, 1), ("x1", 4, 2)], true));
    let (list, more) = two.backend().channels_in_use("x", Some("x1"), 2).await.unwrap().found;
    assert_eq!((list.len(), &*list[0].channel, more), (1, "x2", false));
}

#[tokio::test(start_paused = true)]
async fn clients_are_disconnected_wherever_they_are() {
    let cluster = Cluster::new();
    let (one, two) = cluster.two().await;
    let alice = || of_user("alice", &["*"], &[]);
    let first = take(read(&one, &alice(), "x").await);
    let second = take(read(&two, &alice(), "x").await);
    let stuck = read(&two, &alice(), "x").await;
    let bob = take(read(&two, &of_user("bob", &["*"], &[]), "x").await);
    sleep(Duration::from_millis(10)).await;
    let report = one.backend().disconnect(Whose::User("alice".into()), false, "a test".into()).await.unwrap();
    assert_eq!((report.found, report.silent), (3, vec![]));
    assert!(matches!(first.await.unwrap(), End::Dismissed { stay_away: false }));
    assert!(matches!(second.await.unwrap(), End::Dismissed { stay_away: false }));
    assert_eq!(stuck.expires_in_ms(), Some(0), "it is told, if it does not look");
    assert!(matches!(stuck.why(), End::Dismissed { stay_away: false }));
    let one_of = Whose::Connection("0000000000000002.2".into());
    let report = one.backend().disconnect(one_of.clone(), true, String::new()).await.unwrap();
    assert_eq!(report.found, 1);
    assert!(matches!(bob.await.unwrap(), End::Dismissed { stay_away: true }));
    assert_eq!(one.backend().disconnect(one_of, true, String::new()).await.unwrap().found, 0);
}

#[tokio::test(start_paused = true)]
async fn a_node_is_drained_from_another() {
    let cluster = Cluster::new();
    let (one, two) = cluster.two().await;
    let told = two.control.told_to_stop();
    one.backend().drain("two").await.unwrap();
    let by = tokio::time::timeout(Duration::from_secs(1), told).await.unwrap();
    assert!(by.starts_with("sha256:") && by.len() == 15, "{by}");
    assert!(tokio::time::timeout(Duration::from_secs(5), one.control.told_to_stop()).await.is_err());
    one.backend().drain("one").await.unwrap();
    tokio::time::timeout(Duration::from_secs(1), one.control.told_to_stop()).await.unwrap();
    assert_eq!(one.backend().drain("three").await.unwrap_err().code, Code::UnknownNode);
    drop(two);
    sleep(Duration::from_secs(7)).await;
    assert_eq!(one.backend().drain("two").await.unwrap_err().code, Code::NoAnswer);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_is_named_and_nobody_asks_without_end() {
    let cluster = Cluster::new();
    let (one, two) = cluster.two().await;
    drop(two);
    sleep(Duration::from_secs(7)).await;
    let began = Instant::now();
    let report = one.backend().clients(None, 10).await.unwrap();
    assert_eq!((report.answered, report.silent), (vec!["one".to_owned()], vec!["two".to_owned()]));
    assert!(began.elapsed() <= Duration::from_millis(1_600), "{:?}", began.elapsed());
    sleep(Duration::from_secs(15)).await;
    let mut refused = 0;
    for _ in 0..30 {
        refused += usize::from(one.backend().clients(None, 10).await.is_err_and(|error| {
            assert!(error.retry_ms.is_some());
            error.code == Code::RateLimited
        }));
    }
    assert_eq!(refused, 10);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_away_holds_nothing_up_and_piles_nothing_up() {
    let clock = Clock::simulated(BEGAN_MS);
    let memory: Arc<dyn Broker> = Arc::new(Memory::start(clock.clone(), ROOM, 1 << 40));
    let faulty = Arc::new(Faulty::new(1, Faults::NONE, move |_| memory.clone()));
    let cluster = Cluster { broker: faulty.clone(), clock };
    let (one, two) = cluster.two().await;
    let _alice = take(read(&one, &of_user("alice", &["*"], &[]), "x").await);
    // It answers nobody.
    faulty.set(Faults { late_ms_max: 1 << 40, ..Faults::NONE });
    let began = Instant::now();
    let report = one.backend().clients(None, 10).await.unwrap();
    assert_eq!((report.found.1, report.silent), (1, vec!["two".to_owned()]));
    let roll = one.backend().readers(&channel("x"), None).await.unwrap().found;
    assert_eq!((roll.count, roll.end), (1, None));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    sleep(Duration::from_secs(600)).await;
    faulty.set(Faults::NONE);
    sleep(Duration::from_secs(15)).await;
    let page = two.backend().read(want(&["@tidings:nodes"], From::Earliest), 100).await.unwrap();
    assert!(page.messages.len() <= 12, "{}", page.messages.len());
    assert_eq!(names(&one.backend().nodes().unwrap()), ["one", "two"]);
}
