//! A live read of one or many channels by one client.

use std::sync::Arc;
use std::task::{Context, Poll};

use prometheus_client::metrics::counter::Counter;
use smallvec::SmallVec;

use crate::error::Error;
use crate::feed::{Bell, Entry};
use crate::hub::Shared;
use crate::log::{Channel, Cursor, Position};
use crate::policy::{Delivery, Namespace};
use crate::presence::Member;
use crate::reader::{Item, Reader};
use crate::revocation::Watch;

/// Readers on one bell, with the rights and the end of their session.
///
/// It has no queue: [`Subscription::poll_next`] gives what is after each
/// reader's place, and gives it again until [`Subscription::advance`] says that
/// it began to go out. Dropping it ends the read.
pub struct Subscription {
    hub: Arc<Shared>,
    registration: usize,
    bell: Arc<Bell>,
    /// Most streams read one channel: it stands here, and not behind a pointer.
    readers: SmallVec<[Reader; 1]>,
    facts: Box<[Fact]>,
    /// Bit by bit: readers that may have something.
    ready: SmallVec<[u64; 1]>,
    turn: u32,
    max_lag_ms: u64,
    expires_ms: Option<u64>,
    watch: Option<Watch>,
    delivered: Counter,
    members: Vec<Member>,
}

/// What a greeting says of one channel.
#[derive(Debug, Clone)]
pub struct Fact {
    /// The channel.
    pub channel: Channel,
    /// The guarantee in force.
    pub delivery: Delivery,
    /// `None` where no cursor was given; else whether no gap is known at the head.
    pub recovered: Option<bool>,
}

/// Items of several readers, in the order in which they are to go out.
#[derive(Debug, Default)]
pub struct Batch {
    /// Each item and the number of its reader.
    pub items: Vec<(u32, Item)>,
    /// Whether more may follow these at once. If not, the task is woken when something does.
    pub more: bool,
    entries: Vec<Arc<Entry>>,
}

/// Why a subscription ends by itself.
#[derive(Debug)]
pub enum End {
    /// Its token expired, or was revoked.
    Expired,
    /// The node is shutting down.
    Draining,
    /// The broker is lost.
    Failed(Error),
}

impl Batch {
    /// Forgets the items and keeps the memory, if it is little.
    pub fn clear(&mut self) {
        self.items.clear();
        self.entries.clear();
        self.more = false;
    }
}

/// The parts of a subscription, as the session joined them.
pub(super) struct Joined {
    pub(super) bell: Arc<Bell>,
    pub(super) readers: SmallVec<[Reader; 1]>,
    pub(super) facts: Vec<Fact>,
    pub(super) namespaces: Vec<Arc<Namespace>>,
    pub(super) expires_ms: Option<u64>,
    pub(super) watch: Option<Watch>,
    pub(super) delivered: Counter,
    pub(super) members: Vec<Member>,
}

impl Subscription {
    pub(super) fn new(hub: Arc<Shared>, joined: Joined) -> Self {
        let Joined { bell, readers, facts, namespaces, expires_ms, watch, delivered, members } = joined;
        let registration = hub.bells.lock().insert(bell.clone());
        let words = bell.words() as usize;
        Subscription {
            hub,
            registration,
            bell,
            readers,
            facts: facts.into(),
            ready: SmallVec::from_elem(0, words),
            turn: 0,
            max_lag_ms: namespaces.iter().map(|n| n.max_lag_ms).min().unwrap_or(30_000),
            expires_ms,
            watch,
            delivered,
            members,
        }
    }

    /// What to say of each channel, in the order of the readers.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// The channel of a reader.
    pub fn channel(&self, reader: u32) -> Option<&Channel> {
        self.readers.get(reader as usize).map(Reader::channel)
    }

    /// The places of all readers, as one cursor.
    pub fn cursor(&self) -> Cursor {
        Cursor::composite(self.readers.iter().map(|reader| (reader.channel(), reader.at())))
    }

    /// The weakest guarantee of its channels.
    pub fn delivery(&self) -> Delivery {
        weakest(self.facts.iter().map(|fact| fact.delivery))
    }

    /// Milliseconds for which the socket may take nothing.
    pub fn max_lag_ms(&self) -> u64 {
        self.max_lag_ms
    }

    /// Milliseconds until the token ends, 0 once it is revoked; `None` where there is none.
    pub fn expires_in_ms(&self) -> Option<u64> {
        if self.is_revoked() {
            return Some(0);
        }
        self.expires_ms.map(|at| at.saturating_sub(self.hub.clock.now_ms()))
    }

    fn is_revoked(&self) -> bool {
        self.watch.as_ref().is_some_and(Watch::is_revoked)
    }

    /// Milliseconds since the Unix epoch, by the node's clock.
    pub fn now_ms(&self) -> u64 {
        self.hub.clock.now_ms()
    }

    /// Fills `batch` with up to about `max` items that follow the readers' places.
    ///
    /// Pending: nothing follows; the task is woken when something does, or when
    /// the session ends. Must be polled by one task. Call [`Subscription::advance`]
    /// for each item that begins to go out, in order, before the next call.
    pub fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        max: usize,
        batch: &mut Batch,
    ) -> Poll<Result<(), End>> {
        self.bell.register(cx.waker());
        if self.hub.is_draining() {
            return Poll::Ready(Err(End::Draining));
        }
        if self.is_revoked() || self.expires_ms.is_some_and(|at| at <= self.hub.clock.now_ms()) {
            return Poll::Ready(Err(End::Expired));
        }
        self.take_rings();
        // The one who was served last is asked last, so that a busy channel starves no other.
        let (turn, readers) = (self.turn, self.readers.len() as u32);
        for (from, until) in [(turn, readers), (0, turn)] {
            let mut at = from;
            while batch.items.len() < max
                && let Some(reader) = self.next_ready(at, until)
            {
                let before = batch.items.len();
                self.poll_reader(reader, cx, max - before, batch)?;
                if batch.items.len() > before {
                    self.turn = (reader + 1) % readers;
                }
                at = reader + 1;
            }
        }
        if batch.items.is_empty() {
            return Poll::Pending;
        }
        // Full: who was not asked may have something.
        batch.more |= batch.items.len() >= max;
        Poll::Ready(Ok(()))
    }

    /// Moves a reader past an item that began to go out.
    pub fn advance(&mut self, reader: u32, item: &Item) {
        let messages = self.move_past(reader, item);
        self.delivered.inc_by(messages);
    }

    /// Moves the readers past items that began to go out: the first so many of a batch.
    pub fn advance_all(&mut self, items: &[(u32, Item)]) {
        let messages = items.iter().map(|(reader, item)| self.move_past(*reader, item)).sum();
        self.delivered.inc_by(messages);
    }

    /// Gives the number of messages that this was.
    fn move_past(&mut self, reader: u32, item: &Item) -> u64 {
        if let Some(reader) = self.readers.get_mut(reader as usize) {
            reader.advance(item);
        }
        u64::from(matches!(item, Item::Entry(_)))
    }

    /// Where a reader stands.
    pub fn at(&self, reader: u32) -> Option<Position> {
        self.readers.get(reader as usize).map(Reader::at)
    }

    /// Says that this is a request of a long-poll, so that its presence lasts until the next, however it ends.
    pub fn linger(&mut self) {
        self.members.iter_mut().for_each(Member::linger);
    }

    /// Says that the client left in good order, so that its presence ends sooner.
    pub fn left_cleanly(&mut self) {
        self.members.iter_mut().for_each(Member::left_cleanly);
    }

    /// The first ready reader of a range: a look at each word, not at each reader.
    fn next_ready(&self, from: u32, until: u32) -> Option<u32> {
        let mut at = from;
        while at < until {
            let bits = self.ready[(at / 64) as usize] >> (at % 64);
            if bits != 0 {
                let found = at + bits.trailing_zeros();
                return (found < until).then_some(found);
            }
            at = (at / 64 + 1) * 64;
        }
        None
    }

    fn poll_reader(
        &mut self,
        reader: u32,
        cx: &mut Context<'_>,
        max: usize,
        batch: &mut Batch,
    ) -> Result<(), End> {
        let (word, bit) = ((reader / 64) as usize, 1u64 << (reader % 64));
        let Batch { items, entries, more: may_follow } = batch;
        let polled = self.readers[reader as usize].poll_items(cx, &self.hub.broker, max, entries, |item| {
            items.push((reader, item));
        });
        match polled {
            Poll::Ready(Ok(more)) => {
                *may_follow |= more;
                Ok(())
            }
            Poll::Ready(Err(error)) => Err(End::Failed(error)),
            Poll::Pending => {
                if !self.readers[reader as usize].waits_for_broker() {
                    self.ready[word] &= !bit;
                }
                Ok(())
            }
        }
    }

    /// Notes whose bells rang, and forgets who has nothing to expect but a ring.
    fn take_rings(&mut self) {
        for word in 0..self.bell.words() {
            let rung = self.bell.take(word);
            let ready = &mut self.ready[word as usize];
            *ready |= rung;
            let mut bits = *ready;
            while bits != 0 {
                let bit = bits & bits.wrapping_neg();
                bits ^= bit;
                let reader = &mut self.readers[(word * 64 + bit.trailing_zeros()) as usize];
                if rung & bit != 0 {
                    reader.rung();
                } else if reader.is_at_end() {
                    *ready ^= bit;
                }
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.bells.lock().try_remove(self.registration);
    }
}

/// The weakest of several guarantees.
pub(super) fn weakest(deliveries: impl Iterator<Item = Delivery>) -> Delivery {
    deliveries.min().unwrap_or(Delivery::AtMostOnce)
}
