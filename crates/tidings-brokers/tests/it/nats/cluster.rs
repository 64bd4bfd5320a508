//! Three servers that keep each stream three times.

use std::time::Duration;

use futures_util::StreamExt;
use tidings_brokers::nats::{Nats, Options};
use tidings_core::Clock;
use tidings_core::broker::{Broker, conformance};
use tidings_core::log::Start;
use tokio::time::{Instant, sleep, timeout};

use super::server::{RULES, Server, all, append, channel, find, free_port, once, until_ready};

fn cluster() -> Option<(Vec<Server>, Options)> {
    let routes: Vec<u16> = (0..3).map(|_| free_port()).collect();
    let all = routes.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect::<Vec<_>>().join(", ");
    let mut servers = Vec::new();
    for (n, port) in routes.iter().enumerate() {
        servers.push(Server::with(&format!(
            "server_name: n{n}\njetstream {{ store_dir: STORE }}\n\
             cluster {{ name: c, listen: 127.0.0.1:{port}, routes: [{all}] }}"
        ))?);
    }
    let urls: Vec<_> = servers.iter().map(Server::url).collect();
    let options = Options { replicas: 3, ..Options::new(urls.join(",")) };
    Some((servers, options))
}

/// Waits until a stream can have its three places: servers of a cluster find each other some time after they listen.
async fn until_placed(broker: &Nats) {
    until_ready(broker).await;
    let began = Instant::now();
    while let Err(error) = broker.find(&channel("placed:a"), Start::Earliest, &RULES).await {
        assert!(began.elapsed() < Duration::from_secs(40), "{error}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_holds() {
    let Some((_servers, options)) = cluster() else { return };
    conformance::run(async |clock| {
        let broker = Nats::open(clock, &options).unwrap();
        until_placed(&broker).await;
        broker
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loss_of_one_server_loses_nothing() {
    let Some((mut servers, options)) = cluster() else { return };
    let broker = Nats::open(Clock::system(), &options).unwrap();
    until_placed(&broker).await;
    let begin = find(&broker, "a", Start::Earliest).await.at;
    let mut acknowledged = Vec::new();
    for n in 0..120 {
        if n == 40 {
            servers[0].kill();
        }
        if n == 80 {
            servers[0].begin();
            servers[1].kill();
        }
        let text = n.to_string();
        let began = Instant::now();
        while append(&broker, "a", once(&text)).await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(40), "{text} is never stored");
            sleep(Duration::from_millis(100)).await;
        }
        acknowledged.push(text);
    }
    until_ready(&broker).await;
    assert_eq!(all(&broker, "a").await, acknowledged, "each once, in order");
    let found = find(&broker, "a", Start::After(begin)).await;
    assert_eq!(found.gap, None, "another leader is no new epoch");
    let mut tail = broker.follow(&channel("a"), &RULES).await.unwrap();
    let last = append(&broker, "a", once("last")).await.unwrap();
    let heard = timeout(Duration::from_secs(10), tail.items.next()).await.unwrap();
    assert!(heard.is_none_or(|batch| batch[0].position == last));
}
