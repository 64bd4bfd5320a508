//! A live read of one or many channels by one client.

use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;

use crate::error::Code;
use crate::feed::Bell;
use crate::hub::Shared;
use crate::limit::Seat;
use crate::live::{Dismissal, STUCK_AFTER, Via};
use crate::log::{Channel, Cursor, Position};
use crate::policy::{Delivery, Namespace};
use crate::presence::Member;
use crate::reader::{Item, Reader};

use super::pace::Pace;
use super::readers::{Batch, Readers};
use super::start::Place;
use super::term::{End, Term};
use super::{Identity, Session};

/// Readers on one bell, with the rights and the end of their session. They may come and go.
///
/// It has no queue: [`Subscription::poll_next`] gives what is after each
/// reader's place, and gives it again until [`Subscription::advance`] says that
/// it began to go out. Dropping it ends the read.
pub struct Subscription {
    hub: Arc<Shared>,
    registration: u32,
    bell: Arc<Bell>,
    readers: Readers,
    /// By the number of the reader, as the members are.
    facts: Vec<Fact>,
    /// At most ten minutes.
    max_lag_ms: u32,
    term: Term,
    /// Its place among the live reads of its user.
    seat: Option<Seat<Arc<str>>>,
    /// The calls that it has heard of, see [`crate::live::LiveReads::calls`].
    heard: u32,
    /// Whether its socket is noted as one that takes nothing.
    is_stuck: bool,
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
    /// Whether a message may be replaced by a newer one with its key; see [`Subscription::pace`].
    pub conflated: bool,
}

/// How long a socket may take nothing, where no namespace says otherwise.
const MAX_LAG_MS: u32 = 30_000;

impl Subscription {
    /// A subscription to nothing yet, with room for so many readers.
    pub(super) fn new(hub: Arc<Shared>, room: usize) -> Self {
        let bell = Arc::new(Bell::new(room));
        let registration = hub.live.enter(bell.clone(), hub.clock.now_ms());
        let readers = Readers::new(room, bell.words());
        // No call before it counts on it, but the last of all: the node that drains. That is noted before it is called.
        let calls = hub.live.calls();
        let heard = if hub.is_draining() { calls.wrapping_sub(1) } else { calls };
        Subscription {
            hub,
            registration,
            bell,
            readers,
            facts: Vec::new(),
            max_lag_ms: MAX_LAG_MS,
            term: Term::default(),
            seat: None,
            heard,
            is_stuck: false,
            delivered: None,
            members: Vec::new(),
        }
    }

    /// Adds a reader at the place that was found for it, with the presence of its user, and gives
    /// its number. `None`: there is no room.
    pub(super) fn join(&mut self, place: Place, member: Option<Member>) -> Option<u32> {
        let number = self.readers.next_number()?;
        let begins_at = place.before_gap();
        let Place { channel, namespace, rules, judged_by, found, recovered } = place;
        // Other settings may have come into force since.
        self.term.judged_by = self.term.judged_by.min(judged_by);
        let lease = self.hub.feeds.join(&channel, rules, &self.bell, number);
        self.readers.add(number, Reader::new(channel.clone(), rules, begins_at, &found, lease));
        self.delivered.get_or_insert_with(|| self.hub.metrics.delivered(channel.namespace()));
        // The strictest of its channels.
        self.max_lag_ms = match self.facts.is_empty() {
            true => lag(&namespace),
            false => self.max_lag_ms.min(lag(&namespace)),
        };
        let fact = Fact { channel, delivery: namespace.delivery, recovered, conflated: false };
        let at = number as usize;
        match at == self.facts.len() {
            true => {
                self.facts.push(fact);
                self.members.push(member);
            }
            false => (self.facts[at], self.members[at]) = (fact, member),
        }
        Some(number)
    }

    /// Ends one reader. Its user leaves the channel as after a clean close.
    pub fn leave(&mut self, reader: u32) {
        self.readers.remove(reader);
        if let Some(mut member) = self.members.get_mut(reader as usize).and_then(Option::take) {
            member.left_cleanly();
        }
    }

    /// Lets all channels that it reads now send at a pace, together. Before the first of them is read.
    pub fn pace_all(&mut self, pace: Pace) {
        self.readers.pace_all(pace);
        self.facts.iter_mut().for_each(|fact| fact.conflated = pace.conflates());
    }

    /// Lets one reader send at a pace of its own. Before it is read.
    ///
    /// Gaps and the end of a channel are not held up, but by the messages before them. Where the pace conflates,
    /// a message that waits is replaced by a newer one with its key, and that is no gap: whoever comes back
    /// with the place of a message that it got misses nothing but what was replaced.
    pub fn pace(&mut self, reader: u32, pace: Pace) {
        self.readers.pace(reader, pace);
        if let Some(fact) = self.facts.get_mut(reader as usize) {
            fact.conflated = pace.conflates();
        }
    }

    /// The readers that told the end of their channel, and have nothing more to tell.
    pub fn ended(&self) -> Vec<u32> {
        self.readers.ended()
    }

    /// Whether it began with a cursor of the end of each of its channels: its client was told, and comes again.
    pub fn is_over(&self) -> bool {
        let knows = |at: u32| self.facts.get(at as usize).is_some_and(|fact| fact.recovered == Some(true));
        self.readers.numbered().all(|(at, reader)| knows(at) && reader.is_past_the_end())
    }

    /// The number of the reader of a channel.
    pub fn reader(&self, channel: &Channel) -> Option<u32> {
        self.readers.number(channel)
    }

    /// Each reader's number and channel.
    pub fn channels(&self) -> impl Iterator<Item = (u32, &Channel)> {
        self.readers.numbered().map(|(number, reader)| (number, reader.channel()))
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
        for (number, reader) in self.readers.numbered() {
            if let Some(place) = self.members.get_mut(number as usize) {
                *place = member(reader.channel());
            }
        }
    }

    /// Ends with the token of this session from now on.
    pub(super) fn ends_with(&mut self, session: &Session) {
        let user = match session.identity() {
            Identity::Client(client) => client.user.clone(),
            Identity::Anonymous | Identity::Backend(_) => None,
        };
        self.hub.live.belongs(self.registration, user);
        self.term = Term::of(session, &self.bell);
    }

    /// What to say of each channel, by the number of its reader; of one that left, what was true of it.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// The channel of a reader.
    pub fn channel(&self, reader: u32) -> Option<&Channel> {
        self.readers.get(reader).map(Reader::channel)
    }

    /// The places of all readers, as one cursor.
    pub fn cursor(&self) -> Cursor {
        let places = self.readers.numbered();
        Cursor::composite(places.map(|(number, reader)| {
            (reader.channel(), self.readers.at(number).unwrap_or_else(|| reader.at()))
        }))
    }

    /// The weakest guarantee of its channels.
    pub fn delivery(&self) -> Delivery {
        weakest(self.facts.iter().map(|fact| fact.delivery))
    }

    /// The same as it is stated to its client, who may have asked for less.
    pub fn stated(&self) -> &'static str {
        self.delivery().stated(self.facts.iter().any(|fact| fact.conflated))
    }

    /// Milliseconds for which the socket may take nothing.
    pub fn max_lag_ms(&self) -> u64 {
        u64::from(self.max_lag_ms)
    }

    /// Has the task woken when this ends before its time, where it does not call [`Subscription::poll_next`]: its
    /// socket takes nothing. Look at [`Subscription::expires_in_ms`] after it.
    pub fn wake_at_end(&self, cx: &Context<'_>) {
        self.bell.register(cx.waker());
    }

    /// Milliseconds until it ends by itself, 0 once its token is revoked, its credentials are accepted no more, or an
    /// operator ended it; `None` where it does not end. [`Subscription::why`] says which.
    pub fn expires_in_ms(&self) -> Option<u64> {
        match self.dismissed() {
            Some(_) => Some(0),
            None => self.term.left_ms(&self.hub),
        }
    }

    /// Why it ends whose time is up.
    pub fn why(&self) -> End {
        match self.dismissed() {
            Some(how) => End::Dismissed { stay_away: how == Dismissal::StayAway },
            None => End::Expired,
        }
    }

    /// Whether an operator ended it, and it has not heard so.
    fn dismissed(&self) -> Option<Dismissal> {
        let is_called = self.hub.live.calls() != self.heard;
        is_called.then(|| self.hub.live.dismissed(self.registration)).flatten()
    }

    /// Says from where it comes, for those who look after the node.
    pub fn introduce(&self, via: Via, address: Option<IpAddr>) {
        self.hub.live.introduce(self.registration, via, address);
    }

    /// Notes since when its socket takes nothing, if it does not; gives when to note it again.
    pub fn note_blocked(&mut self, since: Option<Instant>, now: Instant) -> Option<Instant> {
        let due = since.map(|since| since + STUCK_AFTER);
        let stuck = due.is_some_and(|due| due <= now);
        if stuck != self.is_stuck {
            self.is_stuck = stuck;
            let for_ms = since.map_or(0, |since| (now - since).as_millis() as u64);
            let since_ms = if stuck { self.now_ms().saturating_sub(for_ms).max(1) } else { 0 };
            self.hub.live.note_stuck(self.registration, since_ms);
        }
        due.filter(|_| !stuck)
    }

    /// Looks up why all were called, and answers.
    fn hear(&mut self, calls: u32) -> Result<(), End> {
        if self.hub.is_draining() {
            return Err(End::Draining);
        }
        let live = &self.hub.live;
        if let Some(how) = live.dismissed(self.registration) {
            return Err(End::Dismissed { stay_away: how == Dismissal::StayAway });
        }
        live.answer(self.registration, self.heard, calls, |channel| self.readers.place(channel));
        self.heard = calls;
        Ok(())
    }

    /// Judges it by the settings in force, and reads by their rules from now on.
    fn judge(&mut self) -> Result<(), End> {
        let (number, settings) = self.hub.settings.numbered();
        let identity = settings.keys.renew(&self.term.identity).map_err(|_| End::Expired)?;
        let mut refused = Vec::new();
        let mut max_lag_ms = None;
        for reader in self.readers.iter_mut() {
            match settings.may_subscribe(&identity, reader.channel()) {
                Ok(namespace) => {
                    reader.keep_by(namespace.rules());
                    // The strictest of its channels.
                    let least = max_lag_ms.unwrap_or(u32::MAX).min(lag(&namespace));
                    max_lag_ms = Some(least);
                }
                Err(error) => refused.push((reader.channel().clone(), error)),
            }
        }
        self.max_lag_ms = max_lag_ms.unwrap_or(self.max_lag_ms);
        self.term.identity = identity;
        if !refused.is_empty() {
            return Err(End::Refused(refused));
        }
        self.term.judged_by = number;
        Ok(())
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
        let calls = self.hub.live.calls();
        if calls != self.heard {
            self.hear(calls)?;
        }
        if self.term.is_over(self.hub.clock.now_ms()) {
            return Poll::Ready(Err(End::Expired));
        }
        if self.term.is_outdated(&self.hub) {
            self.judge()?;
        }
        if self.readers.have_ended() {
            return Poll::Ready(Err(End::Closed));
        }
        self.readers.poll_next(cx, &self.hub.broker, &self.bell, max, batch).map_err(End::Failed)
    }

    /// Moves a reader past an item that began to go out.
    pub fn advance(&mut self, reader: u32, item: &Item) {
        let messages = self.move_past(reader, item);
        self.count(messages);
    }

    /// Moves the readers past items that began to go out, in so many bytes: the first so many of a batch.
    pub fn advance_all(&mut self, items: &[(u32, Item)], bytes: u64) {
        let messages = items.iter().map(|(reader, item)| self.move_past(*reader, item)).sum();
        self.count(messages);
        self.hub.metrics.sent(messages, bytes);
    }

    fn count(&self, messages: u64) {
        if let Some(delivered) = &self.delivered {
            delivered.inc_by(messages);
        }
    }

    /// Gives the number of messages that this was.
    fn move_past(&mut self, reader: u32, item: &Item) -> u64 {
        self.readers.advance(reader, item);
        u64::from(matches!(item, Item::Entry(_)))
    }

    /// Counts an error that its client is told.
    pub fn count_error(&self, code: Code) {
        self.hub.metrics.error(code);
    }

    /// Where a reader stands.
    pub fn at(&self, reader: u32) -> Option<Position> {
        self.readers.at(reader)
    }

    /// Says that this is a request of a long-poll, so that its presence lasts until the next, however it ends.
    pub fn linger(&mut self) {
        self.members.iter_mut().flatten().for_each(Member::linger);
    }

    /// Says that the client left in good order, so that its presence ends sooner.
    pub fn left_cleanly(&mut self) {
        self.members.iter_mut().flatten().for_each(Member::left_cleanly);
    }
}

impl Fact {
    /// The guarantee as it is stated to its client.
    pub fn stated(&self) -> &'static str {
        self.delivery.stated(self.conflated)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.live.leave(self.registration);
        self.readers.end();
    }
}

/// What a namespace says of sockets that take nothing.
fn lag(namespace: &Namespace) -> u32 {
    u32::try_from(namespace.max_lag_ms).unwrap_or(u32::MAX)
}

/// The weakest of several guarantees.
pub(super) fn weakest(deliveries: impl Iterator<Item = Delivery>) -> Delivery {
    deliveries.min().unwrap_or(Delivery::AtMostOnce)
}
