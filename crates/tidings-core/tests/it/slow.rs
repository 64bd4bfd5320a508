//! A broker that takes its time, and a node over it: what it costs to ask it often, and for how long anybody waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tidings_core::broker::{AppendError, Broker, BrokerError, Memory, Promise, Tail};
use tidings_core::log::{Appended, Draft, Found, Limit, Page, Position, Rules, Start};
use tidings_core::{Channel, Clock, Code, Credentials, Delivery, Error, From, Namespace, Stored};
use tokio::time::{Instant, sleep, timeout};

use super::node::{BEGAN_MS, Node, ROOM, channel, draft, public, texts, want};

/// A memory broker that is far away.
struct Slow {
    inner: Memory,
    answers_after_ms: AtomicU64,
    asked: AtomicUsize,
    under_way: AtomicUsize,
    most: AtomicUsize,
}

impl Slow {
    /// Waits as for an answer; counts the calls that are under way at once.
    async fn far(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let now = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        sleep(Duration::from_millis(self.answers_after_ms.load(Ordering::Relaxed))).await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }

    fn answers_after(&self, ms: u64) {
        self.answers_after_ms.store(ms, Ordering::Relaxed);
    }

    /// How many calls there were since the last count, and how many of them at once.
    fn count(&self) -> (usize, usize) {
        (self.asked.swap(0, Ordering::Relaxed), self.most.swap(0, Ordering::Relaxed))
    }
}

#[async_trait]
impl Broker for Slow {
    fn promise(&self) -> Promise {
        self.inner.promise()
    }

    async fn append(
        &self,
        channel: &Channel,
        drafts: Vec<Draft>,
        rules: &Rules,
    ) -> Result<Vec<Appended>, AppendError> {
        let appended = self.inner.append(channel, drafts, rules).await?;
        self.far().await;
        Ok(appended)
    }

    async fn find(&self, channel: &Channel, start: Start, rules: &Rules) -> Result<Found, BrokerError> {
        self.far().await;
        self.inner.find(channel, start, rules).await
    }

    async fn read(
        &self,
        channel: &Channel,
        after: Position,
        limit: Limit,
        rules: &Rules,
    ) -> Result<Page, BrokerError> {
        self.far().await;
        self.inner.read(channel, after, limit, rules).await
    }

    async fn follow(&self, channel: &Channel, rules: &Rules) -> Result<Tail, BrokerError> {
        self.inner.follow(channel, rules).await
    }

    async fn ready(&self) -> Result<(), BrokerError> {
        Ok(())
    }
}

fn slow() -> (Arc<Slow>, Node) {
    let clock = Clock::simulated(BEGAN_MS);
    let slow = Arc::new(Slow {
        inner: Memory::start(clock.clone(), ROOM, 1 << 40),
        answers_after_ms: AtomicU64::new(0),
        asked: AtomicUsize::new(0),
        under_way: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
    });
    let log = Namespace { presence: true, ..public(Delivery::AtLeastOnce) };
    let node = Node::over(slow.clone(), clock, [("log", log)], 1_000, 7);
    (slow, node)
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("log:{n}")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_hundred_channels_are_not_a_hundred_waits() {
    let (slow, node) = slow();
    let names = names(100);
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    for name in &names {
        node.publish(name, &[&format!("{name}/1"), &format!("{name}/2")]).await;
    }
    slow.answers_after(100);
    slow.count();
    let began = Instant::now();
    let mut subscription = node.follow(&names, From::Earliest).await.unwrap();
    assert!(began.elapsed() <= Duration::from_secs(1), "{:?} for 100 starts", began.elapsed());
    let (asked, most) = slow.count();
    assert_eq!(asked, 100);
    assert!((2..=16).contains(&most), "{most} at once: one request must not flood the broker");
    // In the order of the request, whoever answered first.
    let channels: Vec<_> = subscription.facts().iter().map(|fact| fact.channel.to_string()).collect();
    assert_eq!(channels, names);
    assert_eq!(texts(&mut subscription, 200).await.len(), 200);

    slow.count();
    let began = Instant::now();
    let page = node.backend().read(want(&names, From::Earliest), 150).await.unwrap();
    assert!(began.elapsed() <= Duration::from_secs(3), "{:?} for a page", began.elapsed());
    let (asked, most) = slow.count();
    assert!(asked <= 300 && most <= 16, "{asked} calls, {most} at once");
    assert_eq!(page.messages.len(), 150);
    let order: Vec<_> = page.messages.iter().map(|message| message.channel.to_string()).collect();
    let mut sorted = order.clone();
    sorted.sort_by_key(|name| names.iter().position(|known| known == name));
    assert_eq!(order, sorted, "channel by channel, in the order of the request");
    let again = node.backend().read(want(&names, From::Earliest), 150).await.unwrap();
    assert_eq!(again.messages, page.messages, "the same question has the same answer");
    let rest = node.backend().read(want(&names, From::Cursor(page.cursor)), 150).await.unwrap();
    assert_eq!((rest.messages.len(), rest.more), (50, false));
}

#[tokio::test(start_paused = true)]
async fn a_channel_without_news_costs_a_page_nothing_more() {
    let (slow, node) = slow();
    let names = names(100);
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let end = node.backend().read(want(&names, From::Latest), 100).await.unwrap().cursor;
    node.publish(names[70], &["m"]).await;
    slow.count();
    let page = node.backend().read(want(&names, From::Cursor(end)), 100).await.unwrap();
    assert_eq!(page.messages.len(), 1);
    assert_eq!(slow.count().0, 101, "a hundred starts and one read");
}

/// Design, invariant 4: every wait has a limit.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever_for_a_broker() {
    let (slow, node) = slow();
    let mut open = node.follow(&["log:a"], From::Latest).await.unwrap();
    slow.answers_after(3_600_000);
    let backend = node.backend();
    let soon = Duration::from_secs(15);
    let told = |error: Error| (error.code, error.stored);
    let page = timeout(soon, backend.read(want(&["log:a"], From::Earliest), 10)).await.expect("a page");
    assert_eq!(page.map(drop).map_err(told), Err((Code::BrokerUnavailable, None)));
    let follow = timeout(soon, node.follow(&["log:a", "log:b"], From::Latest)).await.expect("a start");
    assert_eq!(follow.map(drop).map_err(told), Err((Code::BrokerUnavailable, None)));
    let roster = timeout(soon, backend.presence(&channel("log:a"))).await.expect("a roster");
    assert_eq!(roster.map(drop).map_err(told), Err((Code::BrokerUnavailable, None)));
    let writer = backend.writer(&channel("log:a")).unwrap();
    let stopped = timeout(soon, writer.append(vec![draft("m")])).await.expect("a publish").unwrap_err();
    assert_eq!(told(stopped.error), (Code::BrokerUnavailable, Some(Stored::Unknown)));
    assert!(stopped.stored.is_empty());
    // It was stored: only the answer is missing, and the feed has it.
    assert_eq!(texts(&mut open, 1).await, ["m"]);
    slow.answers_after(10);
    let anonymous = node.open(&Credentials::None).unwrap();
    assert_eq!(anonymous.read(want(&["log:a"], From::Earliest), 10).await.unwrap().messages.len(), 1);
}
