//! The live reads of this node: who they are, what ends one of them, and how all are called at once.
//!
//! A read's place lives in its task, and nowhere else. So who wants to know it
//! raises a number that each read compares when it looks for messages, and wakes
//! those that it is about: they answer then. A read whose socket is full does
//! not look, and does not answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::Notify;

use crate::feed::Bell;
use crate::log::{Channel, Position};

/// On which transport a live read is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Via {
    /// Within this process.
    #[default]
    Inside,
    /// A WebSocket on the URL of channels.
    WebSocket,
    /// A WebSocket of `/v1/connect`.
    Session,
    /// An event stream.
    Sse,
    /// A request that is held.
    LongPoll,
}

/// Every live read of a node.
#[derive(Default)]
pub(crate) struct LiveReads {
    reads: Mutex<Slab<LiveRead>>,
    /// Reads that ever began here.
    begun: AtomicU64,
    /// How often all were called. A read that has heard of less looks up why.
    calls: AtomicU32,
    rolls: Mutex<Vec<Arc<Roll>>>,
    /// Reads whose socket takes nothing.
    stuck: AtomicUsize,
}

struct LiveRead {
    bell: Arc<Bell>,
    number: u64,
    since_ms: u64,
    user: Option<Arc<str>>,
    address: Option<IpAddr>,
    via: Via,
    /// Since when its socket takes nothing, where that is for long; 0 where it does.
    stuck_since_ms: u64,
    dismissed: Option<Dismissal>,
}

/// What one is told whose read is ended by an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dismissal {
    ComeBack,
    StayAway,
}

/// One live read, as it is described.
#[derive(Debug, Clone)]
pub(crate) struct Described {
    pub(crate) number: u64,
    pub(crate) since_ms: u64,
    pub(crate) user: Option<Arc<str>>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) via: Via,
    pub(crate) stuck: bool,
}

/// The registration of a read, its number, its place, and how many messages follow that.
type Answer = (u32, u64, Position, Option<usize>);

/// A question to all who read a channel.
struct Roll {
    /// Who has heard of this call has answered.
    call: u32,
    channel: Channel,
    /// Those who answered first.
    places: Mutex<Vec<Answer>>,
    answers: AtomicUsize,
    changed: Notify,
}

/// What a roll call found.
pub(crate) struct Called {
    pub(crate) readers: Vec<(Described, Position, Option<usize>)>,
    /// All who answered.
    pub(crate) answered: usize,
}

/// How long a reader that takes something may need to answer.
const ANSWER_MAX: Duration = Duration::from_millis(500);
/// After so long without taking anything a socket counts as stuck.
pub(crate) const STUCK_AFTER: Duration = Duration::from_secs(1);

impl Via {
    /// The name on every wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Via::Inside => "inside",
            Via::WebSocket => "websocket",
            Via::Session => "session",
            Via::Sse => "sse",
            Via::LongPoll => "long-poll",
        }
    }
}

impl LiveReads {
    /// Adds a read, and gives its registration.
    pub(crate) fn enter(&self, bell: Arc<Bell>, now_ms: u64) -> u32 {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let registration = self.reads.lock().insert(LiveRead {
            bell,
            number,
            since_ms: now_ms,
            user: None,
            address: None,
            via: Via::Inside,
            stuck_since_ms: 0,
            dismissed: None,
        });
        // There are no 4 billion.
        u32::try_from(registration).unwrap_or(u32::MAX)
    }

    pub(crate) fn leave(&self, registration: u32) {
        let left = self.reads.lock().try_remove(registration as usize);
        if left.is_some_and(|read| read.stuck_since_ms > 0) {
            self.stuck.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Says where a read comes from.
    pub(crate) fn introduce(&self, registration: u32, via: Via, address: Option<IpAddr>) {
        if let Some(read) = self.reads.lock().get_mut(registration as usize) {
            (read.via, read.address) = (via, address);
        }
    }

    /// Says whose a read is.
    pub(crate) fn belongs(&self, registration: u32, user: Option<Arc<str>>) {
        if let Some(read) = self.reads.lock().get_mut(registration as usize) {
            read.user = user;
        }
    }

    /// Notes since when the socket of a read takes nothing; 0: it does.
    pub(crate) fn note_stuck(&self, registration: u32, since_ms: u64) {
        let mut reads = self.reads.lock();
        let Some(read) = reads.get_mut(registration as usize) else { return };
        match (read.stuck_since_ms, since_ms) {
            (0, 1..) => drop(self.stuck.fetch_add(1, Ordering::Relaxed)),
            (1.., 0) => drop(self.stuck.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
        read.stuck_since_ms = since_ms;
    }

    pub(crate) fn len(&self) -> usize {
        self.reads.lock().len()
    }

    /// How many sockets take nothing, and since when the one does that has not for longest.
    pub(crate) fn stuck(&self) -> (usize, Option<u64>) {
        match self.stuck.load(Ordering::Relaxed) {
            0 => (0, None),
            count => {
                let reads = self.reads.lock();
                let since = reads.iter().map(|(_, read)| read.stuck_since_ms).filter(|ms| *ms > 0).min();
                (count, since)
            }
        }
    }

    /// How often all were called: read for each look at messages, so it is no lock.
    pub(crate) fn calls(&self) -> u32 {
        self.calls.load(Ordering::Acquire)
    }

    /// Makes each read look up what has changed, and wakes them all.
    pub(crate) fn wake_all(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        for (_, read) in self.reads.lock().iter() {
            read.bell.wake();
        }
    }

    /// Ends reads: what each is told when it looks. Gives how many.
    pub(crate) fn dismiss(&self, whom: impl Fn(&Described) -> bool, how: Dismissal) -> usize {
        let mut told = Vec::new();
        for (_, read) in self.reads.lock().iter_mut() {
            if read.dismissed.is_none() && whom(&read.describe()) {
                read.dismissed = Some(how);
                told.push(read.bell.clone());
            }
        }
        self.calls.fetch_add(1, Ordering::SeqCst);
        told.iter().for_each(|bell| bell.wake());
        told.len()
    }

    /// Whether a read is to end.
    pub(crate) fn dismissed(&self, registration: u32) -> Option<Dismissal> {
        self.reads.lock().get(registration as usize)?.dismissed
    }

    /// Answers the rolls that were called since a read heard of `heard` calls, up to `calls`: it hears of later ones
    /// when it looks again.
    pub(crate) fn answer(
        &self,
        registration: u32,
        heard: u32,
        calls: u32,
        place: impl Fn(&Channel) -> Option<(Position, Option<usize>)>,
    ) {
        for roll in self.rolls.lock().iter().filter(|roll| roll.call > heard && roll.call <= calls) {
            let Some((at, behind)) = place(&roll.channel) else { continue };
            let number = self.reads.lock().get(registration as usize).map_or(0, |read| read.number);
            let mut places = roll.places.lock();
            if places.len() < places.capacity() {
                places.push((registration, number, at, behind));
            }
            roll.answers.fetch_add(1, Ordering::AcqRel);
            roll.changed.notify_one();
        }
    }

    /// Calls the roll of a channel. `wake` wakes its readers, and says how many there are; at most `limit` are listed.
    pub(crate) async fn call(&self, channel: &Channel, limit: usize, wake: impl FnOnce() -> usize) -> Called {
        let roll = {
            // Under the lock, so that who hears of the call finds the roll.
            let mut rolls = self.rolls.lock();
            let roll = Arc::new(Roll {
                call: self.calls.fetch_add(1, Ordering::SeqCst) + 1,
                channel: channel.clone(),
                places: Mutex::new(Vec::with_capacity(limit)),
                answers: AtomicUsize::new(0),
                changed: Notify::new(),
            });
            rolls.push(roll.clone());
            roll
        };
        let _struck = Struck { live: self, roll: &roll };
        let readers = wake();
        let all = async {
            while roll.answers.load(Ordering::Acquire) < readers {
                roll.changed.notified().await;
            }
        };
        // Who did not answer is counted by the one who asked.
        let _ = tokio::time::timeout(ANSWER_MAX, all).await;
        let places = std::mem::take(&mut *roll.places.lock());
        let reads = self.reads.lock();
        let described = places.into_iter().filter_map(|(registration, number, at, behind)| {
            let read = reads.get(registration as usize).filter(|read| read.number == number)?;
            Some((read.describe(), at, behind))
        });
        Called { readers: described.collect(), answered: roll.answers.load(Ordering::Acquire) }
    }

    /// The reads that are of these, the oldest first, and how many there are; at most `limit` are given.
    pub(crate) fn list(&self, user: Option<&str>, limit: usize) -> (Vec<Described>, usize) {
        let reads = self.reads.lock();
        let of_user = |read: &&LiveRead| user.is_none() || read.user.as_deref() == user;
        let mut numbers: Vec<_> =
            reads.iter().filter(|(_, read)| of_user(read)).map(|(at, read)| (read.number, at)).collect();
        let count = numbers.len();
        if count > limit && limit > 0 {
            numbers.select_nth_unstable(limit - 1);
        }
        numbers.truncate(limit);
        numbers.sort_unstable();
        (numbers.iter().filter_map(|(_, at)| Some(reads.get(*at)?.describe())).collect(), count)
    }
}

impl LiveRead {
    fn describe(&self) -> Described {
        let LiveRead { number, since_ms, address, via, .. } = *self;
        let (user, stuck) = (self.user.clone(), self.stuck_since_ms > 0);
        Described { number, since_ms, user, address, via, stuck }
    }
}

/// Takes a roll from the list, however its call ends.
struct Struck<'a> {
    live: &'a LiveReads,
    roll: &'a Arc<Roll>,
}

impl Drop for Struck<'_> {
    fn drop(&mut self) {
        self.live.rolls.lock().retain(|roll| !Arc::ptr_eq(roll, self.roll));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_listed_and_all_counted() {
        let live = LiveReads::default();
        for n in 0..10 {
            let at = live.enter(Arc::new(Bell::new(1)), n);
            live.belongs(at, Some(if n % 2 == 0 { "even".into() } else { "odd".into() }));
        }
        live.leave(0);
        let (listed, count) = live.list(Some("even"), 2);
        assert_eq!((listed.iter().map(|one| one.number).collect::<Vec<_>>(), count), (vec![2, 4], 4));
        assert_eq!(live.list(None, 0).1, 9);
    }

    #[test]
    fn who_is_stuck_is_counted_until_it_leaves_or_reads_on() {
        let live = LiveReads::default();
        let reads: Vec<_> = (0..2).map(|_| live.enter(Arc::new(Bell::new(1)), 0)).collect();
        live.note_stuck(reads[0], 70);
        live.note_stuck(reads[1], 50);
        assert_eq!(live.stuck(), (2, Some(50)));
        live.note_stuck(reads[1], 0);
        assert_eq!(live.stuck(), (1, Some(70)));
        live.leave(reads[0]);
        assert_eq!(live.stuck(), (0, None));
    }

    #[test]
    fn one_is_dismissed_once() {
        let live = LiveReads::default();
        let at = live.enter(Arc::new(Bell::new(1)), 0);
        assert_eq!(live.dismiss(|read| read.number == 0, Dismissal::StayAway), 1);
        assert_eq!(live.dismiss(|_| true, Dismissal::ComeBack), 0);
        assert_eq!(live.dismissed(at), Some(Dismissal::StayAway));
    }
}
