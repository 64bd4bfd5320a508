//! A topic that lost something, or is another one: a gap, never silence.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures_util::StreamExt;
use tidings_core::broker::Broker;
use tidings_core::log::{Start, Why};
use tokio::time::{Instant, timeout};

use super::server::{RULES, Server, all, append, channel, draft, find, once, settled, until_ready};

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_gone_is_a_new_epoch() {
    let Some(mut server) = Server::start() else { return };
    let broker = server.ready().await;
    for n in 0..20 {
        append(&broker, "a", draft(&n.to_string())).await.unwrap();
    }
    let old = find(&broker, "a", Start::Last(5)).await.at;
    let mut followed = broker.follow(&channel("a"), &RULES).await.unwrap();
    server.kill();
    std::fs::remove_dir_all(server.store()).unwrap();
    server.format();
    server.begin();
    until_ready(&broker).await;
    settled(&broker, "a", Start::Latest).await;
    let ended = timeout(Duration::from_secs(10), followed.items.next()).await;
    assert!(ended.expect("a tail of a log that is gone is silent").is_none());
    let mut tail = broker.follow(&channel("a"), &RULES).await.unwrap();
    assert_ne!(tail.from.epoch, old.epoch);
    for n in 0..30 {
        append(&broker, "a", draft(&format!("new {n}"))).await.unwrap();
    }
    let batch = timeout(Duration::from_secs(5), tail.items.next()).await.unwrap();
    assert!(batch.is_some_and(|batch| batch[0].position.epoch == tail.from.epoch));
    let other = server.ready().await;
    for broker in [&broker, &other] {
        let found = find(broker, "a", Start::After(old)).await;
        assert_eq!(found.gap.map(|gap| (gap.why, gap.missed)), Some((Why::Epoch, None)));
        assert_eq!(all(broker, "a").await.len(), 30);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_went_back_is_a_new_epoch() {
    let Some(mut server) = Server::start() else { return };
    let broker = server.ready().await;
    let first = append(&broker, "a", once("1")).await.unwrap();
    server.kill();
    let older = server.store().with_extension("older");
    copy(&server.store(), &older);
    server.begin();
    until_ready(&broker).await;
    settled(&broker, "a", Start::Latest).await;
    let lost = append(&broker, "a", draft("2")).await.unwrap();
    assert_eq!(lost.epoch, first.epoch);
    server.kill();
    std::fs::remove_dir_all(server.store()).unwrap();
    copy(&older, &server.store());
    server.begin();
    until_ready(&broker).await;
    settled(&broker, "a", Start::Latest).await;
    append(&broker, "a", draft("another 2")).await.unwrap();
    let other = server.ready().await;
    for broker in [&broker, &other] {
        for old in [first, lost] {
            let why = find(broker, "a", Start::After(old)).await.gap.map(|gap| gap.why);
            assert_eq!(why, Some(Why::Epoch), "a cursor must not go on in another history");
        }
        assert_eq!(all(broker, "a").await, ["1", "another 2"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_was_deleted_and_made_again_is_a_new_epoch() {
    let Some(server) = Server::start() else { return };
    let broker = server.ready().await;
    for n in 0..20 {
        append(&broker, "a", draft(&n.to_string())).await.unwrap();
    }
    let old = find(&broker, "a", Start::Last(5)).await.at;
    let mut tail = broker.follow(&channel("a"), &RULES).await.unwrap();
    server.delete_topic("tidings.default").await;
    let ended = timeout(Duration::from_secs(15), tail.items.next()).await;
    assert!(ended.expect("a tail of a topic that is gone is silent").is_none());
    let began = Instant::now();
    while append(&broker, "a", draft("new")).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "the topic is never made again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let found = settled(&broker, "a", Start::After(old)).await;
    assert_eq!(found.gap.map(|gap| gap.why), Some(Why::Epoch));
    assert_eq!(all(&broker, "a").await.last().map(String::as_str), Some("new"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_topic_let_go_is_a_gap() {
    let Some(server) = Server::start() else { return };
    let broker = server.ready().await;
    let mut places = Vec::new();
    for n in 0..20 {
        places.push(append(&broker, "a", draft(&n.to_string())).await.unwrap());
    }
    server.delete_records("tidings.default", 10).await;
    let late = server.ready().await;
    for broker in [&late, &broker] {
        let found = find(broker, "a", Start::After(places[2])).await;
        assert_eq!(found.gap.map(|gap| gap.why), Some(Why::Expired));
        let kept = all(broker, "a").await;
        assert!(kept.len() < 20 && kept.last().unwrap() == "19", "{kept:?}");
        let end = find(broker, "a", Start::After(places[19])).await;
        assert_eq!((end.gap, end.end), (None, places[19]), "who has all lacks nothing");
    }
}
