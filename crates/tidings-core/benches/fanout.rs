//! What a delivery costs without a socket: wake, poll, take, advance.
//!
//! `cargo bench -p tidings-core`. Each case publishes, and stops its clock when
//! every reader has taken everything; so the figures hold the feed's work and a
//! share of the append, which is also measured alone. Readers are tasks that
//! poll their subscriptions as a door does. Medians of some rounds, with the range.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tidings_core::broker::{Memory, MemoryLimits};
use tidings_core::log::{Draft, Kind, Once, Payload, Start};
use tidings_core::{
    Batch, Channel, Clock, Control, Credentials, Delivery, From, Hub, Keys, Limits, Metrics, Namespace,
    Parts, Policy, Session, Settings, Subscription, Want, Writer,
};
use tokio::sync::Notify;
use tokio::time::Instant;

const ROUNDS: usize = 21;
const WARM_UP: usize = 3;
/// Channels that one request may name.
const NAMES_MAX: usize = 100;

struct Bench {
    hub: Hub,
    control: Control,
}

/// How many messages readers took, and a wake for when it is enough.
#[derive(Default)]
struct Taken {
    count: AtomicUsize,
    enough: AtomicUsize,
    wake: Notify,
}

impl Taken {
    fn add(&self, count: usize) {
        let before = self.count.fetch_add(count, Ordering::AcqRel);
        if before + count == self.enough.load(Ordering::Acquire) {
            self.wake.notify_one();
        }
    }

    /// Says how many more are to come; await the answer after publishing them.
    fn expect(&self, more: usize) -> impl Future<Output = ()> {
        self.enough.store(self.count.load(Ordering::Acquire) + more, Ordering::Release);
        self.wake.notified()
    }
}

impl Bench {
    fn start() -> Self {
        let clock = Clock::system();
        let limits = MemoryLimits { bytes: 1 << 30, idempotency_keys: 1_000 };
        let (hub, control) = Hub::start(Parts {
            broker: Arc::new(Memory::start(clock.clone(), limits, 1)),
            settings: Settings {
                policy: Policy::new([("default".to_owned(), Namespace::new(Delivery::AtLeastOnce))]),
                keys: Keys::new(["sk"], None),
                limits: Limits::default(),
            },
            clock,
            metrics: Arc::new(Metrics::new()),
            incarnation: 1,
        });
        Bench { hub, control }
    }

    fn session(&self) -> Session {
        self.hub.open(&[], &Credentials::Bearer("sk".into())).expect("the key is right")
    }

    fn writer(&self, name: &Channel) -> Writer {
        self.session().writer(name).expect("a backend may write")
    }

    /// Subscriptions that cover these channels, as many as one request may at a time.
    async fn subscribe(&self, channels: &[Channel]) -> Vec<Subscription> {
        // No more than it needs: this memory is measured.
        let mut subscriptions = Vec::with_capacity(channels.len().div_ceil(NAMES_MAX));
        for channels in channels.chunks(NAMES_MAX) {
            let want = Want {
                channels: channels.to_vec(),
                from: From::Latest,
                consumer: None,
                default: Start::Latest,
            };
            subscriptions.push(self.session().follow(want).await.expect("a backend may read"));
        }
        subscriptions
    }
}

fn channels(count: usize) -> Vec<Channel> {
    (0..count).map(|n| Channel::parse(&format!("c{n}")).expect("a good name")).collect()
}

/// 128 bytes, as in the measurements of the prototype.
async fn publish(writer: &Writer) {
    let payload = Payload { kind: Kind::Bytes, bytes: Bytes::from_static(&[b'x'; 128]) };
    let id = writer.new_id();
    let draft = Draft { id, once: Once::No, event: None, key: None, payload, from: None };
    assert!(writer.append(vec![draft]).await.is_ok());
}

/// One client: takes all there is from its subscriptions, as a door would before one write.
fn read(mut subscriptions: Vec<Subscription>, taken: Arc<Taken>) {
    let mut batch = Batch::default();
    let mut take = move |cx: &mut Context<'_>| {
        let mut count = 0;
        for subscription in &mut subscriptions {
            while let Poll::Ready(Ok(())) = subscription.poll_next(cx, 64, &mut batch) {
                for (reader, item) in &batch.items {
                    subscription.advance(*reader, item);
                }
                count += batch.items.len();
                batch.clear();
            }
        }
        if count > 0 {
            taken.add(count);
        }
        Poll::<()>::Pending
    };
    tokio::spawn(poll_fn(move |cx| take(cx)));
}

/// Nanoseconds a delivery in each round.
async fn rounds<F: Future<Output = ()>>(
    taken: &Taken,
    deliveries: usize,
    mut publish_all: impl FnMut(usize) -> F,
) -> Vec<f64> {
    let mut rounds = Vec::new();
    for round in 0..WARM_UP + ROUNDS {
        let all = taken.expect(deliveries);
        let began = Instant::now();
        publish_all(round).await;
        all.await;
        if round >= WARM_UP {
            rounds.push(began.elapsed().as_secs_f64() * 1e9 / deliveries as f64);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    rounds
}

fn say(what: &str, mut rounds: Vec<f64>) {
    rounds.sort_by(f64::total_cmp);
    let (least, median, most) = (rounds[0], rounds[rounds.len() / 2], rounds[rounds.len() - 1]);
    println!("  {what:<58} {median:>8.0} ns   [{least:.0} to {most:.0}]");
}

async fn one_channel(readers: usize) {
    let bench = Bench::start();
    let channel = channels(1);
    let taken = Arc::new(Taken::default());
    for _ in 0..readers {
        read(bench.subscribe(&channel).await, taken.clone());
    }
    assert_eq!(bench.control.subscriptions(), readers);
    let writer = Arc::new(bench.writer(&channel[0]));
    tokio::time::sleep(Duration::from_millis(200)).await;
    for window in [1, 16] {
        let rounds = rounds(&taken, readers * window, |_| {
            let writer = writer.clone();
            async move {
                for _ in 0..window {
                    publish(&writer).await;
                }
            }
        });
        say(&format!("1 channel x {readers} readers, {window} at a time"), rounds.await);
    }
}

async fn many_channels_a_client(clients: usize, count: usize) {
    let bench = Bench::start();
    let channels = channels(count);
    let taken = Arc::new(Taken::default());
    for _ in 0..clients {
        read(bench.subscribe(&channels).await, taken.clone());
    }
    let writers: Arc<Vec<_>> = Arc::new(channels.iter().map(|channel| bench.writer(channel)).collect());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let one = rounds(&taken, clients, |round| {
        let writers = writers.clone();
        async move { publish(&writers[(round * 37) % writers.len()]).await }
    });
    say(&format!("{count} channels a client x {clients} clients, one message"), one.await);
    let all = rounds(&taken, clients * count, |_| {
        let writers = writers.clone();
        async move {
            for writer in writers.iter() {
                publish(writer).await;
            }
        }
    });
    say(&format!("{count} channels a client x {clients} clients, one in each"), all.await);
}

async fn one_reader_a_channel(count: usize) {
    let bench = Bench::start();
    let channels = channels(count);
    let writers: Arc<Vec<_>> = Arc::new(channels.iter().map(|channel| bench.writer(channel)).collect());
    let mut alone = Vec::new();
    for _ in 0..WARM_UP {
        let began = Instant::now();
        for writer in writers.iter() {
            publish(writer).await;
        }
        alone.push(began.elapsed().as_secs_f64() * 1e9 / count as f64);
    }
    say(&format!("append alone, {count} channels"), alone);
    let taken = Arc::new(Taken::default());
    for channel in &channels {
        read(bench.subscribe(std::slice::from_ref(channel)).await, taken.clone());
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let rounds = rounds(&taken, count, |_| {
        let writers = writers.clone();
        async move {
            for writer in writers.iter() {
                publish(writer).await;
            }
        }
    });
    say(&format!("{count} channels x 1 reader, append included"), rounds.await);
}

/// Resident memory, where the system tells. The allocator's own view would need unsafe code.
fn resident_bytes() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    statm.split(' ').nth(1)?.parse::<usize>().ok().map(|pages| pages * 4_096)
}

async fn memory(readers: usize) {
    let bench = Bench::start();
    let shared = channels(1);
    let own: Vec<_> =
        (0..readers).map(|n| Channel::parse(&format!("own-{n}")).expect("a good name")).collect();
    let taken = Arc::new(Taken::default());
    let _feed = bench.subscribe(&shared).await;
    let mut held: Vec<Vec<Subscription>> = Vec::with_capacity(readers);
    let say = |what: &str, before: Option<usize>| {
        if let (Some(before), Some(now)) = (before, resident_bytes()) {
            println!("  {what:<58} {:>8} bytes", now.saturating_sub(before) / readers);
        }
    };
    let before = resident_bytes();
    for _ in 0..readers {
        held.push(bench.subscribe(&shared).await);
    }
    say("RSS a subscription to one shared channel", before);
    let before = resident_bytes();
    held.drain(..).for_each(|subscriptions| read(subscriptions, taken.clone()));
    tokio::time::sleep(Duration::from_millis(200)).await;
    say("RSS a task that reads it", before);
    let before = resident_bytes();
    for channel in &own {
        held.push(bench.subscribe(std::slice::from_ref(channel)).await);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    say("RSS a subscription to a channel of its own (feed, log)", before);
}

fn main() {
    println!("size_of Subscription {} bytes, Batch {}", size_of::<Subscription>(), size_of::<Batch>());
    let on = |workers: usize| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(workers).enable_time().build().expect("a runtime")
    };
    println!("memory, idle");
    on(1).block_on(async { tokio::spawn(memory(19_000)).await.expect("no panic") });
    for workers in [1, 2] {
        println!("{workers} worker(s): a delivery, median of {ROUNDS} rounds [range]");
        // Each in a runtime of its own, so that no feed of another is left.
        on(workers).block_on(async { tokio::spawn(one_channel(19_000)).await.expect("no panic") });
        on(workers)
            .block_on(async { tokio::spawn(many_channels_a_client(1_000, 200)).await.expect("no panic") });
        on(workers).block_on(async { tokio::spawn(one_reader_a_channel(10_000)).await.expect("no panic") });
    }
}
