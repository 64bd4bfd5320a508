//! A live read of one or many channels by one client.

use std::sync::Arc;
use std::task::{Context, Poll};

use prometheus_client::metrics::counter::Counter;
use smallvec::SmallVec;

use crate::error::Error;
use crate::feed::{Bell, Entry};
use crate::hub::Shared;
use crate::limit::Seat;
use crate::log::{Channel, Cursor, Position};
use crate::policy::Delivery;
use crate::presence::Member;
use crate::reader::{Item, Reader};
use crate::revocation::Watch;

use super::start::Place;
use super::{Identity, Session};

/// Readers on one bell, with the rights and the end of their session. They may come and go.
///
/// It has no queue: [`Subscription::poll_next`] gives what is after each
/// reader's place, and gives it again until [`Subscription::advance`] says that
/// it began to go out. Dropping it ends the read.
pub struct Subscription {
    hub: Arc<Shared>,
    registration: usize,
    bell: Arc<Bell>,
    /// By number; a number is given again once its reader has left. Most streams read one
    /// channel: it stands here, and not behind a pointer.
    readers: SmallVec<[Option<Reader>; 1]>,
    facts: Vec<Fact>,
    /// Readers that it has room for.
    room: usize,
    /// Bit by bit: readers that may have something.
    ready: SmallVec<[u64; 1]>,
    turn: u32,
    /// Readers whose channel is closed, and who told so.
    ended: usize,
    max_lag_ms: u64,
    /// Whose read it is.
    identity: Identity,
    /// The number of the settings that it was judged by last.
    judged_by: u64,
    expires_ms: Option<u64>,
    watch: Option<Watch>,
    /// Its place among the live reads of its user.
    seat: Option<Seat<Arc<str>>>,
    /// Of the namespace that was joined first.
    delivered: Option<Counter>,
    members: Vec<Option<Member>>,
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
    /// Its token expired or was revoked, or its credentials are accepted no more.
    Expired,
    /// All its channels are closed, and everything in them, with the end, has begun to go out.
    Closed,
    /// These channels may be read no more, since the node is set to something else. Whoever does not end leaves
    /// them by [`Subscription::leave`], and reads on.
    Refused(Vec<(Channel, Error)>),
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

/// How long a socket may take nothing, where no namespace says otherwise.
const MAX_LAG_MS: u64 = 30_000;

impl Subscription {
    /// A subscription to nothing yet, with room for so many readers.
    pub(super) fn new(hub: Arc<Shared>, room: usize) -> Self {
        let bell = Arc::new(Bell::new(room));
        let registration = hub.bells.lock().insert(bell.clone());
        let words = bell.words() as usize;
        Subscription {
            hub,
            registration,
            bell,
            readers: SmallVec::new(),
            facts: Vec::new(),
            room,
            ready: SmallVec::from_elem(0, words),
            turn: 0,
            ended: 0,
            max_lag_ms: MAX_LAG_MS,
            identity: Identity::Anonymous,
            judged_by: 0,
            expires_ms: None,
            watch: None,
            seat: None,
            delivered: None,
            members: Vec::new(),
        }
    }

    /// Adds a reader at the place that was found for it, with the presence of its user, and gives
    /// its number. `None`: there is no room.
    pub(super) fn join(&mut self, place: Place, member: Option<Member>) -> Option<u32> {
        let at = self.readers.iter().position(Option::is_none).unwrap_or(self.readers.len());
        let number = u32::try_from(at).ok().filter(|_| at < self.room)?;
        let begins_at = place.before_gap();
        let Place { channel, namespace, rules, judged_by, found, recovered } = place;
        // Other settings may have come into force since.
        self.judged_by = self.judged_by.min(judged_by);
        let lease = self.hub.feeds.join(&channel, rules, &self.bell, number);
        let reader = Some(Reader::new(channel.clone(), rules, begins_at, &found, lease));
        self.delivered.get_or_insert_with(|| self.hub.metrics.delivered(channel.namespace()));
        // The strictest of its channels.
        self.max_lag_ms = match self.facts.is_empty() {
            true => namespace.max_lag_ms,
            false => self.max_lag_ms.min(namespace.max_lag_ms),
        };
        let fact = Fact { channel, delivery: namespace.delivery, recovered };
        match at == self.readers.len() {
            true => {
                self.readers.push(reader);
                self.facts.push(fact);
                self.members.push(member);
            }
            false => (self.readers[at], self.facts[at], self.members[at]) = (reader, fact, member),
        }
        Some(number)
    }

    /// Ends one reader. Its user leaves the channel as after a clean close.
    pub fn leave(&mut self, reader: u32) {
        let Some(place) = self.readers.get_mut(reader as usize) else { return };
        if place.take().is_some_and(|reader| reader.has_ended()) {
            self.ended -= 1;
        }
        if let Some(mut member) = self.members[reader as usize].take() {
            member.left_cleanly();
        }
    }

    /// The readers that told the end of their channel, and have nothing more to tell.
    pub fn ended(&self) -> Vec<u32> {
        match self.ended {
            0 => Vec::new(),
            _ => {
                let has_ended = |reader: &Option<Reader>| reader.as_ref().is_some_and(Reader::has_ended);
                (0..).zip(&self.readers).filter(|(_, reader)| has_ended(reader)).map(|(at, _)| at).collect()
            }
        }
    }

    /// Whether it began with a cursor of the end of each of its channels: its client was told, and comes again.
    pub fn is_over(&self) -> bool {
        let mut readers = self.readers.iter().zip(&self.facts);
        readers.all(|(reader, fact)| {
            fact.recovered == Some(true) && reader.as_ref().is_some_and(Reader::is_past_the_end)
        })
    }

    /// The number of the reader of a channel.
    pub fn reader(&self, channel: &Channel) -> Option<u32> {
        self.channels().find(|(_, one)| *one == channel).map(|(number, _)| number)
    }

    /// Each reader's number and channel.
    pub fn channels(&self) -> impl Iterator<Item = (u32, &Channel)> {
        (0..).zip(&self.readers).filter_map(|(number, reader)| Some((number, reader.as_ref()?.channel())))
    }

    /// The user for whom it counts.
    pub(super) fn user(&self) -> Option<&str> {
        self.seat.as_ref().map(|seat| &**seat.key())
    }

    pub(super) fn sits_on(&mut self, seat: Option<Seat<Arc<str>>>) {
        self.seat = seat;
    }

    /// Makes the user present in each channel.
    pub(super) fn enter(&mut self, member: impl Fn(&Channel) -> Option<Member>) {
        for (reader, place) in self.readers.iter().zip(&mut self.members) {
            *place = reader.as_ref().and_then(|reader| member(reader.channel()));
        }
    }

    /// Ends with the token of this session from now on.
    pub(super) fn ends_with(&mut self, session: &Session) {
        self.identity = session.identity().clone();
        self.judged_by = 0;
        self.expires_ms = session.expires_ms();
        self.watch = session.watch_revocations(&self.bell);
    }

    /// What to say of each channel, by the number of its reader; of one that left, what was true of it.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// The channel of a reader.
    pub fn channel(&self, reader: u32) -> Option<&Channel> {
        self.readers.get(reader as usize)?.as_ref().map(Reader::channel)
    }

    /// The places of all readers, as one cursor.
    pub fn cursor(&self) -> Cursor {
        Cursor::composite(self.readers.iter().flatten().map(|reader| (reader.channel(), reader.at())))
    }

    /// The weakest guarantee of its channels.
    pub fn delivery(&self) -> Delivery {
        weakest(self.facts.iter().map(|fact| fact.delivery))
    }

    /// Milliseconds for which the socket may take nothing.
    pub fn max_lag_ms(&self) -> u64 {
        self.max_lag_ms
    }

    /// Has the task woken when this ends before its time, where it does not call [`Subscription::poll_next`]: its
    /// socket takes nothing. Look at [`Subscription::expires_in_ms`] after it.
    pub fn wake_at_end(&self, cx: &Context<'_>) {
        self.bell.register(cx.waker());
    }

    /// Milliseconds until the token ends, 0 once it is revoked or its credentials are accepted no more; `None`
    /// where they do not end.
    pub fn expires_in_ms(&self) -> Option<u64> {
        let refused = || self.hub.settings.get().keys.renew(&self.identity).is_err();
        if self.is_revoked() || self.is_outdated() && refused() {
            return Some(0);
        }
        self.expires_ms.map(|at| at.saturating_sub(self.hub.clock.now_ms()))
    }

    /// Whether it was judged by other settings than those in force.
    fn is_outdated(&self) -> bool {
        self.judged_by != self.hub.settings.number()
    }

    /// Judges it by the settings in force, and reads by their rules from now on.
    fn judge(&mut self) -> Result<(), End> {
        let (number, settings) = self.hub.settings.numbered();
        let identity = settings.keys.renew(&self.identity).map_err(|_| End::Expired)?;
        let mut refused = Vec::new();
        let mut max_lag_ms = None;
        for reader in self.readers.iter_mut().flatten() {
            match settings.may_subscribe(&identity, reader.channel()) {
                Ok(namespace) => {
                    reader.keep_by(namespace.rules());
                    // The strictest of its channels.
                    let least = max_lag_ms.unwrap_or(namespace.max_lag_ms).min(namespace.max_lag_ms);
                    max_lag_ms = Some(least);
                }
                Err(error) => refused.push((reader.channel().clone(), error)),
            }
        }
        self.max_lag_ms = max_lag_ms.unwrap_or(self.max_lag_ms);
        self.identity = identity;
        if !refused.is_empty() {
            return Err(End::Refused(refused));
        }
        self.judged_by = number;
        Ok(())
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
        if self.is_outdated() {
            self.judge()?;
        }
        self.take_rings();
        if self.ended > 0 && self.ended == self.readers.iter().flatten().count() {
            return Poll::Ready(Err(End::Closed));
        }
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
        self.count(messages);
    }

    /// Moves the readers past items that began to go out: the first so many of a batch.
    pub fn advance_all(&mut self, items: &[(u32, Item)]) {
        let messages = items.iter().map(|(reader, item)| self.move_past(*reader, item)).sum();
        self.count(messages);
    }

    fn count(&self, messages: u64) {
        if let Some(delivered) = &self.delivered {
            delivered.inc_by(messages);
        }
    }

    /// Gives the number of messages that this was.
    fn move_past(&mut self, reader: u32, item: &Item) -> u64 {
        if let Some(Some(reader)) = self.readers.get_mut(reader as usize) {
            reader.advance(item);
            self.ended += usize::from(matches!(item, Item::End(_)));
        }
        u64::from(matches!(item, Item::Entry(_)))
    }

    /// Where a reader stands.
    pub fn at(&self, reader: u32) -> Option<Position> {
        self.readers.get(reader as usize)?.as_ref().map(Reader::at)
    }

    /// Says that this is a request of a long-poll, so that its presence lasts until the next, however it ends.
    pub fn linger(&mut self) {
        self.members.iter_mut().flatten().for_each(Member::linger);
    }

    /// Says that the client left in good order, so that its presence ends sooner.
    pub fn left_cleanly(&mut self) {
        self.members.iter_mut().flatten().for_each(Member::left_cleanly);
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
        let Some(Some(at)) = self.readers.get_mut(reader as usize) else { return Ok(()) };
        let polled = at.poll_items(cx, &self.hub.broker, max, entries, |item| {
            // Once it has gone out there may be nobody to wait for.
            *may_follow |= matches!(item, Item::End(_));
            items.push((reader, item));
        });
        match polled {
            Poll::Ready(Ok(more)) => {
                *may_follow |= more;
                Ok(())
            }
            Poll::Ready(Err(error)) => Err(End::Failed(error)),
            Poll::Pending => {
                if !at.waits_for_broker() {
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
                match self.readers.get_mut((word * 64 + bit.trailing_zeros()) as usize) {
                    Some(Some(reader)) if rung & bit != 0 => reader.rung(),
                    Some(Some(reader)) if !reader.is_at_end() => {}
                    // It waits for its bell, or has left.
                    _ => *ready ^= bit,
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
