//! What a node knows of one channel, by what its partition says: where its messages are, and no data.
//!
//! It follows from the records alone, in their order, so that it is the same on every node. Only what
//! has expired by its age differs by the clock of who looks.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tidings_core::log::{Channel, Draft, Message, Position, Retain, Rules, Terms};
use tokio::sync::mpsc;

use super::once::Keys;
use super::place;
use super::record::{Body, Head, Record, Rest};

/// How long a record may be under way, with what clocks differ by.
const UNDER_WAY_MS: u64 = 60_000;

/// A channel.
#[derive(Debug)]
pub(super) struct Chain {
    channel: Channel,
    /// 0 for the first, else of the record that ended the one before.
    pub(super) life: u64,
    /// The record that touched it last; 0 where none did.
    pub(super) seen: u64,
    /// What it keeps, by place.
    pub(super) entries: BTreeMap<u64, Entry>,
    newest_of: HashMap<Box<str>, u64>,
    pub(super) last: u64,
    /// Up to where messages may be gone.
    pub(super) lost: u64,
    /// The place after its end, where it is closed.
    pub(super) end: Option<u64>,
    pub(super) written_ms: u64,
    pub(super) newest_ms: u64,
    /// When a record was written that says what the messages do not.
    pub(super) said_ms: u64,
    pub(super) terms: Option<Terms>,
    pub(super) begun: bool,
    pub(super) retain: Retain,
    pub(super) keys: Keys,
    pub(super) followers: Vec<mpsc::Sender<Arc<Message>>>,
}

/// A message that is kept.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) written_ms: u64,
    key: Option<Box<str>>,
    /// Where it came a short time ago.
    pub(super) message: Option<Arc<Message>>,
}

/// What a record did to its channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// Each message is at a place of the epoch, or was before; and why those after them are not stored.
    Stored {
        epoch: u64,
        places: Vec<(u64, bool)>,
        refusal: Option<Refusal>,
    },
    Created {
        epoch: u64,
        end: u64,
        new: bool,
        closed: bool,
    },
    Deleted(bool),
    /// It was written for a life of the partition that is over, or for nobody.
    Nothing,
}

/// Why a message is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Closed(u64),
    Unknown,
}

impl Chain {
    /// One of which nothing is known, and nothing of what was before `base`.
    pub(super) fn new(channel: Channel, base: u64) -> Self {
        Chain {
            channel,
            life: 0,
            seen: 0,
            entries: BTreeMap::new(),
            newest_of: HashMap::new(),
            last: 0,
            lost: base,
            end: None,
            written_ms: 0,
            newest_ms: 0,
            said_ms: 0,
            terms: None,
            begun: false,
            retain: Retain { messages: u64::MAX, age_ms: u64::MAX },
            keys: Keys::default(),
            followers: Vec::new(),
        }
    }

    pub(super) fn is_created(&self) -> bool {
        self.terms.is_some() || self.begun || self.end.is_some()
    }

    /// Whether its time to live has passed.
    pub(super) fn is_over(&self, now_ms: u64) -> bool {
        self.terms.is_some_and(|terms| terms.are_over(self.written_ms, now_ms))
    }

    /// The end of the log: after its newest message, or after its end.
    pub(super) fn tip(&self) -> u64 {
        self.end.unwrap_or(self.last.max(self.lost))
    }

    /// What it keeps now.
    fn keeps(&self) -> Retain {
        self.terms.and_then(|terms| terms.retain).unwrap_or(self.retain)
    }

    /// What its state says that its messages do not.
    pub(super) fn rest(&self) -> Option<Rest> {
        let Chain { seen, life, last, written_ms, newest_ms, begun, terms, .. } = *self;
        let end = self.end.unwrap_or(0);
        let is_more = terms.is_some() || end > 0 || (life > 0 && begun);
        is_more.then_some(Rest { seen, life, last, end, written_ms, newest_ms, begun, terms })
    }

    /// Whether nothing would be lost with it.
    pub(super) fn is_idle(&self) -> bool {
        self.entries.is_empty()
            && self.rest().is_none()
            && self.keys.len() == 0
            && self.followers.iter().all(mpsc::Sender::is_closed)
    }

    /// A record of this channel, the newest.
    pub(super) fn apply(&mut self, offset: i64, record: Record, epoch: u64) -> Fate {
        let Record { head, body } = record;
        let here = u64::try_from(offset).unwrap_or(0) + 1;
        match body {
            Body::Begin { .. } => Fate::Nothing,
            Body::Messages(drafts) => {
                if !head.implicit && !self.is_created() {
                    return Fate::Stored { epoch, places: Vec::new(), refusal: Some(Refusal::Unknown) };
                }
                self.store(offset, &head, drafts, epoch)
            }
            Body::Create(terms) => {
                let new = !self.is_created();
                // What the terms that end hide never comes back.
                self.expire(head.written_ms);
                self.terms = Some(terms);
                self.retain = head.retain;
                (self.seen, self.written_ms, self.said_ms) = (here, head.written_ms, head.written_ms);
                self.expire(head.written_ms);
                Fate::Created { epoch, end: self.tip(), new, closed: self.end.is_some() }
            }
            Body::Delete { only_over } => {
                if !self.is_created() || (only_over && !self.is_over(head.written_ms)) {
                    return Fate::Deleted(false);
                }
                let base = place::before(offset + 1);
                *self = Chain { life: here, seen: here, ..Chain::new(self.channel.clone(), base) };
                self.said_ms = head.written_ms;
                Fate::Deleted(true)
            }
            Body::Rest(rest) => {
                if self.seen == rest.seen || self.seen == 0 {
                    self.take_rest(rest, head.written_ms);
                }
                Fate::Nothing
            }
        }
    }

    fn take_rest(&mut self, rest: Rest, said_ms: u64) {
        let Rest { seen, life, last, end, written_ms, newest_ms, begun, terms } = rest;
        if self.life != life {
            self.entries.values_mut().for_each(|entry| entry.message = None);
            self.followers.clear();
        }
        if self.seen == 0 {
            self.lost = self.lost.max(last);
        }
        self.end = (end > 0).then_some(end);
        self.last = self.last.max(last);
        (self.seen, self.life, self.written_ms, self.newest_ms) = (seen, life, written_ms, newest_ms);
        (self.begun, self.terms, self.said_ms) = (begun, terms, said_ms);
    }

    fn store(&mut self, offset: i64, head: &Head, drafts: Vec<Draft>, epoch: u64) -> Fate {
        let mut places = Vec::with_capacity(drafts.len());
        let mut refusal = None;
        self.retain = head.retain;
        for (index, draft) in drafts.into_iter().enumerate() {
            if let Some(at) = self.keys.find(&draft, head.written_ms) {
                places.push((at, true));
                continue;
            }
            if let Some(end) = self.end {
                if draft.is_end() {
                    places.push((end, true));
                    continue;
                }
                refusal = Some(Refusal::Closed(end));
                break;
            }
            let at = place::after(offset, index);
            places.push((at, false));
            self.seen = u64::try_from(offset).unwrap_or(0) + 1;
            self.written_ms = head.written_ms;
            self.keys.remember(&draft, at, head.written_ms.saturating_add(head.dedupe_ms));
            if draft.is_end() {
                self.end = Some(at);
                self.said_ms = head.written_ms;
                let position = Position { epoch, offset: at };
                self.tell(&Arc::new(Message::end(self.channel.clone(), position, head.written_ms)));
            } else {
                self.keep(at, head, draft, epoch);
            }
        }
        self.keys.expire(head.written_ms);
        Fate::Stored { epoch, places, refusal }
    }

    fn keep(&mut self, at: u64, head: &Head, draft: Draft, epoch: u64) {
        let key = draft.key.clone().filter(|_| head.compact);
        let position = Position { epoch, offset: at };
        let written_ms = head.written_ms;
        let message = Arc::new(Message::new(self.channel.clone(), position, written_ms, draft));
        if let Some(key) = &key
            && let Some(old) = self.newest_of.insert(key.clone(), at)
        {
            self.entries.remove(&old);
        }
        self.tell(&message);
        self.entries.insert(at, Entry { written_ms, key, message: Some(message) });
        (self.last, self.newest_ms, self.begun) = (at, written_ms, true);
        self.expire_count();
    }

    /// Gives it to those who follow. One whose queue is full is let go: its tail ends, and it reads from there.
    fn tell(&mut self, message: &Arc<Message>) {
        self.followers.retain(|follower| follower.try_send(message.clone()).is_ok());
    }

    fn expire_count(&mut self) {
        let most = usize::try_from(self.keeps().messages.max(1)).unwrap_or(usize::MAX);
        while self.entries.len() > most {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some((at, entry)) = self.entries.pop_first() {
            self.lost = self.lost.max(at);
            if let Some(key) = entry.key
                && self.newest_of.get(&key) == Some(&at)
            {
                self.newest_of.remove(&key);
            }
        }
    }

    /// Forgets what is not to be seen any more at this time.
    pub(super) fn expire(&mut self, now_ms: u64) {
        let age_ms = self.keeps().age_ms;
        while self
            .entries
            .first_key_value()
            .is_some_and(|(_, e)| e.written_ms.saturating_add(age_ms) <= now_ms)
        {
            self.drop_first();
        }
        self.expire_count();
        // By the clock of a record that was under way, a key may count for longer than by this node's: what becomes of
        // the record must not depend on who looked meanwhile.
        self.keys.expire(now_ms.saturating_sub(UNDER_WAY_MS));
    }

    /// The same, for a caller who says by which rules.
    pub(super) fn ask(&mut self, rules: &Rules, now_ms: u64) {
        self.retain = rules.retain;
        self.expire(now_ms);
    }

    /// What becomes of drafts of which none would be stored; `None` where one would.
    pub(super) fn foresee(
        &self,
        drafts: &[Draft],
        implicit: bool,
        now_ms: u64,
    ) -> Option<(Vec<u64>, Option<Refusal>)> {
        if !implicit && !self.is_created() {
            return Some((Vec::new(), Some(Refusal::Unknown)));
        }
        let mut places = Vec::with_capacity(drafts.len());
        for draft in drafts {
            match (self.keys.find(draft, now_ms), self.end) {
                (Some(at), _) => places.push(at),
                (None, Some(end)) if draft.is_end() => places.push(end),
                (None, Some(end)) => return Some((places, Some(Refusal::Closed(end)))),
                (None, None) => return None,
            }
        }
        Some((places, None))
    }

    /// Messages up to there are gone, whatever the rules say.
    pub(super) fn cut(&mut self, upto: u64) {
        while self.entries.first_key_value().is_some_and(|(at, _)| *at <= upto) {
            self.drop_first();
        }
    }
}
