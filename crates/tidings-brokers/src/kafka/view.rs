//! One partition, as a node that needs it reads it: once, from its oldest record on, for all its readers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tidings_core::log::{Channel, Message};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::chain::{Chain, Fate};
use super::place;
use super::record::{Body, Record};

/// A partition, by its topic and its number.
pub(super) type Name = (Arc<str>, i32);

/// A partition in use.
#[derive(Debug)]
pub(super) struct View {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    inside: Mutex<Inside>,
    /// The offset of the record that comes next.
    next: watch::Sender<i64>,
    state: watch::Sender<Stage>,
    /// When somebody last asked whether all is read that there is.
    pub(super) asked: tokio::sync::Mutex<Option<Instant>>,
    used: Mutex<Instant>,
    held: Arc<Held>,
}

/// What a node may hold of partitions, and the bytes of messages that it does.
#[derive(Debug)]
pub(super) struct Held {
    most: usize,
    entries_most: usize,
    now: AtomicUsize,
}

impl Held {
    pub(super) fn new(most: usize) -> Self {
        Held { most, entries_most: ENTRIES_MAX, now: AtomicUsize::new(0) }
    }
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// What is there is read; the number is that of the record which comes next, and of the last.
    Loading(i64, i64),
    Ready,
    /// It is of no more use, and why.
    Over(String),
}

/// What is known of a partition.
#[derive(Debug)]
pub(super) struct Inside {
    /// Its life: a number that somebody drew when it was empty, or had lost something. 0: not known yet.
    pub(super) log: u64,
    /// Numbers of lives that are over, or that somebody else was faster than.
    past: Vec<u64>,
    /// What was before is not known.
    base: u64,
    pub(super) chains: HashMap<Channel, Chain>,
    waiting: HashMap<u64, oneshot::Sender<Fate>>,
    /// Messages that are held, oldest first.
    recent: VecDeque<(Channel, u64, usize)>,
    held: usize,
    /// So many messages are known, at most, and none up to the floor.
    entries: usize,
    floor: u64,
    /// With so many channels, those that hold nothing are looked for.
    chains_most: usize,
    /// When the newest record was written.
    pub(super) newest_ms: u64,
    /// Whether it shows that it is not the partition that it was.
    is_another: bool,
}

/// Messages of one partition whose places are known, of about 90 bytes each without their keys. Beyond it the
/// oldest go first, and a reader that wanted them gets a gap.
const ENTRIES_MAX: usize = 1_000_000;
/// Channels of one partition. Beyond it, those that hold nothing are forgotten.
const CHAINS_MAX: usize = 1 << 20;

impl View {
    pub(super) fn new(topic: Arc<str>, partition: i32, held: Arc<Held>) -> Self {
        View {
            topic,
            partition,
            inside: Mutex::new(Inside {
                log: 0,
                past: Vec::new(),
                base: 0,
                chains: HashMap::new(),
                waiting: HashMap::new(),
                recent: VecDeque::new(),
                held: 0,
                entries: 0,
                floor: 0,
                chains_most: CHAINS_MAX,
                newest_ms: 0,
                is_another: false,
            }),
            next: watch::Sender::new(0),
            state: watch::Sender::new(Stage::Loading(0, 0)),
            asked: tokio::sync::Mutex::new(None),
            used: Mutex::new(Instant::now()),
            held,
        }
    }

    /// Begins to read at an offset, before which nothing is known.
    pub(super) fn begin_at(&self, low: i64) {
        self.inside.lock().base = place::before(low);
        self.next.send_replace(low);
    }

    pub(super) fn next(&self) -> i64 {
        *self.next.borrow()
    }

    /// Changes with each record.
    pub(super) fn progress(&self) -> watch::Receiver<i64> {
        self.next.subscribe()
    }

    pub(super) fn stage(&self) -> watch::Receiver<Stage> {
        self.state.subscribe()
    }

    pub(super) fn set(&self, stage: Stage) {
        self.state.send_replace(stage);
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(*self.state.borrow(), Stage::Over(_))
    }

    /// It is not what it was, or nobody needs it: tails end, and who waits is told that nothing is known.
    pub(super) fn end(&self, why: &str) {
        self.set(Stage::Over(why.to_owned()));
        let mut inside = self.inside.lock();
        inside.waiting.clear();
        inside.chains.clear();
        inside.recent.clear();
        self.held.now.fetch_sub(std::mem::take(&mut inside.held), Ordering::Relaxed);
    }

    pub(super) fn is_used(&self) {
        *self.used.lock() = Instant::now();
    }

    pub(super) fn used(&self) -> Instant {
        *self.used.lock()
    }

    /// The number of its life.
    pub(super) fn log(&self) -> u64 {
        self.inside.lock().log
    }

    /// The numbers of its life, and of those before it.
    pub(super) fn lives(&self) -> Vec<u64> {
        let inside = self.inside.lock();
        inside.past.iter().copied().chain([inside.log]).collect()
    }

    /// Whether a record came that was not written for it.
    pub(super) fn is_another(&self) -> bool {
        self.inside.lock().is_another
    }

    /// Looks at one channel, as it is now.
    pub(super) fn with<T>(&self, channel: &Channel, work: impl FnOnce(&mut Chain, u64, u64) -> T) -> T {
        let mut inside = self.inside.lock();
        let (known, log) = (place::before(self.next()), inside.log);
        inside.make_room(self.next());
        let base = inside.base;
        let inside = &mut *inside;
        if let Some(chain) = inside.chains.get_mut(channel) {
            return work(chain, epoch(log, chain.life), known);
        }
        // A name that somebody only asked for keeps no memory.
        let mut chain = Chain::new(channel.clone(), base);
        let epoch = epoch(log, chain.life);
        let seen = work(&mut chain, epoch, known);
        if !chain.is_idle() {
            inside.chains.insert(channel.clone(), chain);
        }
        seen
    }

    /// Looks at all of it.
    pub(super) fn with_all<T>(&self, work: impl FnOnce(&mut Inside) -> T) -> T {
        work(&mut self.inside.lock())
    }

    /// Whoever wrote the record with this number is to learn what became of it.
    pub(super) fn await_fate(&self, nonce: u64) -> oneshot::Receiver<Fate> {
        let (sender, receiver) = oneshot::channel();
        let mut inside = self.inside.lock();
        inside.waiting.retain(|_, waiting| !waiting.is_closed());
        inside.waiting.insert(nonce, sender);
        receiver
    }

    /// The next record, or what is none.
    pub(super) fn apply(&self, offset: i64, key: Option<&[u8]>, payload: Option<&[u8]>) {
        if offset < self.next() || self.is_over() {
            return;
        }
        if let Some(record) = payload.and_then(Record::decode) {
            let channel = key.and_then(|key| std::str::from_utf8(key).ok()).map(Channel::kept);
            self.inside.lock().apply(offset, channel.and_then(Result::ok), record, &self.held);
        }
        self.next.send_replace(offset + 1);
    }

    /// Records before an offset are gone.
    pub(super) fn cut(&self, low: i64) {
        let upto = place::before(low);
        let mut inside = self.inside.lock();
        if upto > inside.base {
            inside.base = upto;
            inside.chains.values_mut().for_each(|chain| chain.cut(upto));
        }
    }
}

impl Inside {
    fn apply(&mut self, offset: i64, channel: Option<Channel>, record: Record, held: &Held) {
        self.newest_ms = record.head.written_ms;
        let (log, nonce) = (record.head.log, record.head.nonce);
        let fate = if let Body::Begin { replaces } = record.body {
            self.begin(log, replaces);
            Fate::Nothing
        } else {
            if self.log == 0 {
                self.log = log;
            }
            match channel {
                Some(channel) if self.log == log => self.take(offset, channel, record, held),
                _ => {
                    self.is_another |= !self.past.contains(&log) && self.log != log;
                    Fate::Nothing
                }
            }
        };
        if let Some(waiting) = self.waiting.remove(&nonce) {
            let _ = waiting.send(fate);
        }
    }

    /// A life of the partition begins, unless somebody was faster.
    fn begin(&mut self, log: u64, replaces: u64) {
        if self.log == log {
            return;
        }
        if self.log == 0 || replaces == self.log {
            self.past.push(std::mem::replace(&mut self.log, log));
            self.chains.values_mut().for_each(|chain| {
                chain.followers.clear();
                chain.entries.values_mut().for_each(|entry| entry.message = None);
            });
        } else {
            self.past.push(log);
        }
    }

    fn take(&mut self, offset: i64, channel: Channel, record: Record, held: &Held) -> Fate {
        self.make_room(offset);
        let (base, log) = (self.base, self.log);
        let chain = self.chains.entry(channel.clone()).or_insert_with(|| Chain::new(channel.clone(), base));
        let fate = chain.apply(offset, record, epoch(log, chain.life));
        if let Fate::Stored { places, .. } = &fate {
            let new = places.iter().filter(|(_, duplicate)| !duplicate);
            let weight = |at: &u64| chain.entries.get(at)?.message.as_deref().map(Message::weight);
            let new: Vec<_> = new.filter_map(|(at, _)| Some((*at, weight(at)?))).collect();
            for (at, weight) in new {
                self.entries += 1;
                self.hold(channel.clone(), at, weight, held);
            }
            self.bound(offset, held.entries_most);
        }
        fate
    }

    /// Holds a message, and lets older ones go.
    fn hold(&mut self, channel: Channel, at: u64, weight: usize, held: &Held) {
        self.held += weight;
        held.now.fetch_add(weight, Ordering::Relaxed);
        self.recent.push_back((channel, at, weight));
        while held.now.load(Ordering::Relaxed) > held.most {
            let Some((channel, at, weight)) = self.recent.pop_front() else { break };
            self.held -= weight;
            held.now.fetch_sub(weight, Ordering::Relaxed);
            let entry = self.chains.get_mut(&channel).and_then(|chain| chain.entries.get_mut(&at));
            if let Some(entry) = entry {
                entry.message = None;
            }
        }
    }

    /// Forgets the oldest messages where too many are known.
    fn bound(&mut self, offset: i64, most: usize) {
        if self.entries <= most {
            return;
        }
        let count = |inside: &Self| inside.chains.values().map(|chain| chain.entries.len()).sum();
        self.entries = count(self);
        self.floor = self.floor.max(self.base);
        while self.entries > most - most / 16 && self.floor < place::before(offset) {
            let upto = self.floor + (place::before(offset) - self.floor) / 8 + 1;
            self.chains.values_mut().for_each(|chain| chain.cut(upto));
            self.floor = upto;
            self.entries = count(self);
        }
    }

    /// Where there are very many channels, it forgets those that hold nothing: of them, it is then only known that
    /// nothing came after now.
    fn make_room(&mut self, offset: i64) {
        if self.chains.len() >= self.chains_most {
            self.base = place::before(offset);
            self.chains.retain(|_, chain| !chain.is_idle());
            self.chains_most = CHAINS_MAX.max(self.chains.len() * 2);
        }
    }
}

/// The epoch of a channel's life in a partition's.
fn epoch(log: u64, life: u64) -> u64 {
    let mut mixed = log ^ life.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)).max(1)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tidings_core::log::{Below, Draft, Kind, Once, Payload, Retain, Rules};

    use super::super::record::Head;
    use super::*;

    const RULES: Rules = Rules {
        retain: Retain { messages: 1_000_000, age_ms: 1_000_000 },
        compact: false,
        dedupe_ms: 0,
        below: Below::Oldest,
        implicit: true,
        durable: true,
    };

    fn view(held: Held) -> View {
        let view = View::new("t".into(), 0, Arc::new(held));
        apply(&view, 0, 7, Body::Begin { replaces: 0 });
        view
    }

    fn apply(view: &View, offset: i64, log: u64, body: Body) {
        let record = Record { head: Head::new(log, 0, 1, &RULES), body };
        view.apply(offset, Some(b"a"), Some(&record.encode()));
    }

    fn message() -> Body {
        let payload = Payload { kind: Kind::Text, bytes: Bytes::from_static(b"x") };
        let draft = Draft { id: "i".into(), once: Once::No, event: None, key: None, payload, from: None };
        Body::Messages(vec![draft])
    }

    fn channel() -> Channel {
        Channel::parse("a").unwrap()
    }

    #[test]
    fn what_is_known_has_a_bound() {
        let view = view(Held { most: 1_000, entries_most: 100, now: AtomicUsize::new(0) });
        for offset in 1..1_000 {
            apply(&view, offset, 7, message());
            let held = view
                .with_all(|inside| inside.chains.values().map(|chain| chain.entries.len()).sum::<usize>());
            assert!(held <= 100, "{held}");
            assert!(view.held.now.load(Ordering::Relaxed) <= 1_000);
        }
        view.with(&channel(), |chain, _, _| {
            assert!(
                chain.entries.len() > 80 && chain.lost > place::after(890, 0) && chain.tip() == chain.last
            );
        });
        view.end("");
        assert_eq!(view.held.now.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn records_of_another_life_are_none() {
        let view = view(Held::new(1_000));
        apply(&view, 1, 7, message());
        apply(&view, 2, 7, Body::Begin { replaces: 5 });
        apply(&view, 3, 9, Body::Begin { replaces: 0 });
        apply(&view, 4, 9, message());
        let before = view.with(&channel(), |chain, epoch, _| (chain.entries.len(), epoch));
        assert_eq!((view.log(), before.0, view.is_another()), (7, 1, false), "somebody was faster");
        apply(&view, 5, 8, Body::Begin { replaces: 7 });
        apply(&view, 6, 7, message());
        apply(&view, 7, 8, message());
        let after = view.with(&channel(), |chain, epoch, _| (chain.entries.len(), epoch));
        assert_eq!((view.log(), after.0, view.is_another()), (8, 2, false), "it lost something");
        assert_ne!(before.1, after.1);
        apply(&view, 8, 1, message());
        assert!(view.is_another());
    }

    #[test]
    fn what_has_expired_is_known_by_what_was_said_again() {
        let first = view(Held::new(1_000));
        let terms = tidings_core::log::Terms { retain: None, ttl_ms: Some(9) };
        apply(&first, 1, 7, message());
        apply(&first, 2, 7, Body::Delete { only_over: false });
        apply(&first, 3, 7, message());
        apply(&first, 4, 7, Body::Create(terms));
        let (rest, epoch, tip) =
            first.with(&channel(), |chain, epoch, _| (chain.rest().unwrap(), epoch, chain.tip()));
        // A record that came meanwhile makes it untrue.
        let stale = super::super::record::Rest { seen: 2, ..rest };
        let later = View::new("t".into(), 0, Arc::new(Held::new(1_000)));
        later.begin_at(4);
        apply(&later, 4, 7, Body::Create(terms));
        apply(&later, 5, 7, Body::Rest(stale));
        assert_ne!(later.with(&channel(), |_, epoch, _| epoch), epoch);
        apply(&later, 6, 7, Body::Rest(rest));
        later.with(&channel(), |chain, own, _| {
            assert_eq!((own, chain.tip() >= tip, chain.terms, chain.begun), (epoch, true, Some(terms), true));
        });
    }
}
