//! The feeds of a node: each starts at its first reader and ends some time after its last.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{AbortHandle, AbortRegistration};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::broker::Broker;
use crate::log::{Channel, Rules};

use super::{Bell, Feed};

/// Every live feed of a node.
///
/// So many of them follow the broker, and no more: those that nobody reads give
/// their place up first, then the least recently used. A feed that is read and
/// has no place polls the broker for its readers, until it is more recently used
/// than one that has. Whoever has a place keeps it for [`TURN`] after each use.
/// So places change hands at most so often, and the same two feeds do not chase
/// each other: who lost its place is the less recently used of the two.
#[derive(Clone)]
pub(crate) struct Feeds {
    shared: Arc<Shared>,
}

struct Shared {
    broker: Arc<dyn Broker>,
    max: AtomicUsize,
    began: Instant,
    polls: Semaphore,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    live: HashMap<Channel, Live>,
    /// Those that have a place, the one to give it up first. What is noted here may be older than
    /// the truth, since a message is no reason to sort: it is put right when it comes to its turn.
    following: BTreeMap<Note, Channel>,
    /// Feeds that were started.
    started: u64,
}

struct Live {
    feed: Arc<Feed>,
    /// Which of the feeds that were started it is.
    number: u64,
    readers: usize,
    left_us: u64,
    /// What is noted of its use, and the end of its tail, if it has a place.
    place: Option<(Used, AbortHandle)>,
}

/// When a feed was last used, as it is noted, and its number: two are told apart without a look at their names.
type Note = (Used, u64);

/// When a feed was last used: by a message or a new reader if it is read, else by the last reader's leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Used {
    read: bool,
    at_us: u64,
}

/// What a feed is to do next.
pub(super) enum Turn {
    /// Follow the broker, until it is told to give its place up.
    Follow(AbortRegistration),
    /// Poll the broker, after this pause.
    Poll(Duration),
    /// End: nobody reads it.
    End,
}

/// A reader's share in a feed. Dropping it leaves the feed.
pub(crate) struct Lease {
    pub(crate) feed: Arc<Feed>,
    feeds: Feeds,
    key: usize,
}

/// A feed ends this long after its last reader left.
const IDLE: Duration = Duration::from_secs(60);
/// How long after its last use a feed that is read cannot lose its place.
const TURN: Duration = Duration::from_secs(5);
/// How often a channel is polled, and how many polls there are at most: about 1,000 a second, 64 at once.
const POLL_EVERY: Duration = Duration::from_secs(1);
const POLLS_APART: Duration = Duration::from_millis(1);
const POLLS_AT_ONCE: usize = 64;
/// Notes that are put right for one place: nobody holds up the others with more.
const NOTES_MAX: usize = 16;

impl Feeds {
    /// No feeds yet; at most `max` follow the broker at once.
    pub(crate) fn new(broker: Arc<dyn Broker>, max: usize) -> Self {
        let polls = Semaphore::new(POLLS_AT_ONCE);
        let (max, began) = (AtomicUsize::new(max), Instant::now());
        Feeds { shared: Arc::new(Shared { broker, max, began, polls, table: Mutex::default() }) }
    }

    /// At most `max` follow the broker at once from now on. Where more do, they give their places up in turn.
    pub(crate) fn allow(&self, max: usize) {
        self.shared.max.store(max, Ordering::Relaxed);
    }

    /// Reads channels by other rules from now on: those that `rules` gives. The others stay as they are.
    pub(crate) fn keep_by(&self, rules: impl Fn(&Channel) -> Option<Rules>) {
        for (channel, live) in &self.shared.table.lock().live {
            if let Some(rules) = rules(channel) {
                live.feed.keep_by(rules);
            }
        }
    }

    /// How many feeds follow the broker.
    pub(crate) fn following(&self) -> usize {
        self.shared.table.lock().following.len()
    }

    /// How many feeds poll it.
    pub(crate) fn polling(&self) -> usize {
        self.shared.table.lock().polling()
    }

    /// Wakes all who read a channel; gives how many they are.
    pub(crate) fn wake(&self, channel: &Channel) -> usize {
        let feed = self.shared.table.lock().live.get(channel).map(|live| live.feed.clone());
        feed.map_or(0, |feed| feed.wake())
    }

    /// The channels that have a feed and whose names begin so, after a name: the first so many in the order of
    /// names, each with its readers.
    pub(crate) fn named(&self, prefix: &str, after: Option<&str>, most: usize) -> Vec<(Channel, usize)> {
        let fits = |channel: &Channel| {
            channel.as_str().starts_with(prefix) && after.is_none_or(|after| channel.as_str() > after)
        };
        let mut named: Vec<_> = {
            let table = self.shared.table.lock();
            let live = table.live.iter().filter(|(channel, _)| fits(channel));
            live.map(|(channel, live)| (channel.clone(), live.readers)).collect()
        };
        named.sort_unstable();
        named.truncate(most);
        named
    }

    /// Joins the feed of a channel, which starts if it does not live.
    pub(crate) fn join(&self, channel: &Channel, rules: Rules, bell: &Arc<Bell>, reader: u32) -> Lease {
        let feed = {
            let mut table = self.shared.table.lock();
            let Table { live, started: all, .. } = &mut *table;
            let before = *all;
            let live = live.entry(channel.clone()).or_insert_with(|| {
                *all += 1;
                let feed = Arc::new(Feed::new(channel.clone(), rules, self.shared.began));
                Live { feed, number: *all, readers: 0, left_us: 0, place: None }
            });
            let started = *all > before;
            live.readers += 1;
            live.feed.touch();
            let feed = live.feed.clone();
            if started {
                let turn = table.turn(&feed, self.now_us(), self.max());
                tokio::spawn(feed.clone().run(self.shared.broker.clone(), self.clone(), turn));
            }
            feed
        };
        let key = feed.join(bell, reader);
        Lease { feed, feeds: self.clone(), key }
    }

    /// What a feed is to do next. Under the same lock as [`Feeds::join`], so that no reader joins a feed that ends.
    pub(super) fn turn(&self, feed: &Feed) -> Turn {
        self.shared.table.lock().turn(feed, self.now_us(), self.max())
    }

    /// Whether a feed that follows may end.
    pub(super) fn ends(&self, feed: &Feed) -> bool {
        self.shared.table.lock().ends(feed, self.now_us())
    }

    /// The right to one poll; dropped after it. There are so many at once.
    pub(super) async fn poll(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.shared.polls.acquire().await.ok()
    }

    fn max(&self) -> usize {
        self.shared.max.load(Ordering::Relaxed)
    }

    fn now_us(&self) -> u64 {
        micros(self.shared.began.elapsed())
    }
}

impl Table {
    fn polling(&self) -> usize {
        self.live.len() - self.following.len()
    }

    /// The entry of this very feed; its channel may have another by now.
    fn of(&self, feed: &Feed) -> Option<&Live> {
        self.live.get(&feed.channel).filter(|live| std::ptr::eq(&*live.feed, feed))
    }

    fn ends(&mut self, feed: &Feed, now_us: u64) -> bool {
        let Some(live) = self.of(feed) else { return true };
        let idle = now_us.saturating_sub(live.left_us) >= micros(IDLE) || live.place.is_none();
        let ends = live.readers == 0 && idle;
        if ends {
            self.remove(&feed.channel);
        }
        ends
    }

    fn turn(&mut self, feed: &Feed, now_us: u64, max: usize) -> Turn {
        if self.ends(feed, now_us) {
            return Turn::End;
        }
        let has_place = self.of(feed).is_some_and(|live| live.place.is_some());
        if !has_place && !self.make_room(feed.used_us(), now_us, max) {
            return Turn::Poll(self.pause(&feed.channel));
        }
        let (end, until) = AbortHandle::new_pair();
        self.put(&feed.channel, end);
        Turn::Follow(until)
    }

    /// Makes room for a feed that was used at `used_us`, if another is to give its place up for it.
    fn make_room(&mut self, used_us: u64, now_us: u64, max: usize) -> bool {
        let mut notes = 0;
        while self.following.len() >= max
            && let Some((&(noted, _), channel)) = self.following.first_key_value()
        {
            let keeps =
                |used: Used| used.read && (used.at_us + micros(TURN) > now_us || used.at_us >= used_us);
            let channel = channel.clone();
            // The truth is not older than what is noted, and this is the oldest note.
            if keeps(noted) {
                return false;
            }
            match self.live.get(&channel).map(Live::used) {
                Some(used) if used != noted => {
                    notes += 1;
                    if notes > NOTES_MAX {
                        return false;
                    }
                    self.note(&channel);
                }
                Some(used) if used.read => self.take_place(&channel),
                Some(_) => self.remove(&channel),
                None => drop(self.following.pop_first()),
            }
        }
        true
    }

    /// Notes when a feed with a place was last used.
    fn note(&mut self, channel: &Channel) {
        if let Some(live) = self.live.get_mut(channel) {
            let used = live.used();
            if let Some((noted, _)) = &mut live.place {
                let channel =
                    self.following.remove(&(*noted, live.number)).unwrap_or_else(|| channel.clone());
                self.following.insert((used, live.number), channel);
                *noted = used;
            }
        }
    }

    fn put(&mut self, channel: &Channel, end: AbortHandle) {
        self.forget(channel);
        if let Some(live) = self.live.get_mut(channel) {
            let used = live.used();
            live.place = Some((used, end));
            self.following.insert((used, live.number), channel.clone());
        }
    }

    /// Ends a feed's tail; its readers are served by polling.
    fn take_place(&mut self, channel: &Channel) {
        if let Some(end) = self.forget(channel) {
            end.abort();
        }
    }

    fn remove(&mut self, channel: &Channel) {
        self.take_place(channel);
        self.live.remove(channel);
    }

    fn forget(&mut self, channel: &Channel) -> Option<AbortHandle> {
        let live = self.live.get_mut(channel)?;
        let (noted, end) = live.place.take()?;
        self.following.remove(&(noted, live.number));
        Some(end)
    }

    /// How long until a channel is polled again. A little of it is of the channel's own, so that not all are polled at once.
    fn pause(&self, channel: &Channel) -> Duration {
        let all = POLLS_APART * u32::try_from(self.polling()).unwrap_or(u32::MAX);
        let pause = POLL_EVERY.max(all);
        pause + pause * u32::try_from(channel.tag() % 128).unwrap_or(0) / 1_024
    }
}

impl Live {
    fn used(&self) -> Used {
        match self.readers {
            0 => Used { read: false, at_us: self.left_us },
            _ => Used { read: true, at_us: self.feed.used_us() },
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.feed.leave(self.key);
        let now_us = self.feeds.now_us();
        let mut table = self.feeds.shared.table.lock();
        if let Some(live) = table.live.get_mut(&self.feed.channel)
            && Arc::ptr_eq(&live.feed, &self.feed)
        {
            live.readers -= 1;
            live.left_us = now_us;
            if live.readers == 0 && live.place.is_none() {
                table.remove(&self.feed.channel);
                self.feed.left.notify_one();
            } else if live.readers == 0 {
                table.note(&self.feed.channel);
            }
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
