//! A client that reads, stops in the middle, goes away and comes back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidings_core::broker::dice::Dice;
use tidings_core::log::{Gap, Message, Position, Why};
use tidings_core::{Channel, Cursor, Delivery, End, From, Item, Subscription};
use tokio::sync::Notify;

use super::super::node::{channel, next, want};
use super::{CHANNELS, SHORT, World};

/// One client, and where it stands by its own account.
pub struct Roamer {
    world: Arc<World>,
    number: u64,
    dice: Dice,
    names: Vec<&'static str>,
    places: BTreeMap<Channel, Position>,
}

/// Tells the readers that nothing more will happen. It wakes them in the order in which they wait.
#[derive(Default)]
pub struct Stop {
    now: AtomicBool,
    wake: Notify,
}

impl Stop {
    pub fn now(&self) {
        self.now.store(true, Ordering::Relaxed);
        self.wake.notify_waiters();
    }

    fn is_now(&self) -> bool {
        self.now.load(Ordering::Relaxed)
    }

    async fn wait(&self) {
        let woken = self.wake.notified();
        if !self.is_now() {
            woken.await;
        }
    }
}

impl Roamer {
    pub fn new(world: Arc<World>, number: u64, mut dice: Dice) -> Self {
        let count = 1 + dice.below(5) as usize;
        let first = dice.below(5) as usize;
        let names = (0..count).map(|n| CHANNELS[(first + n) % 5]).collect();
        Roamer { world, number, dice, names, places: BTreeMap::new() }
    }

    /// Reads until it is told to stop, and then to the end of every channel.
    pub async fn roam(mut self, stop: Arc<Stop>) {
        let pause = self.dice.below(3_000);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        while !stop.is_now() {
            let Some(subscription) = self.connect().await else {
                tokio::time::sleep(Duration::from_millis(self.dice.below(2_000))).await;
                continue;
            };
            self.read(subscription, &stop).await;
            // Sometimes away for so long that feeds end, and logs expire.
            let away =
                if self.dice.chance(200) { 40_000 + self.dice.below(60_000) } else { self.dice.below(500) };
            tokio::select! {
                biased;
                () = stop.wait() => {}
                () = tokio::time::sleep(Duration::from_millis(away)) => {}
            }
        }
        self.finish().await;
    }

    async fn connect(&mut self) -> Option<Subscription> {
        let from = if self.places.is_empty() {
            if self.dice.chance(500) { From::Latest } else { From::Earliest }
        } else {
            let places: Vec<_> =
                self.places.iter().map(|(channel, position)| (channel.clone(), *position)).collect();
            let cursor = Cursor::composite(places.iter().map(|(channel, position)| (channel, *position)));
            From::Cursor(cursor.to_string().parse().unwrap())
        };
        let number = self.number;
        match self.world.node.backend().follow(want(&self.names, from)).await {
            Ok(subscription) => {
                for (reader, name) in self.names.iter().enumerate() {
                    let at = subscription.at(reader as u32).unwrap();
                    let known = self.places.insert(channel(name), at);
                    // The place may only move by what is delivered.
                    assert!(known.is_none_or(|known| known == at), "{name}: {known:?} became {at:?}");
                }
                self.world.note(|| format!("r{number} joined at {}", subscription.cursor()));
                Some(subscription)
            }
            Err(error) => {
                self.world.note(|| format!("r{number} refused: {error}"));
                None
            }
        }
    }

    /// Reads for a while: a random number of batches, of each a random part.
    async fn read(&mut self, mut subscription: Subscription, stop: &Stop) {
        for _ in 0..self.dice.below(60) {
            let max = 1 + self.dice.below(100) as usize;
            let patience = Duration::from_millis(500 + self.dice.below(100_000));
            let waited = tokio::select! {
                biased;
                () = stop.wait() => return,
                waited = tokio::time::timeout(patience, next(&mut subscription, max)) => waited,
            };
            match waited {
                Err(_) => return,
                Ok(Err(End::Failed(error))) => {
                    let number = self.number;
                    self.world.note(|| format!("r{number} ended: {error}"));
                    return;
                }
                Ok(Err(end)) => panic!("{end:?}"),
                Ok(Ok(items)) => {
                    assert!(!items.is_empty() && items.len() <= max + 1, "{} items of {max}", items.len());
                    let part = if self.dice.chance(300) {
                        self.dice.below(items.len() as u64 + 1)
                    } else {
                        u64::MAX
                    };
                    self.take(&mut subscription, items, part);
                }
            }
            // A socket that takes nothing for a while.
            if self.dice.chance(250) {
                tokio::time::sleep(Duration::from_millis(self.dice.below(1_500))).await;
            }
        }
    }

    /// Takes the first of these items. A reader of which an item was left must not be moved past it.
    fn take(&mut self, subscription: &mut Subscription, items: Vec<(u32, Item)>, part: u64) {
        for (reader, item) in items.into_iter().take(usize::try_from(part).unwrap_or(usize::MAX)) {
            let channel = subscription.channel(reader).unwrap().clone();
            let delivery = subscription.facts()[reader as usize].delivery;
            let at = self.places[&channel];
            match &item {
                Item::Entry(entry) => self.message(&channel, at, &entry.message),
                Item::Gap(gap) => self.gap(&channel, at, gap, delivery),
                Item::End(_) => panic!("nobody closed {channel}"),
            }
            subscription.advance(reader, &item);
            let moved = subscription.at(reader).unwrap();
            assert_eq!(moved, item.position());
            self.places.insert(channel, moved);
        }
    }

    /// A message must be the very next that was stored.
    fn message(&self, channel: &Channel, at: Position, message: &Message) {
        assert_eq!(message.channel, *channel);
        let Position { epoch, offset } = message.position;
        assert_eq!(epoch, at.epoch, "a new epoch without a gap");
        assert!(offset > at.offset, "{channel}: {offset} after {}: again, or out of order", at.offset);
        let between = self.world.truth.between(channel, epoch, at.offset, offset);
        assert_eq!(between.len(), 1, "{channel} from {} to {offset}: a hole: {between:?}", at.offset);
        assert_eq!((between[0].offset, &between[0].id), (offset, &message.id));
        self.world.note(|| format!("r{} {channel} {offset} {}", self.number, message.id));
    }

    /// A gap must tell the truth.
    fn gap(&self, channel: &Channel, at: Position, gap: &Gap, delivery: Delivery) {
        self.world.note(|| format!("r{} {channel} {gap:?}", self.number));
        assert_eq!(gap.after, Some(at), "a gap begins where the reader stands");
        if gap.why == Why::Epoch {
            assert_ne!(gap.until.epoch, at.epoch, "no cursor here lies beyond an end");
            assert!(self.world.truth.lives() > 0);
            return;
        }
        assert_eq!(gap.until.epoch, at.epoch);
        let missing = self.world.truth.between(channel, at.epoch, at.offset, gap.until.offset);
        assert_eq!(gap.missed, Some(missing.len() as u64), "{channel}: {gap:?} over {missing:?}");
        assert!(!missing.is_empty(), "a gap where nothing is missing");
        let expected = if delivery == Delivery::AtMostOnce { Why::Lagged } else { Why::Expired };
        assert_eq!(gap.why, expected);
        assert_ne!(channel.namespace(), "log", "this log keeps all that is stored in a run");
        if delivery == Delivery::AtLeastOnce {
            let newer = self.world.truth.between(channel, at.epoch, gap.until.offset, u64::MAX).len() as u64;
            let aged = missing.iter().all(|fact| fact.at.elapsed() >= Duration::from_millis(SHORT.age_ms));
            assert!(newer >= SHORT.messages || aged, "reported as expired, and is kept: {missing:?}");
        }
    }

    /// Everything that is stored must come, although nothing else happens any more.
    async fn finish(&mut self) {
        let mut subscription = self.connect().await.expect("nothing fails any more");
        loop {
            let waited = tokio::time::timeout(Duration::from_secs(15), next(&mut subscription, 50)).await;
            let Ok(items) = waited else { break };
            self.take(&mut subscription, items.unwrap(), u64::MAX);
        }
        for name in &self.names {
            let channel = channel(name);
            let at = self.places[&channel];
            let found = self.world.node.backend().read(want(&[name], From::Latest), 1).await.unwrap();
            assert_eq!(
                found.cursor.get(&channel),
                Some(at),
                "reader {} of {name} never came to the end",
                self.number
            );
        }
    }
}
