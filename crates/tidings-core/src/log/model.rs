//! A log in memory: the rules of appending, expiring, compacting and reading, without I/O.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::{Below, Channel, Draft, Gap, Message, Once, Position, Rules, Why};

/// One channel's messages, its idempotency keys, and what it knows of what it no longer has.
#[derive(Debug)]
pub struct Log {
    channel: Channel,
    epoch: u64,
    last: u64,
    /// The highest offset that expired. What compaction removed does not count: its key has a newer message.
    lost: u64,
    messages: BTreeMap<u64, Arc<Message>>,
    newest_of: HashMap<Box<str>, u64>,
    keys: HashMap<Arc<str>, Key>,
    keys_by_age: VecDeque<(u64, Arc<str>)>,
    weight: usize,
}

/// What is remembered of an idempotency key.
#[derive(Debug)]
struct Key {
    last: u64,
    count: u64,
    until_ms: u64,
}

/// What became of one draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The place just after the message.
    pub position: Position,
    /// The message's id.
    pub id: Box<str>,
    /// Whether it had been stored before, so that nothing was stored now.
    pub duplicate: bool,
}

/// Where a read begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the oldest message kept.
    Earliest,
    /// After the newest message.
    Latest,
    /// With the N newest messages kept.
    Last(u64),
    /// After this place.
    After(Position),
    /// After a place that nobody can read: a gap, then what is kept.
    Unreadable,
}

/// A start that has been found in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Where to read on.
    pub at: Position,
    /// What lies between the start asked for and `at`.
    pub gap: Option<Gap>,
    /// The end of the log at this moment.
    pub end: Position,
    /// When the newest message kept was stored.
    pub newest_ms: Option<u64>,
}

/// What follows a place.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// What is missing before the messages.
    pub gap: Option<Gap>,
    /// The messages, in order. Fewer than asked for, and none left out, means the end.
    pub messages: Vec<Arc<Message>>,
}

/// How much a page may hold. At least one message is given, whatever its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Messages.
    pub messages: usize,
    /// Bytes of memory, as [`Message::weight`] counts them.
    pub bytes: usize,
}

impl Log {
    /// An empty log. No two lives of a channel may have the same epoch, and none has 0.
    pub fn new(channel: Channel, epoch: u64) -> Self {
        Log {
            channel,
            epoch,
            last: 0,
            lost: 0,
            messages: BTreeMap::new(),
            newest_of: HashMap::new(),
            keys: HashMap::new(),
            keys_by_age: VecDeque::new(),
            weight: 0,
        }
    }

    /// Stores a draft, unless its idempotency key says that it is stored already.
    /// The message comes back where it is new.
    pub fn append(&mut self, draft: Draft, now_ms: u64, rules: &Rules) -> (Appended, Option<Arc<Message>>) {
        self.forget_keys(now_ms);
        if let Some(position) = self.stored_before(&draft.once, &draft.id, now_ms) {
            return (Appended { position, id: draft.id, duplicate: true }, None);
        }
        self.last += 1;
        let position = self.at(self.last);
        self.remember(&draft, now_ms, rules.dedupe_ms);
        let message = Arc::new(Message::new(self.channel.clone(), position, now_ms, draft));
        if rules.compact {
            self.compact_for(&message);
        }
        self.weight += message.weight();
        self.messages.insert(self.last, message.clone());
        self.expire(now_ms, rules);
        (Appended { position, id: message.id.clone(), duplicate: false }, Some(message))
    }

    /// Removes what is past the limits of retention.
    pub fn expire(&mut self, now_ms: u64, rules: &Rules) {
        self.forget_keys(now_ms);
        while let Some(oldest) = self.messages.first_entry() {
            let aged = oldest.get().time_ms.saturating_add(rules.retain.age_ms) <= now_ms;
            if !aged && self.messages.len() as u64 <= rules.retain.messages.max(1) {
                break;
            }
            self.drop_oldest();
        }
    }

    /// Removes the oldest message, whatever retention says. Returns the weight that it freed.
    pub fn drop_oldest(&mut self) -> usize {
        let Some((offset, message)) = self.messages.pop_first() else { return 0 };
        self.lost = offset;
        if let Some(key) = &message.key
            && self.newest_of.get(key) == Some(&offset)
        {
            self.newest_of.remove(key);
        }
        let weight = message.weight();
        self.weight -= weight;
        weight
    }

    /// Finds where a read begins.
    pub fn find(&self, start: Start, rules: &Rules) -> Found {
        let end = self.at(self.last);
        let oldest = self.at(self.lost);
        let (at, gap) = match start {
            Start::Earliest => (oldest, None),
            Start::Latest => (end, None),
            Start::Last(n) => (self.before_last(n), None),
            Start::After(position) => match self.gap_after(Some(position), rules) {
                Some(gap) => (gap.until, Some(gap)),
                None => (position, None),
            },
            Start::Unreadable => match self.gap_after(None, rules) {
                Some(gap) => (gap.until, Some(gap)),
                None => (oldest, None),
            },
        };
        let newest_ms = self.messages.last_key_value().map(|(_, message)| message.time_ms);
        Found { at, gap, end, newest_ms }
    }

    /// Reads what follows a place, or follows the gap at it.
    pub fn read(&self, after: Position, limit: Limit, rules: &Rules) -> Page {
        let gap = self.gap_after(Some(after), rules);
        let from = gap.map_or(after, |gap| gap.until).offset;
        let mut messages = Vec::new();
        let mut bytes = 0;
        for message in self.messages.range(from + 1..).map(|(_, message)| message) {
            bytes += message.weight();
            if messages.len() >= limit.messages || (bytes > limit.bytes && !messages.is_empty()) {
                break;
            }
            messages.push(message.clone());
        }
        Page { gap, messages }
    }

    /// The end of the log.
    pub fn end(&self) -> Position {
        self.at(self.last)
    }

    /// When the oldest message kept was stored.
    pub fn oldest_ms(&self) -> Option<u64> {
        self.messages.first_key_value().map(|(_, message)| message.time_ms)
    }

    /// Bytes of memory that its messages hold.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// How many idempotency keys it remembers.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Whether it remembers the key of a draft, so that storing it takes no room for another.
    pub fn remembers(&self, draft: &Draft) -> bool {
        match &draft.once {
            Once::No => false,
            Once::Id => self.keys.contains_key(&*draft.id),
            Once::Stream { key, .. } => self.keys.contains_key(key),
        }
    }

    /// Whether it holds neither a message nor a key, so that nothing but its epoch would be lost with it.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.keys.is_empty()
    }

    fn at(&self, offset: u64) -> Position {
        Position { epoch: self.epoch, offset }
    }

    fn gap_after(&self, after: Option<Position>, rules: &Rules) -> Option<Gap> {
        let until = match rules.below {
            Below::Oldest => self.at(self.lost),
            Below::Newest => self.at(self.last),
        };
        let position = match after {
            Some(position) if position.epoch == self.epoch && position.offset <= self.last => position,
            _ => return Some(Gap { after, until, why: Why::Epoch, missed: None }),
        };
        if position.offset >= self.lost {
            return None;
        }
        let why = match rules.below {
            Below::Oldest => Why::Expired,
            Below::Newest => Why::Lagged,
        };
        // Here offsets are dense; but where keys replace each other, some of those between may not be missed.
        let missed = (!rules.compact).then(|| until.offset - position.offset);
        Some(Gap { after, until, why, missed })
    }

    fn before_last(&self, n: u64) -> Position {
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        match n.checked_sub(1) {
            None => self.at(self.last),
            Some(skip) => match self.messages.keys().rev().nth(skip) {
                Some(offset) => self.at(offset - 1),
                None => self.at(self.lost),
            },
        }
    }

    fn compact_for(&mut self, message: &Message) {
        let Some(key) = &message.key else { return };
        let replaced = self.newest_of.insert(key.clone(), message.position.offset);
        if let Some(old) = replaced.and_then(|offset| self.messages.remove(&offset)) {
            self.weight -= old.weight();
        }
    }

    fn stored_before(&self, once: &Once, id: &str, now_ms: u64) -> Option<Position> {
        let (key, index) = match once {
            Once::No => return None,
            Once::Id => (id, 0),
            Once::Stream { key, index } => (&**key, *index),
        };
        let record = self.keys.get(key)?;
        (record.until_ms > now_ms && index < record.count).then(|| self.at(record.last))
    }

    fn remember(&mut self, draft: &Draft, now_ms: u64, dedupe_ms: u64) {
        let (key, count) = match &draft.once {
            Once::No => return,
            Once::Id => (Arc::from(&*draft.id), 1),
            Once::Stream { key, index } => (key.clone(), index + 1),
        };
        let until_ms = now_ms.saturating_add(dedupe_ms);
        let record = Key { last: self.last, count, until_ms };
        // A stream renews its key with each message: its old place in the queue is skipped when it comes up.
        if self.keys.insert(key.clone(), record).is_none() {
            self.keys_by_age.push_back((until_ms, key));
        }
    }

    fn forget_keys(&mut self, now_ms: u64) {
        while let Some((until_ms, key)) = self.keys_by_age.front() {
            if *until_ms > now_ms {
                break;
            }
            let renewed = self.keys.get(key).map(|record| record.until_ms).filter(|until| *until > now_ms);
            let Some((_, key)) = self.keys_by_age.pop_front() else { break };
            match renewed {
                Some(until_ms) => self.keys_by_age.push_back((until_ms, key)),
                None => drop(self.keys.remove(&key)),
            }
        }
    }
}
