//! A stream that lost something, and messages that got lost on the way: a gap or the end of a tail, never silence.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures_util::StreamExt;
use tidings_core::broker::Broker;
use tidings_core::log::{Start, Why};
use tokio::time::{Instant, timeout};

use super::server::{RULES, Server, all, append, channel, draft, find, free_port, texts, until_ready};

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
    server.kill();
    std::fs::remove_dir_all(server.store()).unwrap();
    server.begin();
    until_ready(&broker).await;
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
async fn a_stream_that_went_back_is_a_new_epoch() {
    let Some(mut server) = Server::start() else { return };
    let broker = server.ready().await;
    let first = append(&broker, "a", draft("1")).await.unwrap();
    server.kill();
    let older = server.store().with_extension("older");
    copy(&server.store(), &older);
    server.begin();
    until_ready(&broker).await;
    let lost = append(&broker, "a", draft("2")).await.unwrap();
    append(&broker, "b", draft("2")).await.unwrap();
    assert_eq!(lost.epoch, first.epoch);
    server.kill();
    std::fs::remove_dir_all(server.store()).unwrap();
    copy(&older, &server.store());
    server.begin();
    until_ready(&broker).await;
    // It may be found by a look or by the first append, which then says that it does not know.
    let mut stored = append(&broker, "a", draft("another 2")).await;
    if stored.is_err() {
        stored = append(&broker, "a", draft("another 2")).await;
    }
    stored.unwrap();
    let other = server.ready().await;
    for broker in [&broker, &other] {
        for old in [first, lost] {
            let found = find(broker, "a", Start::After(old)).await;
            let why = found.gap.map(|gap| gap.why);
            assert_eq!(why, Some(Why::Epoch), "a cursor must not go on in another history");
        }
        assert!(all(broker, "a").await.starts_with(&["1".into(), "another 2".into()]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_went_back_and_grew_again_is_a_new_epoch() {
    let Some(mut server) = Server::start() else { return };
    let broker = server.ready().await;
    append(&broker, "b", draft("1")).await.unwrap();
    server.kill();
    let older = server.store().with_extension("older");
    copy(&server.store(), &older);
    server.begin();
    until_ready(&broker).await;
    let lost = append(&broker, "b", draft("2")).await.unwrap();
    server.kill();
    std::fs::remove_dir_all(server.store()).unwrap();
    copy(&older, &server.store());
    // Another node writes over what the first has seen, and knows nothing of it.
    let home = server.port;
    server.listen_at(free_port());
    server.begin();
    let other = server.ready().await;
    for n in 0..20 {
        append(&other, "b", draft(&n.to_string())).await.unwrap();
    }
    server.kill();
    server.listen_at(home);
    server.begin();
    until_ready(&broker).await;
    let began = Instant::now();
    while find(&broker, "b", Start::After(lost)).await.gap.is_none_or(|gap| gap.why != Why::Epoch) {
        assert!(began.elapsed() < Duration::from_secs(5), "a cursor goes on in another history");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(all(&broker, "b").await.len(), 21);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_lost_on_the_way_ends_the_tail() {
    let Some(server) = Server::start() else { return };
    let broker = server.ready().await;
    let client = server.client().await;
    let mut heard = client.subscribe("tidings.live.default.a").await.unwrap();
    client.flush().await.unwrap();
    append(&broker, "a", draft("1")).await.unwrap();
    let mut tail = broker.follow(&channel("a"), &RULES).await.unwrap();
    append(&broker, "a", draft("2")).await.unwrap();
    let batch = timeout(Duration::from_secs(5), tail.items.next()).await.unwrap().unwrap();
    assert_eq!(batch.len(), 1);
    // One whose predecessor never came.
    let said = timeout(Duration::from_secs(5), heard.next()).await.unwrap().unwrap();
    let mut headers = said.headers.unwrap();
    headers.insert("Nats-Sequence", "40");
    client.publish_with_headers(said.subject, headers, said.payload).await.unwrap();
    client.flush().await.unwrap();
    let ended = timeout(Duration::from_secs(5), tail.items.next()).await.unwrap();
    assert!(ended.is_none(), "a hole");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_expired_leaves_the_stream_and_its_end_stays() {
    let Some(server) = Server::start() else { return };
    let broker = server.ready().await;
    let client = server.client().await;
    let mut rules = RULES;
    rules.retain.age_ms = 300;
    let drafts = || (0..50).map(|n| draft(&n.to_string())).collect::<Vec<_>>();
    let mut last = None;
    for name in ["short:a", "short:b"] {
        last = broker.append(&channel(name), drafts(), &rules).await.unwrap().pop();
    }
    let messages = async || -> u64 {
        let info = client.request("$JS.API.STREAM.INFO.tidings_short", "".into()).await.unwrap();
        let info: serde_json::Value = serde_json::from_slice(&info.payload).unwrap();
        info["state"]["messages"].as_u64().unwrap()
    };
    let began = Instant::now();
    while messages().await > 2 {
        assert!(began.elapsed() < Duration::from_secs(60), "{} are still there", messages().await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let last = last.unwrap().position;
    let name = channel("short:b");
    let found = broker.find(&name, Start::After(last), &rules).await.unwrap();
    assert_eq!((found.gap, found.end, found.newest_ms), (None, last, None));
    let next = broker.append(&name, vec![draft("next")], &rules).await.unwrap().remove(0).position;
    assert_eq!(next.epoch, last.epoch, "an idle channel is no new epoch");
    let limit = tidings_core::log::Limit { messages: 10, bytes: usize::MAX };
    let page = broker.read(&name, last, limit, &rules).await.unwrap();
    assert_eq!((page.gap, texts(&page)), (None, vec!["next".to_owned()]));
}
