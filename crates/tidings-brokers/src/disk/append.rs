//! One append, inside the transaction that it shares with others.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use tidings_core::broker::BrokerError;
use tidings_core::log::{Appended, Channel, Draft, Message, Position, Rules};

use super::idempotency;
use super::life::Life;
use super::row;
use super::slots::Slot;
use super::state::State;
use super::store::failed;
use super::trim;

/// One channel in a transaction: its bounds as they will be, and what comes with them.
pub(super) struct Work {
    pub(super) slot: Arc<Slot>,
    pub(super) state: State,
    pub(super) fresh: Vec<Arc<Message>>,
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

    /// Stores drafts, or finds them stored.
    pub(super) fn append(
        &mut self,
        store: &Connection,
        channel: &Channel,
        drafts: &[Draft],
        rules: &Rules,
        now_ms: u64,
    ) -> Result<Vec<Appended>, BrokerError> {
        self.take_over(store, channel, rules)?;
        let id = self.state.id.ok_or_else(|| BrokerError::Lost("a channel without a number".into()))?;
        let mut appended = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let found = idempotency::find(store, id, draft, now_ms)?;
            let offset = match found {
                Some(offset) => offset,
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
        Ok(appended)
    }

    /// What is to be written besides, once the last append of the transaction is in.
    pub(super) fn finish(&mut self, store: &Connection, channel: &Channel) -> Result<(), BrokerError> {
        self.changed |= trim::some(store, &mut self.state, self.seen_lost)?;
        if self.changed {
            self.state.save(store, channel)?;
        }
        Ok(())
    }

    /// The transaction is on disk, and so it is what holds for readers.
    pub(super) fn publish(mut self, store: &Connection) -> Result<(), BrokerError> {
        let mut inside = self.slot.lock();
        let mut counted = Ok(());
        if let Some(known) = inside.known()
            && known.lost > self.seen_lost
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

    /// Keeps the channel by these rules from now on.
    fn take_over(&mut self, store: &Connection, channel: &Channel, rules: &Rules) -> Result<(), BrokerError> {
        let (keep, age_ms) = (rules.retain.messages, rules.retain.age_ms);
        if (self.state.keep, self.state.age_ms) != (keep, age_ms) {
            (self.state.keep, self.state.age_ms) = (keep, age_ms);
            self.changed = true;
        }
        if self.state.id.is_none() {
            self.state.save(store, channel)?;
        }
        Ok(())
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
        self.state.newest_ms = now_ms;
        self.fresh.push(Arc::new(message));
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
