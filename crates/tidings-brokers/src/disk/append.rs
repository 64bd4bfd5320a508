//! What is done to one channel inside a transaction that it shares with others.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use tidings_core::broker::BrokerError;
use tidings_core::log::{Appended, Channel, Created, Draft, Message, Position, Rules, Terms};

use super::idempotency;
use super::life::Life;
use super::row;
use super::slots::{Fresh, Slot};
use super::state::State;
use super::store::failed;
use super::trim;

/// One channel in a transaction: its bounds as they will be, and what comes with them.
pub(super) struct Work {
    slot: Arc<Slot>,
    state: State,
    fresh: Vec<Fresh>,
    /// What readers know to be lost: nothing else may leave the disk.
    seen_lost: u64,
    /// Whether the channel's row must be written.
    changed: bool,
}

/// Between two looks at the age of a busy channel's messages; readers look each time.
const AGE_EVERY_MS: u64 = 5_000;

impl Work {
    pub(super) fn begin(
        store: &Connection,
        slot: Arc<Slot>,
        channel: &Channel,
        life: &Life,
    ) -> Result<Self, BrokerError> {
        let state = slot.lock().state(store, channel, life)?.clone();
        let seen_lost = state.lost;
        Ok(Work { slot, state, fresh: Vec::new(), seen_lost, changed: false })
    }

    /// Stores drafts, or finds them stored; a prefix, with the reason, where the channel takes no more.
    pub(super) fn append(
        &mut self,
        store: &Connection,
        channel: &Channel,
        drafts: &[Draft],
        rules: &Rules,
        now_ms: u64,
    ) -> Result<(Vec<Appended>, Option<BrokerError>), BrokerError> {
        if !rules.implicit && !self.state.is_created() {
            return Ok((Vec::new(), Some(BrokerError::Unknown)));
        }
        let rules = &self.state.rules(rules);
        let id = self.take_over(store, channel, rules)?;
        let mut appended = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let known = idempotency::find(store, id, draft, now_ms)?;
            let closed = self.state.closed && known.is_none();
            let found = known.or((closed && draft.is_end()).then_some(self.state.last));
            let offset = match found {
                Some(offset) => offset,
                None if closed => {
                    let end = Position { epoch: self.state.epoch, offset: self.state.last };
                    return Ok((appended, Some(BrokerError::Closed(end))));
                }
                None if draft.is_end() => self.close(channel, now_ms),
                None => self.store(store, channel, id, draft, rules, now_ms)?,
            };
            let position = Position { epoch: self.state.epoch, offset };
            appended.push(Appended { position, id: draft.id.clone(), duplicate: found.is_some() });
        }
        self.state.expire_count(store, rules.retain.messages)?;
        if now_ms.saturating_sub(self.state.aged_ms) > AGE_EVERY_MS {
            self.state.aged_ms = now_ms;
            self.state.expire(store, rules.retain.messages, rules.retain.age_ms, now_ms)?;
        }
        Ok((appended, None))
    }

    /// Creates the channel, or gives it other terms.
    pub(super) fn create(
        &mut self,
        store: &Connection,
        channel: &Channel,
        terms: Terms,
        rules: &Rules,
        now_ms: u64,
    ) -> Result<Created, BrokerError> {
        let new = !self.state.is_created();
        self.state.terms = Some(terms);
        self.state.written_ms = now_ms;
        self.changed = true;
        let rules = terms.over(rules);
        self.take_over(store, channel, &rules)?;
        self.state.expire(store, rules.retain.messages, rules.retain.age_ms, now_ms)?;
        let end = Position { epoch: self.state.epoch, offset: self.state.last };
        Ok(Created { end, new, closed: self.state.closed })
    }

    /// Deletes the channel, if its time to live has passed.
    pub(super) fn delete_over(
        &mut self,
        store: &Connection,
        channel: &Channel,
        life: &Life,
        now_ms: u64,
    ) -> Result<(), BrokerError> {
        if self.state.is_over(now_ms) { self.delete(store, channel, life).map(drop) } else { Ok(()) }
    }

    /// Deletes the channel. Gives whether there was one.
    pub(super) fn delete(
        &mut self,
        store: &Connection,
        channel: &Channel,
        life: &Life,
    ) -> Result<bool, BrokerError> {
        let Some(id) = self.state.id.filter(|_| self.state.is_created()) else { return Ok(false) };
        store.execute("INSERT INTO deleted VALUES (?)", [id]).map_err(failed)?;
        store.execute("DELETE FROM channels WHERE id = ?", [id]).map_err(failed)?;
        let (seed, unsynced) = (Life::another()?, self.state.unsynced);
        self.state = State::empty(seed, life.epoch(seed, unsynced));
        self.state.unsynced = unsynced;
        self.state.save(store, channel)?;
        self.seen_lost = 0;
        self.fresh.push(Fresh::Epoch);
        Ok(true)
    }

    /// What is to be written besides, once the last append of the transaction is in.
    pub(super) fn finish(&mut self, store: &Connection, channel: &Channel) -> Result<(), BrokerError> {
        self.changed |= trim::some(store, &mut self.state, self.seen_lost)?;
        if self.changed {
            self.state.save(store, channel)?;
        }
        Ok(())
    }

    /// How many messages it stores.
    pub(super) fn messages(&self) -> usize {
        self.fresh.len()
    }

    /// The transaction is on disk, and so it is what holds for readers.
    pub(super) fn publish(mut self, store: &Connection) -> Result<(), BrokerError> {
        let mut inside = self.slot.lock();
        let mut counted = Ok(());
        if let Some(known) = inside.known()
            && (known.epoch, known.lost > self.seen_lost) == (self.state.epoch, true)
        {
            // A reader came upon messages that had expired meanwhile.
            if known.lost >= self.state.lost {
                (self.state.lost, self.state.dropped) = (known.lost, known.dropped);
            }
            if self.state.removed > 0 {
                counted = self.state.recount(store);
            }
        }
        inside.advance(self.state, &self.fresh);
        counted
    }

    /// Keeps the channel by these rules from now on. Gives its number.
    fn take_over(
        &mut self,
        store: &Connection,
        channel: &Channel,
        rules: &Rules,
    ) -> Result<i64, BrokerError> {
        let (keep, age_ms) = (rules.retain.messages, rules.retain.age_ms);
        if (self.state.keep, self.state.age_ms) != (keep, age_ms) {
            (self.state.keep, self.state.age_ms) = (keep, age_ms);
            self.changed = true;
        }
        if self.state.id.is_none() {
            self.state.save(store, channel)?;
        }
        self.state.id.ok_or_else(|| BrokerError::Lost("a channel without a number".into()))
    }

    /// The end has a place, and is not kept as a message: retention cannot lose it.
    fn close(&mut self, channel: &Channel, now_ms: u64) -> u64 {
        self.state.last += 1;
        self.state.closed = true;
        self.state.written_ms = now_ms;
        self.changed = true;
        let position = Position { epoch: self.state.epoch, offset: self.state.last };
        self.fresh.push(Fresh::Message(Arc::new(Message::end(channel.clone(), position, now_ms))));
        position.offset
    }

    /// Remembers that what is acknowledged may not be on disk yet. Gives whether that is new.
    pub(super) fn may_lose(&mut self, life: &Life) -> bool {
        if self.state.unsynced {
            return false;
        }
        self.state.unsynced = true;
        self.state.seed = life.unsynced(self.state.seed);
        self.changed = true;
        true
    }

    fn store(
        &mut self,
        store: &Connection,
        channel: &Channel,
        id: i64,
        draft: &Draft,
        rules: &Rules,
        now_ms: u64,
    ) -> Result<u64, BrokerError> {
        self.state.last += 1;
        let offset = self.state.last;
        idempotency::remember(store, id, draft, offset, now_ms.saturating_add(rules.dedupe_ms))?;
        let position = Position { epoch: self.state.epoch, offset };
        let message = Message::new(channel.clone(), position, now_ms, draft.clone());
        if let Some(key) = message.key.as_deref().filter(|_| rules.compact) {
            self.replace(store, id, key, offset)?;
        }
        let mut row = store.prepare_cached("INSERT INTO messages VALUES (?, ?, ?, ?, ?)").map_err(failed)?;
        let value = row::encode(id, &message);
        row.execute(params![id, offset.cast_signed(), now_ms.cast_signed(), message.key.as_deref(), value])
            .map_err(failed)?;
        (self.state.newest_ms, self.state.written_ms) = (now_ms, now_ms);
        self.fresh.push(Fresh::Message(Arc::new(message)));
        Ok(offset)
    }

    /// Removes the older message of a key.
    fn replace(&mut self, store: &Connection, id: i64, key: &str, offset: u64) -> Result<(), BrokerError> {
        let mut newest = store
            .prepare_cached("SELECT offset FROM newest WHERE channel = ? AND key = ?")
            .map_err(failed)?;
        let old =
            newest.query_row(params![id, key], |row| row.get::<_, i64>(0)).optional().map_err(failed)?;
        if let Some(old) = old.filter(|old| old.cast_unsigned() > self.state.lost) {
            let mut row = store
                .prepare_cached("DELETE FROM messages WHERE channel = ? AND offset = ?")
                .map_err(failed)?;
            let removed = row.execute(params![id, old]).map_err(failed)? as u64;
            self.state.removed += removed;
            self.changed = true;
        }
        let mut newest =
            store.prepare_cached("INSERT OR REPLACE INTO newest VALUES (?, ?, ?)").map_err(failed)?;
        newest.execute(params![id, key, offset.cast_signed()]).map_err(failed)?;
        Ok(())
    }
}
