//! One channel of a Redis broker, in short words.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use tidings_brokers::redis::{Options, Redis};
use tidings_core::broker::{Broker, BrokerError, Tail};
use tidings_core::log::{Appended, Draft, Found, Limit, Position, Start};

use super::server::{Server, until};
pub use crate::draft::{RULES, channel, draft};

pub fn options(servers: &[&Server]) -> Options {
    Options {
        urls: servers.iter().map(|server| server.url()).collect(),
        password: None,
        ca: None,
        prefix: "tidings:".into(),
        replicas: 0,
        wait_timeout: Duration::from_secs(1),
    }
}

/// A broker that has reached its server.
pub async fn open(options: &Options) -> Redis {
    let redis = Redis::start(options).unwrap();
    ready(&redis).await;
    redis
}

pub async fn ready(redis: &Redis) {
    until("the broker is ready", async || redis.ready().await.is_ok()).await;
}

pub async fn append(redis: &Redis, name: &str, text: &str) -> Result<Position, BrokerError> {
    once(redis, name, draft(text)).await.map(|appended| appended.position)
}

pub async fn once(redis: &Redis, name: &str, draft: Draft) -> Result<Appended, BrokerError> {
    let appended = redis.append(&channel(name), vec![draft], &RULES).await;
    appended.map(|mut appended| appended.remove(0)).map_err(|error| error.error)
}

pub async fn find(redis: &Redis, name: &str, start: Start) -> Found {
    redis.find(&channel(name), start, &RULES).await.unwrap()
}

pub async fn follow(redis: &Redis, name: &str) -> Tail {
    redis.follow(&channel(name), &RULES).await.unwrap()
}

/// The texts of everything that is kept.
pub async fn all(redis: &Redis, name: &str) -> Vec<String> {
    let at = find(redis, name, Start::Earliest).await.at;
    let limit = Limit { messages: 100_000, bytes: usize::MAX };
    let page = redis.read(&channel(name), at, limit, &RULES).await.unwrap();
    assert_eq!(page.gap, None);
    page.messages.iter().map(|message| text(&message.payload.bytes)).collect()
}

/// The texts of the next batch of a tail; `None` where it ended.
pub async fn next(tail: &mut Tail) -> Option<Vec<String>> {
    let batch = tokio::time::timeout(Duration::from_secs(15), tail.items.next()).await;
    let batch = batch.expect("a tail is silent");
    batch.map(|batch| batch.iter().map(|message| text(&message.payload.bytes)).collect())
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
