//! What an append to Redis costs, and how soon another node has it, beside a raw client that does
//! `XADD` and `PUBLISH` at the same durability.
//!
//! `cargo bench -p tidings-brokers --bench redis_latency [-- URL]`; without a URL it starts a redis-server of its own
//! without persistence. In one run and in turns: one publisher after the other, 128 bytes a message, one
//! channel. For latency a message is published when the one before has arrived.

// A benchmark prints what it finds, and ends where it cannot go on, and starts a process of its own.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark prints, and ends where it cannot go on"
)]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;
use tidings_brokers::redis::{Options, Redis};
use tidings_core::broker::{Broker, Tail};
use tidings_core::log::{Below, Channel, Draft, Kind, Once, Payload, Retain, Rules};
use tokio::time::{Instant, sleep};

const BYTES: usize = 128;
const ROUNDS: usize = 5;
const TIMES: usize = 4_000;
const PUBLISHERS: usize = 64;
const RULES: Rules = Rules {
    retain: Retain { messages: 1_000, age_ms: 24 * 3_600_000 },
    compact: false,
    dedupe_ms: 120_000,
    below: Below::Oldest,
    implicit: true,
    durable: true,
};

/// A server that ends with the benchmark.
struct Own(Child);

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let given = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let (_own, url) = match given {
        Some(url) => (None, url),
        None => own().await,
    };
    let (here, there) = (node(&url).await, node(&url).await);
    let (mut ratios, mut rates) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let raw = raw_latency(&url).await;
        let ours = latency(&here, &there).await;
        let ratio = ours[TIMES / 2].as_secs_f64() / raw[TIMES / 2].as_secs_f64();
        ratios.push(ratio);
        println!("round {round}: raw    publish → receive {}", text(&raw));
        println!("round {round}: broker publish → receive {}: {ratio:.2} × at the median", text(&ours));
        let (raw, ours) = (raw_rate(&url).await, rate(&here).await);
        rates.push(ours / raw);
        println!(
            "round {round}: {PUBLISHERS} publishers: raw {raw:.0}/s, broker {ours:.0}/s, {:.2} of it",
            ours / raw
        );
    }
    ratios.sort_by(f64::total_cmp);
    rates.sort_by(f64::total_cmp);
    println!(
        "latency {:.2} × raw (of {ROUNDS} rounds {:.2} to {:.2}); rate {:.2} of raw ({:.2} to {:.2})",
        ratios[ROUNDS / 2],
        ratios[0],
        ratios[ROUNDS - 1],
        rates[ROUNDS / 2],
        rates[0],
        rates[ROUNDS - 1]
    );
}

async fn own() -> (Option<Own>, String) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    sleep(Duration::from_millis(500)).await;
    (Some(Own(child)), format!("redis://127.0.0.1:{port}"))
}

async fn node(url: &str) -> Redis {
    let options = Options {
        urls: vec![url.to_owned()],
        password: None,
        ca: None,
        prefix: "bench:".into(),
        replicas: 0,
        wait_timeout: Duration::from_secs(1),
    };
    let redis = Redis::start(&options).unwrap();
    for _ in 0..100 {
        if redis.ready().await.is_ok() {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    redis.ready().await.unwrap();
    redis
}

async fn raw(url: &str) -> MultiplexedConnection {
    redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// As much as a raw client does in one step: append, trim, publish.
fn raw_step() -> redis::Pipeline {
    let payload = vec![7u8; BYTES];
    let mut pipe = redis::pipe();
    pipe.atomic();
    pipe.cmd("XADD").arg("raw:stream").arg("MAXLEN").arg(1_000).arg("*").arg("m").arg(&payload).ignore();
    pipe.cmd("PUBLISH").arg("raw:topic").arg(&payload).ignore();
    pipe
}

async fn raw_latency(url: &str) -> Vec<Duration> {
    let mut connection = raw(url).await;
    let mut topic = redis::Client::open(url).unwrap().get_async_pubsub().await.unwrap();
    topic.subscribe("raw:topic").await.unwrap();
    let mut messages = topic.into_on_message();
    let mut took = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let began = Instant::now();
        let step = raw_step();
        let (stored, received) = tokio::join!(step.exec_async(&mut connection), async {
            messages.next().await.unwrap();
            began.elapsed()
        });
        stored.unwrap();
        took.push(received);
    }
    took.sort_unstable();
    took
}

async fn latency(here: &Redis, there: &Redis) -> Vec<Duration> {
    let channel = Channel::parse("latency").unwrap();
    let Tail { mut items, .. } = there.follow(&channel, &RULES).await.unwrap();
    let mut took = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let began = Instant::now();
        let (stored, received) = tokio::join!(here.append(&channel, vec![draft()], &RULES), async {
            items.next().await.unwrap();
            began.elapsed()
        });
        stored.unwrap();
        took.push(received);
    }
    took.sort_unstable();
    took
}

async fn raw_rate(url: &str) -> f64 {
    let connection = raw(url).await;
    let began = Instant::now();
    let publish = || {
        let mut connection = connection.clone();
        async move {
            for _ in 0..TIMES / 10 {
                raw_step().exec_async(&mut connection).await.unwrap();
            }
        }
    };
    futures_util::future::join_all((0..PUBLISHERS).map(|_| publish())).await;
    (PUBLISHERS * (TIMES / 10)) as f64 / began.elapsed().as_secs_f64()
}

async fn rate(redis: &Redis) -> f64 {
    let channel = Channel::parse("rate").unwrap();
    let began = Instant::now();
    let publish = || async {
        for _ in 0..TIMES / 10 {
            redis.append(&channel, vec![draft()], &RULES).await.unwrap();
        }
    };
    futures_util::future::join_all((0..PUBLISHERS).map(|_| publish())).await;
    (PUBLISHERS * (TIMES / 10)) as f64 / began.elapsed().as_secs_f64()
}

fn draft() -> Draft {
    Draft {
        id: "0123456789abcdef".into(),
        once: Once::No,
        event: None,
        key: None,
        payload: Payload { kind: Kind::Bytes, bytes: Bytes::from(vec![7; BYTES]) },
        from: None,
    }
}

fn text(took: &[Duration]) -> String {
    let us = |part: usize| took[took.len() * part / 1_000].as_micros();
    format!("p50 {} µs, p99 {} µs", us(500), us(990))
}
