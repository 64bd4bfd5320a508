//! What the benchmarks of brokers that have a server share: a raw client and two brokers, side by side.

// A benchmark prints what it finds, and ends where it cannot go on.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends where it cannot go on"
)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use tidings_core::broker::Broker;
use tidings_core::log::{Below, Channel, Draft, Kind, Once, Payload, Retain, Rules};
use tokio::time::Instant;

pub const ROUNDS: usize = 3;
pub const BYTES: usize = 128;
pub const RULES: Rules = Rules {
    retain: Retain { messages: 10_000_000, age_ms: 24 * 3_600_000 },
    compact: false,
    dedupe_ms: 120_000,
    below: Below::Oldest,
    implicit: true,
    durable: true,
};
const PUBLISHERS: usize = 64;

/// How long each message took until it was acknowledged, and until it was received.
pub struct Took {
    stored: Vec<Duration>,
    received: Vec<Duration>,
}

/// Of many times, in milliseconds.
pub struct Figures {
    p50: f64,
    p99: f64,
}

/// Waits until both brokers answer.
pub async fn until_ready(writer: &impl Broker, follower: &impl Broker) {
    while writer.ready().await.and(follower.ready().await).is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One message after the other, each acknowledged and received.
pub async fn one_by_one(
    messages: usize,
    mut send: impl AsyncFnMut(),
    mut receive: impl AsyncFnMut(),
) -> Took {
    let mut took = Took { stored: Vec::new(), received: Vec::new() };
    for _ in 0..messages {
        let began = Instant::now();
        let stored = async {
            send().await;
            began.elapsed()
        };
        let received = async {
            receive().await;
            began.elapsed()
        };
        let (stored, received) = tokio::join!(stored, received);
        took.stored.push(stored);
        took.received.push(received);
    }
    took
}

/// The same through two brokers, as two nodes have them.
pub async fn own(messages: usize, writer: &impl Broker, follower: &impl Broker) -> Took {
    let channel = Channel::parse("one").unwrap();
    let mut tail = follower.follow(&channel, &RULES).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let send = async || drop(writer.append(&channel, vec![draft()], &RULES).await.unwrap());
    one_by_one(messages, send, async || drop(tail.items.next().await.unwrap())).await
}

/// Prints one round: both beside each other, then what 64 publishers reach.
pub async fn print<B: Broker + 'static>(round: usize, bare: Took, own: Took, writer: &Arc<B>) {
    for (what, bare, own) in
        [("acknowledged", bare.stored, own.stored), ("received on another node", bare.received, own.received)]
    {
        let (bare, own) = (Figures::of(bare), Figures::of(own));
        let times = own.p50 / bare.p50;
        println!("round {round}: {what}: raw {}, tidings {}, {times:.2} ×", bare.text(), own.text());
    }
    let (one, many) = (rate(writer, 1).await, rate(writer, PUBLISHERS).await);
    println!("round {round}: 64 publishers: {one:.0} messages/s on one channel, {many:.0} on 64");
}

/// Messages a second of 64 publishers on so many channels.
async fn rate<B: Broker + 'static>(writer: &Arc<B>, channels: usize) -> f64 {
    let began = Instant::now();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|n| {
            let writer = writer.clone();
            tokio::spawn(async move {
                let channel = Channel::parse(&format!("b:{}", n % channels)).unwrap();
                let mut count = 0;
                while began.elapsed() < Duration::from_secs(3) {
                    writer.append(&channel, vec![draft()], &RULES).await.unwrap();
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut count = 0;
    for publisher in publishers {
        count += publisher.await.unwrap();
    }
    f64::from(count) / began.elapsed().as_secs_f64()
}

fn draft() -> Draft {
    let payload = Payload { kind: Kind::Bytes, bytes: Bytes::from_static(&[7; BYTES]) };
    Draft { id: "abcdefghijklmnopqrst".into(), once: Once::No, event: None, key: None, payload, from: None }
}

impl Figures {
    pub fn of(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        let at = |share: usize| took[took.len() * share / 100].as_secs_f64() * 1e3;
        Figures { p50: at(50), p99: at(99) }
    }

    pub fn text(&self) -> String {
        format!("p50 {:.3} ms p99 {:.3} ms", self.p50, self.p99)
    }
}
