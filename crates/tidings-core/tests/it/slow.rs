//! A broker that takes its time and counts what it is asked, and a node over it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tidings_core::broker::{AppendError, Broker, BrokerError, Memory, Promise, Tail};
use tidings_core::log::{Appended, Created, Draft, Found, Limit, Page, Position, Rules, Start, Terms};
use tidings_core::{Channel, Clock, Delivery, Namespace};
use tokio::time::sleep;

use super::node::{BEGAN_MS, Node, ROOM, public};

/// A memory broker that is far away.
pub struct Slow {
    inner: Memory,
    answers_after_ms: AtomicU64,
    asked: AtomicUsize,
    under_way: AtomicUsize,
    most: AtomicUsize,
    followed: AtomicUsize,
    messages_read: AtomicUsize,
}

impl Slow {
    /// One that answers at once, until it is told otherwise.
    pub fn start(clock: &Clock) -> Arc<Self> {
        Arc::new(Slow {
            inner: Memory::start(clock.clone(), ROOM, 1 << 40),
            answers_after_ms: AtomicU64::new(0),
            asked: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            followed: AtomicUsize::new(0),
            messages_read: AtomicUsize::new(0),
        })
    }

    /// Waits as for an answer; counts the calls that are under way at once.
    async fn far(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let now = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        sleep(Duration::from_millis(self.answers_after_ms.load(Ordering::Relaxed))).await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn answers_after(&self, ms: u64) {
        self.answers_after_ms.store(ms, Ordering::Relaxed);
    }

    /// How many questions there were since the last count, and how many of them at once.
    pub fn asked(&self) -> (usize, usize) {
        (self.asked.swap(0, Ordering::Relaxed), self.most.swap(0, Ordering::Relaxed))
    }

    /// How many messages were read since the last count.
    pub fn messages_read(&self) -> usize {
        self.messages_read.swap(0, Ordering::Relaxed)
    }

    /// How many tails began since the last count.
    pub fn followed(&self) -> usize {
        self.followed.swap(0, Ordering::Relaxed)
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
        let page = self.inner.read(channel, after, limit, rules).await?;
        self.messages_read.fetch_add(page.messages.len(), Ordering::Relaxed);
        Ok(page)
    }

    async fn follow(&self, channel: &Channel, rules: &Rules) -> Result<Tail, BrokerError> {
        self.followed.fetch_add(1, Ordering::Relaxed);
        self.inner.follow(channel, rules).await
    }

    async fn create(&self, channel: &Channel, terms: Terms, rules: &Rules) -> Result<Created, BrokerError> {
        self.inner.create(channel, terms, rules).await
    }

    async fn delete(&self, channel: &Channel, rules: &Rules) -> Result<bool, BrokerError> {
        self.inner.delete(channel, rules).await
    }

    async fn ready(&self) -> Result<(), BrokerError> {
        Ok(())
    }
}

/// A node that follows so many channels, over such a broker.
pub fn slow(feeds: usize) -> (Arc<Slow>, Node) {
    let clock = Clock::simulated(BEGAN_MS);
    let slow = Slow::start(&clock);
    let log = Namespace { presence: true, ..public(Delivery::AtLeastOnce) };
    let node = Node::over(slow.clone(), clock, [("log", log)], feeds, 7);
    (slow, node)
}

/// So many names of channels.
pub fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("log:{n}")).collect()
}
