//! A log in memory: the rules of appending, expiring, compacting and reading, without I/O.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::idempotency::Idempotency;
use super::{Bounds, Channel, Draft, Gap, Message, Position, Rules};

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
    /// Bytes of the names in `newest_of`.
    newest_names: usize,
    /// Whether nothing follows `last`, which is the place after its end.
    closed: bool,
    stored: Idempotency,
    weight: usize,
}

/// Counted for a compaction key besides its name.
const NEWEST_BYTES: usize = 64;

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

/// The log is closed: nothing follows this place, which is the one after its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed(pub Position);

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
    /// Whether the log is closed, so that nothing follows `end`.
    pub closed: bool,
    /// Whether somebody created the channel: by a first message, or by name.
    pub created: bool,
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
    /// The place after the end, where the log is closed and nothing else follows these messages.
    pub end: Option<Position>,
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
            newest_names: 0,
            closed: false,
            stored: Idempotency::default(),
            weight: 0,
        }
    }

    /// Stores a draft, unless its idempotency key says that it is stored already.
    /// The message comes back where it is new. To close a closed log is no error.
    pub fn append(
        &mut self,
        draft: Draft,
        now_ms: u64,
        rules: &Rules,
    ) -> Result<(Appended, Option<Arc<Message>>), Closed> {
        self.stored.expire(now_ms);
        if let Some(offset) = self.stored.find(&draft, now_ms) {
            return Ok((Appended { position: self.at(offset), id: draft.id, duplicate: true }, None));
        }
        match (self.closed, draft.is_end()) {
            (true, true) => {
                return Ok((Appended { position: self.end(), id: draft.id, duplicate: true }, None));
            }
            (true, false) => return Err(Closed(self.end())),
            (false, true) => return Ok(self.close(draft, now_ms)),
            (false, false) => {}
        }
        self.last += 1;
        let position = self.at(self.last);
        self.stored.remember(&draft, self.last, now_ms, rules.dedupe_ms);
        let message = Arc::new(Message::new(self.channel.clone(), position, now_ms, draft));
        if rules.compact {
            self.compact_for(&message);
        }
        self.weight += message.weight();
        self.messages.insert(self.last, message.clone());
        self.expire(now_ms, rules);
        Ok((Appended { position, id: message.id.clone(), duplicate: false }, Some(message)))
    }

    /// The end has a place, and is not kept as a message: retention cannot lose it.
    fn close(&mut self, draft: Draft, now_ms: u64) -> (Appended, Option<Arc<Message>>) {
        self.last += 1;
        self.closed = true;
        let position = self.end();
        let message = Arc::new(Message::end(self.channel.clone(), position, now_ms));
        (Appended { position, id: draft.id, duplicate: false }, Some(message))
    }

    /// Removes what is past the limits of retention.
    pub fn expire(&mut self, now_ms: u64, rules: &Rules) {
        self.stored.expire(now_ms);
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
            self.newest_names -= key.len();
        }
        let weight = message.weight();
        self.weight -= weight;
        weight
    }

    /// Finds where a read begins.
    pub fn find(&self, start: Start, rules: &Rules) -> Found {
        let newest_ms = self.messages.last_key_value().map(|(_, message)| message.time_ms);
        self.bounds(rules).find(start, rules, newest_ms, |n| self.before_last(n))
    }

    /// Reads what follows a place, or follows the gap at it.
    pub fn read(&self, after: Position, limit: Limit, rules: &Rules) -> Page {
        let gap = self.bounds(rules).gap_after(Some(after), rules);
        let from = gap.map_or(after, |gap| gap.until).offset;
        let mut messages = Vec::new();
        let mut bytes = 0;
        let mut end = self.closed.then(|| self.end());
        for message in self.messages.range(from + 1..).map(|(_, message)| message) {
            bytes += message.weight();
            if messages.len() >= limit.messages || (bytes > limit.bytes && !messages.is_empty()) {
                end = None;
                break;
            }
            messages.push(message.clone());
        }
        Page { gap, messages, end }
    }

    /// The channel whose log it is.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Whether a message was ever stored, or the log closed.
    pub fn is_begun(&self) -> bool {
        self.last > 0
    }

    /// Whether it is closed, so that nothing follows its end.
    pub fn is_closed(&self) -> bool {
        self.closed
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

    /// About how many bytes of memory compaction needs to find the newest message of each key.
    pub fn index_weight(&self) -> usize {
        self.newest_of.len() * NEWEST_BYTES + self.newest_names
    }

    /// How many idempotency keys it remembers.
    pub fn keys(&self) -> usize {
        self.stored.len()
    }

    /// About how many bytes of memory its idempotency keys hold.
    pub fn keys_weight(&self) -> usize {
        self.stored.weight()
    }

    /// Whether appending a draft would add to the idempotency keys that it remembers.
    pub fn needs_key(&self, draft: &Draft, now_ms: u64) -> bool {
        self.stored.is_new(draft, now_ms)
    }

    /// Whether it holds neither a message nor a key, so that nothing but its epoch would be lost with it.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.stored.len() == 0
    }

    fn at(&self, offset: u64) -> Position {
        Position { epoch: self.epoch, offset }
    }

    fn bounds(&self, rules: &Rules) -> Bounds {
        let Log { epoch, last, lost, closed, .. } = *self;
        Bounds { epoch, last, lost, closed, dense: !rules.compact }
    }

    fn before_last(&self, n: u64) -> u64 {
        let skip = usize::try_from(n.saturating_sub(1)).unwrap_or(usize::MAX);
        self.messages.keys().rev().nth(skip).map_or(self.lost, |offset| offset - 1)
    }

    fn compact_for(&mut self, message: &Message) {
        let Some(key) = &message.key else { return };
        let replaced = self.newest_of.insert(key.clone(), message.position.offset);
        if replaced.is_none() {
            self.newest_names += key.len();
        }
        if let Some(old) = replaced.and_then(|offset| self.messages.remove(&offset)) {
            self.weight -= old.weight();
        }
    }
}
