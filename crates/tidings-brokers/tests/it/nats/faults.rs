//! A server that is absent, dies, or stops for a while: a clear error, and nothing that was acknowledged is lost.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tidings_core::broker::{Broker, BrokerError};
use tidings_core::log::Start;
use tokio::time::{Instant, sleep, timeout};

use super::server::{
    RULES, Server, all, append, channel, draft, find, once, page, texts, until_ready, until_refused,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_may_come_later() {
    let Some(mut server) = Server::stopped("jetstream { store_dir: STORE }") else { return };
    let broker = server.broker();
    let said = until_refused(&broker, "the server cannot be reached").await;
    assert!(said.contains("broker.url"), "{said}");
    let refused = append(&broker, "a", draft("1")).await.unwrap_err();
    assert!(matches!(&refused, BrokerError::Unavailable(_)), "nothing is stored: {refused}");
    server.begin();
    until_ready(&broker).await;
    append(&broker, "a", draft("1")).await.unwrap();
    assert_eq!(all(&broker, "a").await, ["1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_has_all_that_was_acknowledged() {
    let Some(mut server) = Server::start() else { return };
    let broker = server.ready().await;
    let mut acknowledged = Vec::new();
    let mut last = None;
    for round in 0..3 {
        for n in 0..50 {
            let text = format!("{round}.{n}");
            last = Some(append(&broker, "a", once(&text)).await.unwrap());
            acknowledged.push(text);
        }
        let mut tail = broker.follow(&channel("a"), &RULES).await.unwrap();
        server.kill();
        let ended = timeout(Duration::from_secs(10), tail.items.next()).await;
        assert!(ended.expect("a tail of a server that is gone is silent").is_none());
        let said = until_refused(&broker, "").await;
        assert!(!said.is_empty());
        append(&broker, "a", draft("nobody")).await.unwrap_err();
        server.begin();
        until_ready(&broker).await;
        assert_eq!(all(&broker, "a").await, acknowledged);
        let found = find(&broker, "a", Start::After(last.unwrap())).await;
        assert_eq!(
            (found.gap, found.end),
            (None, last.unwrap()),
            "a restart that kept its data is no new epoch"
        );
        let again = broker.append(&channel("a"), vec![once("0.7")], &RULES).await.unwrap();
        assert!(again[0].duplicate, "its keys hold");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_again_after_a_kill_is_stored_once() {
    let Some(mut server) = Server::start() else { return };
    let broker = Arc::new(server.ready().await);
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let broker = broker.clone();
            tokio::spawn(async move {
                for n in 0..150 {
                    let text = format!("{writer}.{n:03}");
                    let until = Instant::now() + Duration::from_secs(40);
                    while append(&*broker, "a", once(&text)).await.is_err() {
                        assert!(Instant::now() < until, "{text} is never stored");
                        sleep(Duration::from_millis(20)).await;
                    }
                }
            })
        })
        .collect();
    for _ in 0..3 {
        sleep(Duration::from_millis(60)).await;
        server.kill();
        sleep(Duration::from_millis(100)).await;
        server.begin();
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let stored = all(&*broker, "a").await;
    for writer in 0..4 {
        let own: Vec<_> = stored.iter().filter(|text| text.starts_with(&format!("{writer}."))).collect();
        let expected: Vec<_> = (0..150).map(|n| format!("{writer}.{n:03}")).collect();
        assert!(own.into_iter().eq(&expected), "each once, in order");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_for_five_seconds_is_waited_for() {
    let Some(server) = Server::start() else { return };
    let broker = Arc::new(server.ready().await);
    let first = append(&*broker, "a", draft("before")).await.unwrap();
    let mut tail = broker.follow(&channel("a"), &RULES).await.unwrap();
    server.signal("-STOP");
    let began = Instant::now();
    // The first question may have been on its way when the signal came.
    while broker.ready().await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(2));
    }
    assert!(began.elapsed() < Duration::from_secs(3));
    let publishing = tokio::spawn({
        let broker = broker.clone();
        async move { append(&*broker, "a", once("meanwhile")).await }
    });
    sleep(Duration::from_secs(5).saturating_sub(began.elapsed())).await;
    server.signal("-CONT");
    let published = timeout(Duration::from_secs(10), publishing).await.expect("it takes no longer").unwrap();
    until_ready(&*broker).await;
    let again = broker.append(&channel("a"), vec![once("meanwhile")], &RULES).await.unwrap();
    assert!(published.is_err() || again[0].duplicate);
    assert_eq!(texts(&page(&*broker, "a", first).await), ["meanwhile"]);
    // The tail has it, or has ended.
    let next = timeout(Duration::from_secs(10), tail.items.next()).await.expect("a tail is never silent");
    assert!(next.is_none_or(|batch| batch[0].position == again[0].position));
}
