//! What a broker stored in truth, whatever its faults let others see.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use tidings_core::Channel;
use tidings_core::broker::{AppendError, Broker, BrokerError, Promise, Tail};
use tidings_core::log::{Appended, Created, Draft, Found, Limit, Page, Position, Rules, Start, Terms};
use tokio::time::Instant;

/// Every message that was ever stored, by channel and epoch, in order. Cloning shares it.
#[derive(Clone, Default)]
pub struct Truth(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    logs: HashMap<(Channel, u64), Vec<Fact>>,
    lives: u64,
}

/// One stored message.
#[derive(Debug, Clone)]
pub struct Fact {
    pub offset: u64,
    pub id: Box<str>,
    pub at: Instant,
}

/// A broker that tells the truth what it stored.
pub struct Recorder<B> {
    inner: B,
    truth: Truth,
}

impl Truth {
    pub fn has(&self, channel: &Channel, position: Position, id: &str) -> bool {
        let facts = self.between(channel, position.epoch, position.offset - 1, position.offset);
        facts.len() == 1 && *facts[0].id == *id
    }

    /// What was stored after one offset, up to another.
    pub fn between(&self, channel: &Channel, epoch: u64, after: u64, until: u64) -> Vec<Fact> {
        let known = self.0.lock();
        let log = known.logs.get(&(channel.clone(), epoch)).map_or(&[][..], Vec::as_slice);
        let first = log.partition_point(|fact| fact.offset <= after);
        log[first..].iter().take_while(|fact| fact.offset <= until).cloned().collect()
    }

    /// The broker begins a new life.
    pub fn restarted(&self) {
        self.0.lock().lives += 1;
    }

    /// How often it did.
    pub fn lives(&self) -> u64 {
        self.0.lock().lives
    }
}

impl<B> Recorder<B> {
    pub fn new(inner: B, truth: Truth) -> Self {
        Recorder { inner, truth }
    }

    fn record(&self, channel: &Channel, appended: &[Appended]) {
        let mut known = self.truth.0.lock();
        for one in appended.iter().filter(|one| !one.duplicate) {
            let Position { epoch, offset } = one.position;
            known.logs.entry((channel.clone(), epoch)).or_default().push(Fact {
                offset,
                id: one.id.clone(),
                at: Instant::now(),
            });
        }
    }
}

#[async_trait]
impl<B: Broker> Broker for Recorder<B> {
    fn promise(&self) -> Promise {
        self.inner.promise()
    }

    async fn append(
        &self,
        channel: &Channel,
        drafts: Vec<Draft>,
        rules: &Rules,
    ) -> Result<Vec<Appended>, AppendError> {
        let result = self.inner.append(channel, drafts, rules).await;
        match &result {
            Ok(appended) => self.record(channel, appended),
            Err(failed) => self.record(channel, &failed.stored),
        }
        result
    }

    async fn find(&self, channel: &Channel, start: Start, rules: &Rules) -> Result<Found, BrokerError> {
        self.inner.find(channel, start, rules).await
    }

    async fn read(
        &self,
        channel: &Channel,
        after: Position,
        limit: Limit,
        rules: &Rules,
    ) -> Result<Page, BrokerError> {
        self.inner.read(channel, after, limit, rules).await
    }

    async fn follow(&self, channel: &Channel, rules: &Rules) -> Result<Tail, BrokerError> {
        self.inner.follow(channel, rules).await
    }

    async fn create(&self, channel: &Channel, terms: Terms, rules: &Rules) -> Result<Created, BrokerError> {
        self.inner.create(channel, terms, rules).await
    }

    async fn delete(&self, channel: &Channel, rules: &Rules) -> Result<bool, BrokerError> {
        self.inner.delete(channel, rules).await
    }

    async fn ready(&self) -> Result<(), BrokerError> {
        self.inner.ready().await
    }
}
