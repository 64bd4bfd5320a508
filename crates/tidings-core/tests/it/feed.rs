//! Feeds: when they begin and end, and what a broker may do to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream;
use parking_lot::Mutex;
use tidings_core::broker::faulty::{Faults, Faulty};
use tidings_core::broker::{AppendError, Broker, BrokerError, Memory, Promise, Tail};
use tidings_core::log::{Appended, Created, Draft, Found, Limit, Page, Position, Rules, Start, Terms, Why};
use tidings_core::{Channel, Clock, Code, Delivery, End, From, Item, Stored, Subscription};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::node::{BEGAN_MS, Node, ROOM, draft, next, nothing, public, texts, want};

const FEED_IDLE: Duration = Duration::from_secs(60);

/// A broker that a test can hold at one place.
struct Held {
    inner: Mutex<Arc<dyn Broker>>,
    reads_wait: AtomicBool,
    reads_go_on: Notify,
    follows: AtomicUsize,
    follows_hang: AtomicBool,
    follows_end: AtomicBool,
    down: AtomicBool,
}

impl Held {
    fn new(clock: &Clock) -> Arc<Held> {
        Arc::new(Held {
            inner: Mutex::new(Arc::new(Memory::start(clock.clone(), ROOM, 1 << 40))),
            reads_wait: AtomicBool::default(),
            reads_go_on: Notify::new(),
            follows: AtomicUsize::default(),
            follows_hang: AtomicBool::default(),
            follows_end: AtomicBool::default(),
            down: AtomicBool::default(),
        })
    }

    fn inner(&self) -> Arc<dyn Broker> {
        self.inner.lock().clone()
    }

    fn answers(&self) -> Result<(), BrokerError> {
        match self.down.load(Ordering::Relaxed) {
            true => Err(BrokerError::Unavailable("switched off".into())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Broker for Held {
    fn promise(&self) -> Promise {
        self.inner().promise()
    }

    async fn append(
        &self,
        channel: &Channel,
        drafts: Vec<Draft>,
        rules: &Rules,
    ) -> Result<Vec<Appended>, AppendError> {
        self.answers().map_err(|error| AppendError { stored: Vec::new(), error })?;
        self.inner().append(channel, drafts, rules).await
    }

    async fn find(&self, channel: &Channel, start: Start, rules: &Rules) -> Result<Found, BrokerError> {
        self.answers()?;
        self.inner().find(channel, start, rules).await
    }

    async fn read(
        &self,
        channel: &Channel,
        after: Position,
        limit: Limit,
        rules: &Rules,
    ) -> Result<Page, BrokerError> {
        self.answers()?;
        let page = self.inner().read(channel, after, limit, rules).await;
        if self.reads_wait.load(Ordering::Relaxed) {
            self.reads_go_on.notified().await;
        }
        page
    }

    async fn follow(&self, channel: &Channel, rules: &Rules) -> Result<Tail, BrokerError> {
        let before = self.follows.fetch_add(1, Ordering::Relaxed);
        assert!(before < 1_000, "a feed that follows without a pause");
        self.answers()?;
        if self.follows_hang.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let mut tail = self.inner().follow(channel, rules).await?;
        if self.follows_end.load(Ordering::Relaxed) {
            tail.items = Box::pin(stream::empty());
        }
        Ok(tail)
    }

    async fn create(&self, channel: &Channel, terms: Terms, rules: &Rules) -> Result<Created, BrokerError> {
        self.inner().create(channel, terms, rules).await
    }

    async fn delete(&self, channel: &Channel, rules: &Rules) -> Result<bool, BrokerError> {
        self.inner().delete(channel, rules).await
    }

    async fn ready(&self) -> Result<(), BrokerError> {
        self.answers()
    }
}

fn held() -> (Arc<Held>, Node) {
    let clock = Clock::simulated(BEGAN_MS);
    let held = Held::new(&clock);
    let node = Node::over(held.clone(), clock, [("log", public(Delivery::AtLeastOnce))], 100, 7);
    (held, node)
}

/// Lets every task run until it waits.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_feed_ends_a_minute_after_its_last_reader() {
    let (_, node) = held();
    let subscription = node.follow(&["log:a"], From::Latest).await.unwrap();
    sleep(FEED_IDLE * 5).await;
    assert_eq!(node.control.feeds(), 1, "a feed with a reader stays");
    drop(subscription);
    sleep(FEED_IDLE - Duration::from_secs(1)).await;
    assert_eq!(node.control.feeds(), 1);
    sleep(Duration::from_secs(15)).await;
    assert_eq!(node.control.feeds(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_feed_ends_although_messages_come() {
    let (_, node) = held();
    drop(node.follow(&["log:a"], From::Latest).await.unwrap());
    for _ in 0..20 {
        sleep(Duration::from_secs(5)).await;
        node.publish("log:a", &["x"]).await;
    }
    assert_eq!(node.control.feeds(), 0, "100 s without a reader");
}

#[tokio::test(start_paused = true)]
async fn who_comes_when_a_feed_ends_misses_nothing() {
    // Every quarter of a second around the end of the feed, and publishers at the same moment.
    for quarters in 236..=300 {
        let (_, node) = held();
        drop(node.follow(&["log:a"], From::Latest).await.unwrap());
        sleep(Duration::from_millis(250) * quarters).await;
        let node = Arc::new(node);
        let publisher = tokio::spawn({
            let node = node.clone();
            async move {
                for n in 0..20 {
                    node.publish("log:a", &[&format!("m{n}")]).await;
                    sleep(Duration::from_millis(u64::from(quarters) % 3)).await;
                }
            }
        });
        let mut subscription = node.follow(&["log:a"], From::Earliest).await.unwrap();
        let expected: Vec<_> = (0..20).map(|n| format!("m{n}")).collect();
        assert_eq!(texts(&mut subscription, 20).await, expected, "after {quarters} quarters");
        publisher.await.unwrap();
        assert_eq!(node.control.feeds(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_during_an_empty_read_is_seen() {
    let (held, node) = held();
    let _keeps_the_feed = node.follow(&["log:a"], From::Latest).await.unwrap();
    settle().await;
    // A new epoch, of which the feed's tail does not know yet.
    let old = std::mem::replace(
        &mut *held.inner.lock(),
        Arc::new(Memory::start(node.clock.clone(), ROOM, 2 << 40)) as Arc<dyn Broker>,
    );
    let mut subscription = node.follow(&["log:a"], From::Latest).await.unwrap();
    held.reads_wait.store(true, Ordering::Relaxed);
    let reading = tokio::spawn(async move { texts(&mut subscription, 1).await });
    settle().await;
    // The read found nothing, and its answer is on the way; now something comes, and the feed learns of it.
    node.publish("log:a", &["m"]).await;
    drop(old);
    sleep(Duration::from_millis(200)).await;
    held.reads_wait.store(false, Ordering::Relaxed);
    held.reads_go_on.notify_waiters();
    assert_eq!(reading.await.unwrap(), ["m"]);
}

#[tokio::test(start_paused = true)]
async fn a_tail_that_ends_at_once_counts_as_no_answer() {
    let (held, node) = held();
    held.follows_end.store(true, Ordering::Relaxed);
    let mut subscription = node.follow(&["log:a"], From::Latest).await.unwrap();
    node.publish("log:a", &["m"]).await;
    let told = timeout(Duration::from_secs(20), next(&mut subscription, 10)).await.expect("nobody is told");
    assert!(matches!(told, Err(End::Failed(error)) if error.code == Code::BrokerUnavailable));
    assert!(held.follows.load(Ordering::Relaxed) < 50, "followed without a pause");
    drop(subscription);
    sleep(FEED_IDLE * 2).await;
    assert_eq!(node.control.feeds(), 0, "such a feed ends, too");
}

#[tokio::test(start_paused = true)]
async fn readers_are_told_of_a_broker_that_hangs() {
    let (held, node) = held();
    node.publish("log:a", &["m"]).await;
    held.follows_hang.store(true, Ordering::Relaxed);
    let mut subscription = node.follow(&["log:a"], From::Latest).await.unwrap();
    let told = timeout(Duration::from_secs(30), next(&mut subscription, 10)).await.expect("nobody is told");
    assert!(matches!(told, Err(End::Failed(error)) if error.code == Code::BrokerUnavailable));
    drop(subscription);
    held.follows_hang.store(false, Ordering::Relaxed);
    sleep(Duration::from_secs(30)).await;
    // The feed came back by itself, and now it is a read that hangs.
    let mut subscription = node.follow(&["log:a"], From::Earliest).await.unwrap();
    held.reads_wait.store(true, Ordering::Relaxed);
    let told = timeout(Duration::from_secs(30), next(&mut subscription, 10)).await.expect("nobody is told");
    assert!(matches!(told, Err(End::Failed(error)) if error.code == Code::BrokerUnavailable));
}

#[tokio::test(start_paused = true)]
async fn only_a_write_says_whether_it_is_stored() {
    let (held, node) = held();
    held.down.store(true, Ordering::Relaxed);
    let error = node.backend().read(want(&["log:a"], From::Earliest), 10).await.unwrap_err();
    assert_eq!((error.code, error.stored), (Code::BrokerUnavailable, None), "a read stores nothing");
    let stopped = node.try_publish("log:a", vec![draft("m")]).await.unwrap_err();
    assert_eq!((stopped.error.code, stopped.error.stored), (Code::BrokerUnavailable, Some(Stored::No)));
}

#[tokio::test(start_paused = true)]
async fn readers_outlast_a_short_loss_and_are_told_of_a_long_one() {
    let clock = Clock::simulated(BEGAN_MS);
    let memory = Arc::new(Memory::start(clock.clone(), ROOM, 1 << 40));
    let faulty = Arc::new(Faulty::new(1, Faults::NONE, move |_| memory.clone() as Arc<dyn Broker>));
    let node = Node::over(faulty.clone(), clock, [("log", public(Delivery::AtLeastOnce))], 100, 7);
    let mut subscription = node.follow(&["log:a"], From::Latest).await.unwrap();
    nothing(&mut subscription).await;
    outlasts_a_loss(&node, &faulty, &mut subscription, Duration::from_secs(13)).await;
}

/// A reader of `log:a` waits through a short loss of the broker, and is told of a long one in time.
pub async fn outlasts_a_loss(
    node: &Node,
    faulty: &Faulty,
    subscription: &mut Subscription,
    told_in: Duration,
) {
    faulty.down_for(Duration::from_secs(7));
    assert!(timeout(Duration::from_secs(9), next(subscription, 1)).await.is_err(), "short enough to wait");
    node.publish("log:a", &["m"]).await;
    assert_eq!(texts(subscription, 1).await, ["m"]);
    faulty.down_for(Duration::from_secs(60));
    let told = timeout(told_in, next(subscription, 1)).await.expect("too long to wait");
    assert!(matches!(told, Err(End::Failed(error)) if error.code == Code::BrokerUnavailable));
}

#[tokio::test(start_paused = true)]
async fn a_restart_under_readers_is_a_gap_and_then_news() {
    let clock = Clock::simulated(BEGAN_MS);
    let faulty = Arc::new(Faulty::new(1, Faults::NONE, {
        let clock = clock.clone();
        move |life| Arc::new(Memory::start(clock.clone(), ROOM, (1 + life) << 40)) as Arc<dyn Broker>
    }));
    let namespaces = [("log", public(Delivery::AtLeastOnce)), ("tail", public(Delivery::AtMostOnce))];
    let node = Node::over(faulty.clone(), clock, namespaces, 100, 7);
    let names = ["log:a", "tail:b"];
    let mut subscription = node.follow(&names, From::Latest).await.unwrap();
    for name in names {
        node.publish(name, &["old"]).await;
        assert_eq!(texts(&mut subscription, 1).await, ["old"]);
    }
    // Nothing tells the readers but the end of the tail, and the epoch of what they find then.
    faulty.restart();
    sleep(Duration::from_secs(5)).await;
    let gaps = next(&mut subscription, 9).await.unwrap();
    assert_eq!(gaps.len(), 2);
    for (reader, item) in gaps {
        assert!(matches!(&item, Item::Gap(gap) if gap.why == Why::Epoch), "{item:?}");
        subscription.advance(reader, &item);
    }
    for name in names {
        node.publish(name, &["new"]).await;
        assert_eq!(texts(&mut subscription, 1).await, ["new"]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_reads_the_past_outlasts_a_short_loss_too() {
    let clock = Clock::simulated(BEGAN_MS);
    let memory = Arc::new(Memory::start(clock.clone(), ROOM, 1 << 40));
    let faulty = Arc::new(Faulty::new(1, Faults::NONE, move |_| memory.clone() as Arc<dyn Broker>));
    let node = Node::over(faulty.clone(), clock, [("log", public(Delivery::AtLeastOnce))], 100, 7);
    let many: Vec<_> = (0..900).map(|n| n.to_string()).collect();
    node.publish("log:a", &many.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut subscription = node.follow(&["log:a"], From::Earliest).await.unwrap();
    assert_eq!(texts(&mut subscription, 100).await, many[..100]);
    faulty.down_for(Duration::from_secs(7));
    assert_eq!(texts(&mut subscription, 300).await, many[100..400], "one hiccup ends no stream");
    faulty.down_for(Duration::from_secs(60));
    let told = timeout(Duration::from_secs(13), next(&mut subscription, 1)).await.expect("too long to wait");
    assert!(matches!(told, Err(End::Failed(error)) if error.code == Code::BrokerUnavailable));
}
