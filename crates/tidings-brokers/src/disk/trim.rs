//! What has expired leaves the disk: a little with each transaction, the rest in small pieces.

use rusqlite::{Connection, OptionalExtension, params};
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
/// Channels that it takes something from: who publishes waits for no more.
const EXPIRED: usize = 64;
/// Free pages that are not worth giving back.
const VACUUM_MIN: i64 = 4_096;
/// Pages that a round gives back, each of which moves another.
const VACUUM: &str = "PRAGMA incremental_vacuum(32)";
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
    /// Channels whose time to live has passed, to be deleted.
    pub(super) over: Vec<Channel>,
}

/// What became of a channel in a round.
enum Trimmed {
    Nothing,
    Some { more: bool },
    Over(Channel),
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
        // As long as there is something to remove, the rounds follow each other.
        let goes_on = self.at > 0 && !expired.is_empty();
        let free: i64 = store.query_row("PRAGMA freelist_count", [], |row| row.get(0)).map_err(failed)?;
        let pages: i64 = store.query_row("PRAGMA page_count", [], |row| row.get(0)).map_err(failed)?;
        let keys = idempotency::expire(store, KEYS, now_ms)?;
        let deleted = deleted(store)?;
        let mut tidied = Tidied {
            changed: keys > 0 || deleted,
            more: keys == KEYS || deleted || goes_on,
            over: Vec::new(),
        };
        for name in expired {
            match Self::trim(store, shared, &name, now_ms)? {
                Trimmed::Over(channel) => tidied.over.push(channel),
                Trimmed::Some { more } => {
                    tidied.more |= more;
                    tidied.changed = true;
                }
                Trimmed::Nothing => {}
            }
        }
        // A quarter of the file may wait for what comes next.
        if free > VACUUM_MIN && free > pages / 4 {
            (tidied.changed, tidied.more) = (true, true);
            let mut vacuum = store.prepare_cached(VACUUM).map_err(failed)?;
            let mut rows = vacuum.query([]).map_err(failed)?;
            while rows.next().map_err(failed)?.is_some() {}
        }
        Ok(tidied)
    }

    /// The next channels whose oldest message has expired by the rules that they had last.
    fn look(&mut self, store: &Connection, now_ms: u64) -> Result<Vec<String>, BrokerError> {
        let next = "SELECT id, name, age_ms, lost > trimmed,
                    (SELECT time_ms FROM messages WHERE channel = id ORDER BY offset LIMIT 1),
                    ttl_ms + written_ms <= ?3 FROM channels WHERE id > ?1 ORDER BY id LIMIT ?2";
        let mut next = store.prepare_cached(next).map_err(failed)?;
        let most = i64::try_from(CHANNELS).unwrap_or(i64::MAX);
        let mut rows = next.query(params![self.at, most, now_ms.cast_signed()]).map_err(failed)?;
        let (mut expired, mut seen) = (Vec::new(), 0);
        while expired.len() < EXPIRED
            && let Some(row) = rows.next().map_err(failed)?
        {
            seen += 1;
            self.at = row.get(0).map_err(failed)?;
            let age_ms = row.get::<_, i64>(2).map_err(failed)?.cast_unsigned();
            let oldest_ms: Option<i64> = row.get(4).map_err(failed)?;
            let is_old =
                |ms: i64| row.get(3).unwrap_or(false) || ms.cast_unsigned().saturating_add(age_ms) <= now_ms;
            let may_be_over = row.get::<_, Option<bool>>(5).map_err(failed)?.unwrap_or(false);
            if may_be_over || oldest_ms.is_some_and(is_old) {
                expired.push(row.get(1).map_err(failed)?);
            }
        }
        if seen < CHANNELS && expired.len() < EXPIRED {
            self.at = 0;
        }
        Ok(expired)
    }

    fn trim(store: &Connection, shared: &Shared, name: &str, now_ms: u64) -> Result<Trimmed, BrokerError> {
        let Ok(channel) = Channel::kept(name) else { return Ok(Trimmed::Nothing) };
        let slot = shared.slots.slot(&channel);
        let mut state = {
            let mut inside = slot.lock();
            let state = inside.state(store, &channel, &shared.life)?;
            if state.is_over(now_ms) {
                return Ok(Trimmed::Over(channel));
            }
            let (keep, age_ms) = (state.keep, state.age_ms);
            state.expire(store, keep, age_ms, now_ms)?;
            state.clone()
        };
        let lost = state.lost;
        if lost <= state.trimmed {
            return Ok(Trimmed::Nothing);
        }
        piece(store, &mut state, lost)?;
        state.save(store, &channel)?;
        if let Some(known) = slot.lock().known() {
            known.trimmed = state.trimmed;
        }
        Ok(Trimmed::Some { more: state.trimmed < lost })
    }
}

/// Removes some of what stands under the number of a channel that was deleted. Gives whether it did.
fn deleted(store: &Connection) -> Result<bool, BrokerError> {
    let Some(id) = first_deleted(store)? else { return Ok(false) };
    let piece = params![id, PIECE.cast_signed()];
    let tables = [
        "DELETE FROM messages WHERE channel = ?1 AND offset IN
         (SELECT offset FROM messages WHERE channel = ?1 ORDER BY offset LIMIT ?2)",
        "DELETE FROM newest WHERE channel = ?1 AND key IN
         (SELECT key FROM newest WHERE channel = ?1 ORDER BY key LIMIT ?2)",
        "DELETE FROM once WHERE channel = ?1 AND (sent, key) IN
         (SELECT sent, key FROM once WHERE channel = ?1 ORDER BY sent, key LIMIT ?2)",
    ];
    let mut removed = 0;
    for sql in tables {
        removed += store.prepare_cached(sql).map_err(failed)?.execute(piece).map_err(failed)?;
    }
    if removed == 0 {
        store.execute("DELETE FROM deleted WHERE id = ?", [id]).map_err(failed)?;
    }
    Ok(true)
}

fn first_deleted(store: &Connection) -> Result<Option<i64>, BrokerError> {
    let mut first = store.prepare_cached("SELECT id FROM deleted LIMIT 1").map_err(failed)?;
    first.query_row([], |row| row.get(0)).optional().map_err(failed)
}
