//! A server that is absent, dies, or stops for a while: a clear error, and nothing that was acknowledged is lost.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tidings_core::broker::{Broker, BrokerError};
use tidings_core::log::Start;
use tokio::time::{Instant, sleep, timeout};

use super::server::{
    Listener, RULES, Server, all, append, channel, draft, once, page, settled, texts, until_ready,
    until_refused,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_may_come_later() {
    let Some(mut server) = Server::stopped(&Listener::Plain) else { return };
    let broker = server.broker();
    let said = until_refused(&broker, "the servers cannot be reached").await;
    assert!(said.contains("broker.brokers"), "{said}");
    let refused = append(&broker, "a", draft("1")).await.unwrap_err();
    assert!(matches!(&refused, BrokerError::Unavailable(_)), "nothing is stored: {refused}");
    server.begin();
    until_ready(&broker).await;
    settled(&broker, "a", Start::Latest).await;
    append(&broker, "a", draft("1")).await.unwrap();
    assert_eq!(all(&broker, "a").await, ["1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_has_all_that_was_acknowledged() {
    let Some(mut server) = Server::start() else { return };
    let broker = server.ready().await;
    let mut tail = broker.follow(&channel("a"), &RULES).await.unwrap();
    let mut acknowledged = Vec::new();
    let mut last = None;
    for round in 0..2 {
        for n in 0..50 {
            let text = format!("{round}.{n}");
            last = Some(append(&broker, "a", once(&text)).await.unwrap());
            acknowledged.push(text);
        }
        server.kill();
        let said = until_refused(&broker, "").await;
        assert!(said.contains("broker.brokers"), "{said}");
        let refused = append(&broker, "a", draft("nobody")).await.unwrap_err();
        assert!(matches!(refused, BrokerError::Unavailable(_)), "nothing is stored: {refused}");
        server.begin();
        until_ready(&broker).await;
        let found = settled(&broker, "a", Start::After(last.unwrap())).await;
        assert_eq!(
            (found.gap, found.end),
            (None, last.unwrap()),
            "a restart that kept its data is no new epoch"
        );
        assert_eq!(all(&broker, "a").await, acknowledged);
        let again = broker.append(&channel("a"), vec![once("0.7")], &RULES).await.unwrap();
        assert!(again[0].duplicate, "its keys hold");
    }
    let mut heard = Vec::new();
    while heard.len() < acknowledged.len() {
        let batch = timeout(Duration::from_secs(10), tail.items.next()).await.unwrap();
        heard.extend(batch.expect("its tails go on").iter().map(|message| message.id.to_string()));
    }
    assert_eq!(heard, acknowledged);
    let other = server.ready().await;
    let again = other.append(&channel("a"), vec![once("1.7")], &RULES).await.unwrap();
    assert!(again[0].duplicate, "its keys hold on another node");
    assert_eq!(all(&other, "a").await, acknowledged);
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
    for _ in 0..2 {
        sleep(Duration::from_millis(150)).await;
        server.kill();
        sleep(Duration::from_millis(100)).await;
        server.begin();
    }
    for writer in writers {
        writer.await.unwrap();
    }
    settled(&broker, "a", Start::Latest).await;
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
