//! What the NATS broker adds to a raw client, in one run, on one server, at the same durability.
//!
//! `cargo bench -p tidings-brokers --bench nats [-- URL]`, where URL is that of a nats-server with
//! JetStream; the default is `nats://127.0.0.1:4222`. The raw client publishes into a stream of file
//! storage that republishes, waits for the acknowledgement, and receives by a plain subscription to
//! what is republished. 128 bytes a message, one channel; the streams are removed in the end.

// A benchmark prints what it finds, and ends where it cannot go on.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends where it cannot go on"
)]

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use bytes::Bytes;
use futures_util::StreamExt;
use tidings_brokers::nats::{Nats, Options};
use tidings_core::Clock;
use tidings_core::broker::Broker;
use tidings_core::log::{Below, Channel, Draft, Kind, Once, Payload, Retain, Rules};
use tokio::time::Instant;

const ROUNDS: usize = 3;
const MESSAGES: usize = 3_000;
const PUBLISHERS: usize = 64;
const BYTES: usize = 128;
const RULES: Rules = Rules {
    retain: Retain { messages: 10_000_000, age_ms: 24 * 3_600_000 },
    compact: false,
    dedupe_ms: 120_000,
    below: Below::Oldest,
    implicit: true,
    durable: true,
};

/// How long each message took until it was acknowledged, and until it was received.
struct Took {
    stored: Vec<Duration>,
    received: Vec<Duration>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let url = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let url = url.unwrap_or_else(|| "nats://127.0.0.1:4222".into());
    let raw = async_nats::connect(&url).await.unwrap();
    let reader = async_nats::connect(&url).await.unwrap();
    let config = r#"{"name":"bench_raw","subjects":["raw.log.>"],"storage":"file","num_replicas":1,
        "allow_direct":true,"discard":"new","republish":{"src":"raw.log.>","dest":"raw.live.>"}}"#;
    api(&raw, "STREAM.CREATE.bench_raw", config).await;
    let mut options = Options::new(url);
    options.prefix = "bench".into();
    let writer = Arc::new(Nats::open(Clock::system(), &options).unwrap());
    let follower = Nats::open(Clock::system(), &options).unwrap();
    while writer.ready().await.and(follower.ready().await).is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for round in 1..=ROUNDS {
        let (bare, own) = (bare(&raw, &reader).await, own(&writer, &follower).await);
        for (what, bare, own) in [
            ("acknowledged", bare.stored, own.stored),
            ("received on another node", bare.received, own.received),
        ] {
            let (bare, own) = (Figures::of(bare), Figures::of(own));
            println!(
                "round {round}: {what}: raw {}, tidings {}, {:.2} ×",
                bare.text(),
                own.text(),
                own.p50 / bare.p50
            );
        }
        let (one, many) = (rate(&writer, 1).await, rate(&writer, PUBLISHERS).await);
        println!("round {round}: 64 publishers: {one:.0} messages/s on one channel, {many:.0} on 64");
    }
    for stream in ["bench_raw", "bench_default", "bench_b"] {
        api(&raw, &format!("STREAM.DELETE.{stream}"), "").await;
    }
}

async fn api(client: &Client, what: &str, request: &str) {
    let request = Bytes::copy_from_slice(request.as_bytes());
    client.request(format!("$JS.API.{what}"), request).await.unwrap();
}

/// A raw client: one message after the other, each acknowledged and received.
async fn bare(client: &Client, reader: &Client) -> Took {
    let mut heard = reader.subscribe("raw.live.one").await.unwrap();
    reader.flush().await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut took = Took { stored: Vec::new(), received: Vec::new() };
    for _ in 0..MESSAGES {
        let began = Instant::now();
        let stored = async {
            client.request("raw.log.one", Bytes::from_static(&[7; BYTES])).await.unwrap();
            began.elapsed()
        };
        let received = async {
            heard.next().await.unwrap();
            began.elapsed()
        };
        let (stored, received) = tokio::join!(stored, received);
        took.stored.push(stored);
        took.received.push(received);
    }
    took
}

/// The same through two brokers, as two nodes have them.
async fn own(writer: &Nats, follower: &Nats) -> Took {
    let channel = Channel::parse("one").unwrap();
    let mut tail = follower.follow(&channel, &RULES).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut took = Took { stored: Vec::new(), received: Vec::new() };
    for _ in 0..MESSAGES {
        let began = Instant::now();
        let stored = async {
            writer.append(&channel, vec![draft()], &RULES).await.unwrap();
            began.elapsed()
        };
        let received = async {
            tail.items.next().await.unwrap();
            began.elapsed()
        };
        let (stored, received) = tokio::join!(stored, received);
        took.stored.push(stored);
        took.received.push(received);
    }
    took
}

/// Messages a second of 64 publishers on so many channels.
async fn rate(writer: &Arc<Nats>, channels: usize) -> f64 {
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

struct Figures {
    p50: f64,
    p99: f64,
}

impl Figures {
    /// In milliseconds.
    fn of(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        let at = |share: usize| took[took.len() * share / 100].as_secs_f64() * 1e3;
        Figures { p50: at(50), p99: at(99) }
    }

    fn text(&self) -> String {
        format!("p50 {:.3} ms p99 {:.3} ms", self.p50, self.p99)
    }
}
