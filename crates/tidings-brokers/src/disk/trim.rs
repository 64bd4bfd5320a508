//! What has expired leaves the disk: a little with each transaction, the rest in small pieces.

use rusqlite::{Connection, params};
use tidings_core::broker::BrokerError;
use tidings_core::log::Channel;

use super::idempotency;
use super::shared::Shared;
use super::state::State;
use super::store::failed;

/// Expired messages that a channel may leave on disk until there are so many.
const WORTH: u64 = 64;
/// Messages that leave the disk at once; twice as many as may come in between keep up.
const PIECE: u64 = 512;
/// Channels that a round looks at.
const CHANNELS: usize = 256;
/// Free pages that are not worth giving back.
const VACUUM_MIN: i64 = 4_096;
/// Keys that a round forgets.
const KEYS: usize = 2_048;

/// Removes some of what readers know to be lost, if it is worth it. Gives whether it did.
pub(super) fn some(store: &Connection, state: &mut State, seen_lost: u64) -> Result<bool, BrokerError> {
    if seen_lost.saturating_sub(state.trimmed) < WORTH {
        return Ok(false);
    }
    piece(store, state, seen_lost)?;
    Ok(true)
}

fn piece(store: &Connection, state: &mut State, seen_lost: u64) -> Result<(), BrokerError> {
    let until = seen_lost.min(state.trimmed.saturating_add(PIECE));
    let range = params![state.id, state.trimmed.cast_signed(), until.cast_signed()];
    if state.removed > 0 {
        // A key goes with its newest message.
        let keys = "DELETE FROM newest WHERE channel = ?1 AND offset <= ?3 AND key IN
                    (SELECT key FROM messages WHERE channel = ?1 AND offset > ?2 AND offset <= ?3 AND key IS NOT NULL)";
        store.prepare_cached(keys).map_err(failed)?.execute(range).map_err(failed)?;
    }
    let rows = "DELETE FROM messages WHERE channel = ?1 AND offset > ?2 AND offset <= ?3";
    store.prepare_cached(rows).map_err(failed)?.execute(range).map_err(failed)?;
    state.trimmed = until;
    Ok(())
}

/// What a round did.
#[derive(Debug, Default)]
pub(super) struct Tidied {
    /// Whether it changed the store.
    pub(super) changed: bool,
    /// Whether there is more to do at once.
    pub(super) more: bool,
}

/// Where the rounds are.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// The number of the channel that was looked at last.
    at: i64,
}

impl Sweep {
    /// One round, as a transaction of its own: what has expired in channels that nobody uses, keys whose
    /// window is over, pages of the file that are free.
    pub(super) fn round(
        &mut self,
        store: &Connection,
        shared: &Shared,
        now_ms: u64,
    ) -> Result<Tidied, BrokerError> {
        let expired = self.look(store, now_ms)?;
        let free: i64 = store.query_row("PRAGMA freelist_count", [], |row| row.get(0)).map_err(failed)?;
        let pages: i64 = store.query_row("PRAGMA page_count", [], |row| row.get(0)).map_err(failed)?;
        let keys = idempotency::expire(store, KEYS, now_ms)?;
        let mut tidied = Tidied { changed: keys > 0, more: keys == KEYS };
        for name in expired {
            tidied.more |= Self::trim(store, shared, &name, now_ms)?;
            tidied.changed = true;
        }
        // A quarter of the file may wait for what comes next.
        if free > VACUUM_MIN && free > pages / 4 {
            tidied.changed = true;
            let mut vacuum = store.prepare_cached("PRAGMA incremental_vacuum(256)").map_err(failed)?;
            let mut rows = vacuum.query([]).map_err(failed)?;
            while rows.next().map_err(failed)?.is_some() {}
        }
        Ok(tidied)
    }

    /// The next channels whose oldest message has expired by the rules that they had last.
    fn look(&mut self, store: &Connection, now_ms: u64) -> Result<Vec<String>, BrokerError> {
        let next = "SELECT id, name, age_ms, lost > trimmed,
                    (SELECT time_ms FROM messages WHERE channel = id ORDER BY offset LIMIT 1)
                    FROM channels WHERE id > ? ORDER BY id LIMIT ?";
        let mut next = store.prepare_cached(next).map_err(failed)?;
        let most = i64::try_from(CHANNELS).unwrap_or(i64::MAX);
        let mut rows = next.query(params![self.at, most]).map_err(failed)?;
        let (mut expired, mut seen) = (Vec::new(), 0);
        while let Some(row) = rows.next().map_err(failed)? {
            seen += 1;
            self.at = row.get(0).map_err(failed)?;
            let age_ms = row.get::<_, i64>(2).map_err(failed)?.cast_unsigned();
            let oldest_ms: Option<i64> = row.get(4).map_err(failed)?;
            let is_old =
                |ms: i64| row.get(3).unwrap_or(false) || ms.cast_unsigned().saturating_add(age_ms) <= now_ms;
            if oldest_ms.is_some_and(is_old) {
                expired.push(row.get(1).map_err(failed)?);
            }
        }
        if seen < CHANNELS {
            self.at = 0;
        }
        Ok(expired)
    }

    fn trim(store: &Connection, shared: &Shared, name: &str, now_ms: u64) -> Result<bool, BrokerError> {
        let Ok(channel) = Channel::kept(name) else { return Ok(false) };
        let slot = shared.slots.slot(&channel);
        let mut state = {
            let mut inside = slot.lock();
            let state = inside.state(store, &channel, &shared.life)?;
            let (keep, age_ms) = (state.keep, state.age_ms);
            state.expire(store, keep, age_ms, now_ms)?;
            state.clone()
        };
        let lost = state.lost;
        if lost <= state.trimmed {
            return Ok(false);
        }
        piece(store, &mut state, lost)?;
        state.save(store, &channel)?;
        if let Some(known) = slot.lock().known() {
            known.trimmed = state.trimmed;
        }
        Ok(state.trimmed < lost)
    }
}
