//! What the Kafka broker adds to a raw client, in one run, on one server, at the same durability.
//!
//! `cargo bench -p tidings-brokers --features kafka --bench kafka [-- HOST:PORT]`, the address of a server
//! of which nothing else is asked; the default is `127.0.0.1:9092`. The raw client is librdkafka: an
//! idempotent producer with acks=all and no linger, and a consumer of the one partition with the same wait.
//! 128 bytes a message, one channel; the topics stay.

// A benchmark prints what it finds, and ends where it cannot go on.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends where it cannot go on"
)]

mod beside;

use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tidings_brokers::kafka::{Kafka, Options};
use tidings_core::Clock;
use tidings_core::broker::Broker;
use tidings_core::log::{Channel, Limit, Start};
use tokio::time::Instant;

use beside::{BYTES, Figures, ROUNDS, RULES, Took, one_by_one, own, print, until_ready};

const MESSAGES: usize = 2_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let server = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let server = server.unwrap_or_else(|| "127.0.0.1:9092".into());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &server);
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let topic = NewTopic::new("bench-raw", 1, TopicReplication::Fixed(1));
    // It may be there already.
    admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (raw, reader) = clients(&config);
    let options = Options { prefix: "bench".into(), partitions: 4, ..Options::new(vec![server]) };
    let writer = Arc::new(Kafka::open(Clock::system(), &options).unwrap());
    let follower = Kafka::open(Clock::system(), &options).unwrap();
    until_ready(&*writer, &follower).await;
    for round in 1..=ROUNDS {
        let (bare, own) = (bare(&raw, &reader).await, own(MESSAGES, &*writer, &follower).await);
        print(round, bare, own, &writer).await;
    }
    for _ in 0..ROUNDS {
        past(&options).await;
    }
}

fn clients(config: &ClientConfig) -> (FutureProducer, StreamConsumer) {
    let mut producer = config.clone();
    producer.set("enable.idempotence", "true").set("acks", "all").set("linger.ms", "0");
    let mut consumer = config.clone();
    consumer.set("group.id", "bench").set("enable.auto.commit", "false").set("fetch.wait.max.ms", "100");
    let reader: StreamConsumer = consumer.create().unwrap();
    let mut place = TopicPartitionList::new();
    place.add_partition_offset("bench-raw", 0, Offset::End).unwrap();
    reader.assign(&place).unwrap();
    (producer.create().unwrap(), reader)
}

/// A raw client: one message after the other, each acknowledged and received.
async fn bare(client: &FutureProducer, reader: &StreamConsumer) -> Took {
    // The first one is received when the consumer is there.
    loop {
        let sent = FutureRecord::to("bench-raw").key("one").payload(&[7; BYTES]);
        client.send(sent, Duration::from_secs(5)).await.unwrap();
        if tokio::time::timeout(Duration::from_secs(1), reader.recv()).await.is_ok() {
            break;
        }
    }
    while tokio::time::timeout(Duration::from_millis(300), reader.recv()).await.is_ok() {}
    let send = async || {
        let sent = FutureRecord::to("bench-raw").key("one").payload(&[7; BYTES]);
        client.send(sent, Duration::from_secs(5)).await.unwrap();
    };
    one_by_one(MESSAGES, send, async || drop(reader.recv().await.unwrap())).await
}

/// What a node pays that comes new to a partition, and for a page of the past that it does not hold.
async fn past(options: &Options) {
    let broker = Kafka::open(Clock::system(), &Options { held_bytes: 0, ..options.clone() }).unwrap();
    while broker.ready().await.is_err() {}
    let (channel, memory) = (Channel::parse("b:0").unwrap(), resident());
    let began = Instant::now();
    let found = loop {
        // A partition with much in it is waited for longer than by one call.
        if let Ok(found) = broker.find(&channel, Start::Earliest, &RULES).await {
            break found;
        }
    };
    let (took, records) = (began.elapsed(), found.end.offset >> 8);
    let each = resident().saturating_sub(memory) as f64 / records as f64;
    println!("a partition of {records} records is read in {:.2} s, {each:.0} bytes each", took.as_secs_f64());
    let mut took = Vec::new();
    let mut after = found.at;
    for _ in 0..20 {
        let began = Instant::now();
        let page =
            broker.read(&channel, after, Limit { messages: 100, bytes: usize::MAX }, &RULES).await.unwrap();
        took.push(began.elapsed());
        let Some(last) = page.messages.last() else { break };
        after = last.position;
    }
    println!("a page of 100 messages of the past: {}", Figures::of(took).text());
}

/// Bytes of memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0) * 1_024
}
