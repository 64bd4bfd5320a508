//! What the NATS broker adds to a raw client, in one run, on one server, at the same durability.
//!
//! `cargo bench -p tidings-brokers --bench nats [-- URL]`, where URL is that of a nats-server with
//! JetStream; the default is `nats://127.0.0.1:4222`. The raw client publishes into a stream of file
//! storage that republishes, waits for the acknowledgement, and receives by a plain subscription to
//! what is republished. 128 bytes a message, one channel; the streams are removed in the end.

// A benchmark has no caller to hand an error to.
#![allow(clippy::unwrap_used, reason = "a benchmark ends where it cannot go on")]

mod beside;

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use bytes::Bytes;
use futures_util::StreamExt;
use tidings_brokers::nats::{Nats, Options};
use tidings_core::Clock;

use beside::{BYTES, ROUNDS, Took, one_by_one, own, print, until_ready};

const MESSAGES: usize = 3_000;

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
    until_ready(&*writer, &follower).await;
    for round in 1..=ROUNDS {
        let (bare, own) = (bare(&raw, &reader).await, own(MESSAGES, &*writer, &follower).await);
        print(round, bare, own, &writer).await;
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
    let send = async || drop(client.request("raw.log.one", Bytes::from_static(&[7; BYTES])).await.unwrap());
    one_by_one(MESSAGES, send, async || drop(heard.next().await.unwrap())).await
}
