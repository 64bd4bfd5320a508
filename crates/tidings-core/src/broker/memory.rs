//! The reference broker: logs in the memory of this process.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream;
use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc;

use super::{AppendError, Broker, BrokerError, Promise, Tail};
use crate::clock::Clock;
use crate::log::{
    Appended, Channel, Closed, Created, Draft, Found, Limit, Log, Message, Once, Page, Position, Rules,
    Start, Terms,
};

/// What the memory broker may hold.
#[derive(Debug, Clone, Copy)]
pub struct MemoryLimits {
    /// Bytes, over all channels. Beyond it the oldest messages of the node go first.
    pub bytes: usize,
    /// Idempotency keys, over all channels. Beyond it, or where they take half of `bytes`, a
    /// publish with a new key is refused: no message goes to make room for a key.
    pub idempotency_keys: usize,
}

/// Logs in the memory of this process. A restart is a new epoch for each of them.
#[derive(Debug)]
pub struct Memory {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    limits: MemoryLimits,
    shards: [RwLock<HashMap<Channel, Arc<Slot>, foldhash::fast::RandomState>>; SHARDS],
    used: AtomicUsize,
    keys: AtomicUsize,
    /// The part of `used` that idempotency keys hold.
    keys_bytes: AtomicUsize,
    epochs: AtomicU64,
    evicting: Mutex<()>,
}

/// What a log holds.
struct Held {
    bytes: usize,
    keys: usize,
    keys_bytes: usize,
}

/// One channel: its log, what it was created with, its last known rules, and the feeds that follow it.
#[derive(Debug)]
struct Slot {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    log: Log,
    /// Where it was created by name.
    terms: Option<Terms>,
    /// When it was created, or last written to.
    written_ms: u64,
    /// Those of its namespace, and over them its terms.
    rules: Rules,
    followers: Vec<mpsc::Sender<Arc<Message>>>,
}

const SHARDS: usize = 32;
/// Counted for a channel that holds nothing, besides its name.
const SLOT_BYTES: usize = 384;
/// Messages that wait for a feed; one that is further behind reads the log instead.
const FOLLOW_MESSAGES: usize = 1_024;
/// Messages handed to a feed at once.
const FOLLOW_BATCH: usize = 64;
const SWEEP_EVERY: Duration = Duration::from_secs(10);

impl Memory {
    /// A broker of empty logs. `seed` makes its epochs; two lives of a broker must not share one.
    /// Epoch 0 is of no log, so a seed of 0 is as good as 1.
    ///
    /// Needs a tokio runtime: a task removes expired messages every ten seconds
    /// while the broker lives.
    pub fn start(clock: Clock, limits: MemoryLimits, seed: u64) -> Self {
        let shared = Arc::new(Shared {
            clock,
            limits,
            shards: Default::default(),
            used: AtomicUsize::new(0),
            keys: AtomicUsize::new(0),
            keys_bytes: AtomicUsize::new(0),
            epochs: AtomicU64::new(seed.max(1)),
            evicting: Mutex::new(()),
        });
        let weak = Arc::downgrade(&shared);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP_EVERY).await;
                let Some(shared) = weak.upgrade() else { break };
                shared.sweep().await;
            }
        });
        Memory { shared }
    }

    /// Bytes that it counts as held.
    pub fn used(&self) -> usize {
        self.shared.used.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Broker for Memory {
    fn promise(&self) -> Promise {
        Promise {
            kind: "memory",
            stored: "in the memory of this process: a restart loses it",
            survives_restart: false,
            exact_retention: true,
            shared_idempotency: true,
        }
    }

    async fn append(
        &self,
        channel: &Channel,
        drafts: Vec<Draft>,
        rules: &Rules,
    ) -> Result<Vec<Appended>, AppendError> {
        let now_ms = self.shared.clock.now_ms();
        let appended = self.shared.with(channel, rules, now_ms, |state| {
            if !rules.implicit && !state.is_created() {
                return Err(AppendError { stored: Vec::new(), error: BrokerError::Unknown });
            }
            let mut stored = Vec::with_capacity(drafts.len());
            let keys = state.log.keys();
            for draft in drafts {
                // What is stored already is answered as such, however full it is.
                let is_new = draft.once != Once::No && state.log.needs_key(&draft, now_ms);
                if is_new && self.shared.is_full_of_keys(state.log.keys().saturating_sub(keys)) {
                    return Err(AppendError { stored, error: BrokerError::Full });
                }
                match state.append(draft, now_ms) {
                    Ok(one) => stored.push(one),
                    Err(closed) => return Err(AppendError { stored, error: closed.into() }),
                }
            }
            Ok(stored)
        });
        if self.used() > self.shared.limits.bytes {
            self.shared.evict();
        }
        appended
    }

    async fn find(&self, channel: &Channel, start: Start, rules: &Rules) -> Result<Found, BrokerError> {
        let now_ms = self.shared.clock.now_ms();
        let found = self.shared.with(channel, rules, now_ms, |state| {
            state.log.expire(now_ms, &state.rules);
            Found { created: state.is_created(), ..state.log.find(start, &state.rules) }
        });
        if self.used() > self.shared.limits.bytes {
            self.shared.evict();
        }
        Ok(found)
    }

    async fn read(
        &self,
        channel: &Channel,
        after: Position,
        limit: Limit,
        rules: &Rules,
    ) -> Result<Page, BrokerError> {
        let now_ms = self.shared.clock.now_ms();
        Ok(self.shared.with(channel, rules, now_ms, |state| {
            state.log.expire(now_ms, &state.rules);
            state.log.read(after, limit, &state.rules)
        }))
    }

    async fn follow(&self, channel: &Channel, rules: &Rules) -> Result<Tail, BrokerError> {
        let (sender, receiver) = mpsc::channel(FOLLOW_MESSAGES);
        let from = self.shared.with(channel, rules, self.shared.clock.now_ms(), |state| {
            state.followers.retain(|follower| !follower.is_closed());
            state.followers.push(sender);
            state.log.end()
        });
        let items = stream::unfold(receiver, |mut receiver| async move {
            let mut batch = Vec::new();
            receiver.recv_many(&mut batch, FOLLOW_BATCH).await;
            (!batch.is_empty()).then_some((batch, receiver))
        });
        Ok(Tail { from, items: Box::pin(items) })
    }

    async fn create(&self, channel: &Channel, terms: Terms, rules: &Rules) -> Result<Created, BrokerError> {
        let now_ms = self.shared.clock.now_ms();
        Ok(self.shared.with(channel, rules, now_ms, |state| {
            let new = !state.is_created();
            state.terms = Some(terms);
            state.written_ms = now_ms;
            state.rules = terms.over(rules);
            state.log.expire(now_ms, &state.rules);
            Created { end: state.log.end(), new, closed: state.log.is_closed() }
        }))
    }

    async fn delete(&self, channel: &Channel, rules: &Rules) -> Result<bool, BrokerError> {
        let epoch = self.shared.next_epoch();
        Ok(self.shared.with(channel, rules, self.shared.clock.now_ms(), |state| {
            let was_there = state.is_created();
            if was_there {
                state.begin_again(epoch);
            }
            was_there
        }))
    }

    async fn ready(&self) -> Result<(), BrokerError> {
        Ok(())
    }
}

impl State {
    fn append(&mut self, draft: Draft, now_ms: u64) -> Result<Appended, Closed> {
        let (appended, message) = self.log.append(draft, now_ms, &self.rules)?;
        if let Some(message) = message {
            self.written_ms = now_ms;
            // A follower whose queue is full is let go: its tail ends, and it reads the log from there.
            self.followers.retain(|follower| follower.try_send(message.clone()).is_ok());
        }
        Ok(appended)
    }

    fn is_created(&self) -> bool {
        self.terms.is_some() || self.log.is_begun()
    }

    fn is_over(&self, now_ms: u64) -> bool {
        self.terms.is_some_and(|terms| terms.are_over(self.written_ms, now_ms))
    }

    /// A new life, of which nobody knows anything yet. The tails of the old one end.
    fn begin_again(&mut self, epoch: u64) {
        self.log = Log::new(self.log.channel().clone(), epoch);
        self.terms = None;
        self.followers.clear();
    }
}

impl Held {
    fn of(log: &Log) -> Self {
        let keys_bytes = log.keys_weight();
        Held { bytes: log.weight() + log.index_weight() + keys_bytes, keys: log.keys(), keys_bytes }
    }
}

impl Shared {
    /// Whether there is room for no idempotency key beside those counted, and these.
    fn is_full_of_keys(&self, more: usize) -> bool {
        let keys = self.keys.load(Ordering::Relaxed).saturating_add(more);
        let bytes = self.keys_bytes.load(Ordering::Relaxed);
        keys >= self.limits.idempotency_keys || bytes > self.limits.bytes / 2
    }

    /// Runs `work` on a channel, under its own lock, and keeps count of what it holds.
    fn with<T>(
        &self,
        channel: &Channel,
        rules: &Rules,
        now_ms: u64,
        work: impl FnOnce(&mut State) -> T,
    ) -> T {
        let slot = self.slot(channel, rules);
        let mut state = slot.state.lock();
        self.counted(&mut state, |state| {
            if state.is_over(now_ms) {
                state.begin_again(self.next_epoch());
            }
            state.rules = state.terms.map_or(*rules, |terms| terms.over(rules));
            work(state)
        })
    }

    fn next_epoch(&self) -> u64 {
        self.epochs.fetch_add(1, Ordering::Relaxed)
    }

    fn counted<T>(&self, state: &mut State, work: impl FnOnce(&mut State) -> T) -> T {
        let before = Held::of(&state.log);
        let result = work(state);
        let after = Held::of(&state.log);
        add_difference(&self.used, before.bytes, after.bytes);
        add_difference(&self.keys, before.keys, after.keys);
        add_difference(&self.keys_bytes, before.keys_bytes, after.keys_bytes);
        result
    }

    fn slot(&self, channel: &Channel, rules: &Rules) -> Arc<Slot> {
        let shard = &self.shards[usize::try_from(channel.tag() >> 48).unwrap_or(0) % SHARDS];
        if let Some(slot) = shard.read().get(channel) {
            return slot.clone();
        }
        let mut shard = shard.write();
        let slot = shard.entry(channel.clone()).or_insert_with(|| {
            self.used.fetch_add(SLOT_BYTES + channel.as_str().len(), Ordering::Relaxed);
            let log = Log::new(channel.clone(), self.next_epoch());
            let state = State { log, terms: None, written_ms: 0, rules: *rules, followers: Vec::new() };
            Arc::new(Slot { state: Mutex::new(state) })
        });
        slot.clone()
    }

    /// Frees a sixteenth of the bound: first channels that hold nothing and that
    /// nobody follows, then the oldest messages of all channels.
    fn evict(&self) {
        let Some(_one_at_a_time) = self.evicting.try_lock() else { return };
        let target = self.limits.bytes - self.limits.bytes / 16;
        for shard in &self.shards {
            shard.write().retain(|channel, slot| {
                let used = Arc::strong_count(slot) > 1 || !slot.state.lock().is_idle();
                if !used {
                    self.used.fetch_sub(SLOT_BYTES + channel.as_str().len(), Ordering::Relaxed);
                }
                used
            });
        }
        let slots: Vec<_> = self.slots().collect();
        let oldest = |at: usize| slots[at].state.lock().log.oldest_ms();
        let mut by_age: BinaryHeap<_> =
            (0..slots.len()).filter_map(|at| oldest(at).map(|ms| Reverse((ms, at)))).collect();
        while self.used.load(Ordering::Relaxed) > target {
            let Some(Reverse((_, at))) = by_age.pop() else { break };
            self.counted(&mut slots[at].state.lock(), |state| state.log.drop_oldest());
            if let Some(ms) = oldest(at) {
                by_age.push(Reverse((ms, at)));
            }
        }
    }

    /// Removes what has expired in channels that nobody writes to.
    async fn sweep(&self) {
        let slots: Vec<_> = self.slots().collect();
        for (done, slot) in slots.into_iter().enumerate() {
            let now_ms = self.clock.now_ms();
            self.counted(&mut slot.state.lock(), |state| {
                if state.is_over(now_ms) {
                    state.begin_again(self.next_epoch());
                }
                let rules = state.rules;
                state.log.expire(now_ms, &rules);
                state.followers.retain(|follower| !follower.is_closed());
            });
            if done % 256 == 255 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn slots(&self) -> impl Iterator<Item = Arc<Slot>> {
        self.shards.iter().flat_map(|shard| shard.read().values().cloned().collect::<Vec<_>>())
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.log.is_empty() && self.followers.iter().all(mpsc::Sender::is_closed)
    }
}

fn add_difference(total: &AtomicUsize, before: usize, after: usize) {
    if after >= before {
        total.fetch_add(after - before, Ordering::Relaxed);
    } else {
        total.fetch_sub(before - after, Ordering::Relaxed);
    }
}
