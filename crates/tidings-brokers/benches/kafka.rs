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

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tidings_brokers::kafka::{Kafka, Options};
use tidings_core::Clock;
use tidings_core::broker::Broker;
use tidings_core::log::{Below, Channel, Draft, Kind, Limit, Once, Payload, Retain, Rules, Start};
use tokio::time::Instant;

const ROUNDS: usize = 3;
const MESSAGES: usize = 2_000;
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
    let mut took = Took { stored: Vec::new(), received: Vec::new() };
    for _ in 0..MESSAGES {
        let began = Instant::now();
        let stored = async {
            let sent = FutureRecord::to("bench-raw").key("one").payload(&[7; BYTES]);
            client.send(sent, Duration::from_secs(5)).await.unwrap();
            began.elapsed()
        };
        let received = async {
            reader.recv().await.unwrap();
            began.elapsed()
        };
        let (stored, received) = tokio::join!(stored, received);
        took.stored.push(stored);
        took.received.push(received);
    }
    took
}

/// The same through two brokers, as two nodes have them.
async fn own(writer: &Kafka, follower: &Kafka) -> Took {
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
async fn rate(writer: &Arc<Kafka>, channels: usize) -> f64 {
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
