//! Three servers that keep each topic three times.

use std::time::Duration;

use futures_util::StreamExt;
use tidings_brokers::kafka::Options;
use tidings_core::broker::Broker;
use tidings_core::log::Start;
use tokio::time::{Instant, sleep, timeout};

use super::server::{RULES, Server, all, append, channel, find, once, open, settled, until_ready};

/// As who restarts a cluster waits, until a server that came back has what it missed.
const IN_SYNC_WITHIN: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loss_of_one_server_loses_nothing() {
    let Some(mut servers) = Server::cluster() else { return };
    servers.iter_mut().for_each(Server::spawn);
    servers.iter().for_each(Server::wait);
    let brokers = servers.iter().map(Server::address).collect();
    let options = Options { replicas: 3, partitions: 2, ..Options::new(brokers) };
    let broker = open(&options);
    until_ready(&broker).await;
    // Servers of a cluster are counted some time after they listen.
    let begin = settled(&broker, "a", Start::Earliest).await.at;
    let mut tail = broker.follow(&channel("a"), &RULES).await.unwrap();
    let mut acknowledged = Vec::new();
    for n in 0..90 {
        if n == 30 {
            servers[0].kill();
        }
        if n == 60 {
            servers[0].begin();
            sleep(IN_SYNC_WITHIN).await;
            servers[1].kill();
        }
        let text = n.to_string();
        let began = Instant::now();
        while let Err(error) = append(&broker, "a", once(&text)).await {
            assert!(began.elapsed() < Duration::from_secs(40), "{text} is never stored: {error}");
            sleep(Duration::from_millis(100)).await;
        }
        acknowledged.push(text);
    }
    until_ready(&broker).await;
    settled(&broker, "a", Start::Latest).await;
    assert_eq!(all(&broker, "a").await, acknowledged, "each once, in order");
    let found = find(&broker, "a", Start::After(begin)).await;
    assert_eq!(found.gap, None, "another leader is no new epoch");
    let mut heard = Vec::new();
    while heard.len() < acknowledged.len() {
        let batch =
            timeout(Duration::from_secs(20), tail.items.next()).await.expect("a tail is never silent");
        heard.extend(batch.expect("its tails go on").iter().map(|message| message.id.to_string()));
    }
    assert_eq!(heard, acknowledged);
}
