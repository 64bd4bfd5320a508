//! A broker whose answers come late, get lost, or fail: seeded, so that a failure can be seen again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::dice::Dice;
use super::{AppendError, Broker, BrokerError, Promise, Tail};
use crate::log::{
    Appended, Channel, Created, Draft, Found, Limit, Message, Page, Position, Rules, Start, Terms,
};

/// How often what fails. Rates are per thousand calls (for tails: batches).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// Every call, and every batch of a tail, is late by up to this much.
    pub late_ms_max: u64,
    /// Appends that are not stored, or of which a prefix is stored.
    pub appends_fail: u64,
    /// Appends that are stored, and whose answer is lost.
    pub appends_lost: u64,
    /// Calls of `find` and `read` that fail.
    pub reads_fail: u64,
    /// Calls of `follow` that fail.
    pub follows_fail: u64,
    /// Tails that end.
    pub tails_end: u64,
}

/// A broker around another.
pub struct Faulty {
    make: Box<dyn Fn(u64) -> Arc<dyn Broker> + Send + Sync>,
    state: Mutex<State>,
    /// Not a watch channel: that wakes in an order of its own choice, and a seed must give one order.
    ends: Arc<Notify>,
}

type Items = BoxStream<'static, Vec<Arc<Message>>>;

struct State {
    lives: u64,
    inner: Arc<dyn Broker>,
    faults: Faults,
    dice: Dice,
    down_until: Instant,
}

impl Faults {
    /// None: the broker inside, as it is.
    pub const NONE: Faults = Faults {
        late_ms_max: 0,
        appends_fail: 0,
        appends_lost: 0,
        reads_fail: 0,
        follows_fail: 0,
        tails_end: 0,
    };
    /// Everything that can fail does, now and then.
    pub const SOME: Faults = Faults {
        late_ms_max: 40,
        appends_fail: 30,
        appends_lost: 30,
        reads_fail: 20,
        follows_fail: 100,
        tails_end: 50,
    };
}

impl Faulty {
    /// A broker around what `make` gives for each life, counted from 0. No two lives may share an epoch.
    pub fn new(
        seed: u64,
        faults: Faults,
        make: impl Fn(u64) -> Arc<dyn Broker> + Send + Sync + 'static,
    ) -> Self {
        let inner = make(0);
        let state = State { lives: 1, inner, faults, dice: Dice::new(seed), down_until: Instant::now() };
        Faulty { make: Box::new(make), state: Mutex::new(state), ends: Arc::default() }
    }

    /// Changes what fails from now on.
    pub fn set(&self, faults: Faults) {
        self.state.lock().faults = faults;
    }

    /// Every call fails for this long, and every tail ends now.
    pub fn down_for(&self, time: Duration) {
        self.state.lock().down_until = Instant::now() + time;
        self.cut();
    }

    /// Every tail ends now, whatever it still owes.
    pub fn cut(&self) {
        self.ends.notify_waiters();
    }

    /// A new life: everything stored is gone, and every tail ends.
    pub fn restart(&self) {
        let mut state = self.state.lock();
        state.inner = (self.make)(state.lives);
        state.lives += 1;
        self.ends.notify_waiters();
    }

    fn inner(&self) -> Arc<dyn Broker> {
        self.state.lock().inner.clone()
    }

    fn roll<T>(&self, choose: impl FnOnce(&mut Dice, &Faults) -> T) -> T {
        let mut state = self.state.lock();
        let State { dice, faults, .. } = &mut *state;
        choose(dice, faults)
    }

    async fn late(&self) {
        let ms = self.roll(|dice, faults| dice.below(faults.late_ms_max + 1));
        if ms > 0 {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
    }

    /// Fails while the broker is down, and by chance.
    fn answers(&self, rate: impl FnOnce(&Faults) -> u64) -> Result<(), BrokerError> {
        let fails = self.roll(|dice, faults| dice.chance(rate(faults)));
        if fails || self.state.lock().down_until > Instant::now() {
            return Err(BrokerError::Unavailable("a fault, by design".into()));
        }
        Ok(())
    }

    /// Batches of a tail that may come late, and that end when the broker is cut or restarts.
    fn batches(&self, inner: Arc<dyn Broker>, items: Items) -> Items {
        let (seed, faults) = self.roll(|dice, faults| (dice.roll(), *faults));
        let notified = self.ends.clone().notified_owned();
        let mut dice = Dice::new(seed);
        let noticed = Duration::from_millis(dice.below(faults.late_ms_max * 50 + 1));
        let ended = Box::pin(async move {
            notified.await;
            // A dead connection is noticed some time later; until then its tail is silent.
            tokio::time::sleep(noticed).await;
            drop(inner);
        });
        let late = stream::unfold((items, dice), move |(mut items, mut dice)| async move {
            let batch = items.next().await?;
            if dice.chance(faults.tails_end) {
                return None;
            }
            let ms = dice.below(faults.late_ms_max + 1);
            if ms > 0 {
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
            Some((batch, (items, dice)))
        });
        Box::pin(late.take_until(ended))
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        // No tail outlives its broker in silence.
        self.cut();
    }
}

#[async_trait]
impl Broker for Faulty {
    fn promise(&self) -> Promise {
        self.inner().promise()
    }

    async fn append(
        &self,
        channel: &Channel,
        drafts: Vec<Draft>,
        rules: &Rules,
    ) -> Result<Vec<Appended>, AppendError> {
        self.late().await;
        let nothing = |error| AppendError { stored: Vec::new(), error };
        self.answers(|_| 0).map_err(nothing)?;
        let (fails, lost, count) = self.roll(|dice, faults| {
            (
                dice.chance(faults.appends_fail),
                dice.chance(faults.appends_lost),
                dice.below(drafts.len() as u64),
            )
        });
        if fails {
            let prefix = drafts.into_iter().take(usize::try_from(count).unwrap_or(0)).collect();
            let stored = self.inner().append(channel, prefix, rules).await?;
            return Err(AppendError { stored, error: BrokerError::Unavailable("a fault, by design".into()) });
        }
        let appended = self.inner().append(channel, drafts, rules).await?;
        self.late().await;
        if lost {
            return Err(nothing(BrokerError::Lost("a fault, by design".into())));
        }
        Ok(appended)
    }

    async fn find(&self, channel: &Channel, start: Start, rules: &Rules) -> Result<Found, BrokerError> {
        self.late().await;
        self.answers(|faults| faults.reads_fail)?;
        let found = self.inner().find(channel, start, rules).await?;
        self.late().await;
        Ok(found)
    }

    async fn read(
        &self,
        channel: &Channel,
        after: Position,
        limit: Limit,
        rules: &Rules,
    ) -> Result<Page, BrokerError> {
        self.late().await;
        self.answers(|faults| faults.reads_fail)?;
        // Late on both sides: the answer may be old when it arrives.
        let page = self.inner().read(channel, after, limit, rules).await?;
        self.late().await;
        Ok(page)
    }

    async fn follow(&self, channel: &Channel, rules: &Rules) -> Result<Tail, BrokerError> {
        self.late().await;
        self.answers(|faults| faults.follows_fail)?;
        let inner = self.inner();
        let Tail { from, items } = inner.follow(channel, rules).await?;
        Ok(Tail { from, items: self.batches(inner, items) })
    }

    async fn create(&self, channel: &Channel, terms: Terms, rules: &Rules) -> Result<Created, BrokerError> {
        self.late().await;
        self.answers(|faults| faults.appends_fail)?;
        self.inner().create(channel, terms, rules).await
    }

    async fn delete(&self, channel: &Channel, rules: &Rules) -> Result<bool, BrokerError> {
        self.late().await;
        self.answers(|faults| faults.appends_fail)?;
        self.inner().delete(channel, rules).await
    }

    async fn ready(&self) -> Result<(), BrokerError> {
        self.answers(|_| 0)?;
        self.inner().ready().await
    }
}
