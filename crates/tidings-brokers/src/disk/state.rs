//! The bounds of one log: what the store holds of it, and what of that is still to be seen.

use rusqlite::{Connection, OptionalExtension, params};
use tidings_core::broker::BrokerError;
use tidings_core::log::{Bounds, Channel, Retain, Rules, Terms};

use super::life::Life;
use super::store::failed;

/// What is known of one log. What was expired is told at once and leaves the disk later.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// Its number in the store; `None` before its first message.
    pub(super) id: Option<i64>,
    /// Its epoch, as everybody sees it.
    pub(super) epoch: u64,
    /// The part of the epoch that is stored.
    pub(super) seed: u64,
    /// The offset of the newest message that was ever stored.
    pub(super) last: u64,
    /// The highest offset that expired.
    pub(super) lost: u64,
    /// How many messages expired; less than `lost` where compaction had removed some.
    pub(super) dropped: u64,
    /// How many messages compaction removed.
    pub(super) removed: u64,
    /// Up to where expired messages have left the disk.
    pub(super) trimmed: u64,
    /// When the newest message was stored.
    pub(super) newest_ms: u64,
    /// The oldest message kept, if it was looked up: its offset, and when it was stored.
    oldest: Option<(u64, u64)>,
    /// The retention that was asked for last.
    pub(super) keep: u64,
    pub(super) age_ms: u64,
    /// Whether something was acknowledged that had not been forced onto the disk.
    pub(super) unsynced: bool,
    /// Whether nothing follows `last`, which is then the place after the end and no message.
    pub(super) closed: bool,
    /// What it was created with by name.
    pub(super) terms: Option<Terms>,
    /// When it was created, or last written to.
    pub(super) written_ms: u64,
    /// When the age of its messages was last looked at by who writes.
    pub(super) aged_ms: u64,
}

impl State {
    /// Looks a channel up.
    pub(super) fn load(store: &Connection, channel: &Channel, life: &Life) -> Result<Self, BrokerError> {
        let mut channels = store.prepare_cached("SELECT * FROM channels WHERE name = ?").map_err(failed)?;
        let number = |row: &rusqlite::Row<'_>, at: &str| row.get::<_, i64>(at).map(i64::cast_unsigned);
        let found = channels.query_row([channel.as_str()], |row| {
            let (seed, unsynced) = (number(row, "epoch")?, row.get("unsynced")?);
            Ok(State {
                id: Some(row.get("id")?),
                epoch: life.epoch(seed, unsynced),
                seed,
                last: number(row, "last")?,
                lost: number(row, "lost")?,
                dropped: number(row, "dropped")?,
                removed: number(row, "removed")?,
                trimmed: number(row, "trimmed")?,
                newest_ms: 0,
                oldest: None,
                keep: number(row, "keep")?,
                age_ms: number(row, "age_ms")?,
                unsynced,
                closed: row.get("closed")?,
                terms: terms(row)?,
                written_ms: number(row, "written_ms")?,
                aged_ms: 0,
            })
        });
        let Some(mut state) = found.optional().map_err(failed)? else {
            let seed = life.seed(channel);
            return Ok(State::empty(seed, life.epoch(seed, false)));
        };
        // The row is not written with each message.
        let newest = "SELECT offset, time_ms FROM messages WHERE channel = ? ORDER BY offset DESC LIMIT 1";
        if let Some((offset, time_ms)) = state.one(store, newest)? {
            state.last = state.last.max(offset);
            state.newest_ms = time_ms;
            state.written_ms = state.written_ms.max(time_ms);
        }
        Ok(state)
    }

    /// A log that nothing was stored in.
    pub(super) fn empty(seed: u64, epoch: u64) -> Self {
        State {
            id: None,
            epoch,
            seed,
            last: 0,
            lost: 0,
            dropped: 0,
            removed: 0,
            trimmed: 0,
            newest_ms: 0,
            oldest: None,
            keep: 0,
            age_ms: 0,
            unsynced: false,
            closed: false,
            terms: None,
            written_ms: 0,
            aged_ms: 0,
        }
    }

    /// What a reader may rely on.
    pub(super) fn bounds(&self, rules: &Rules) -> Bounds {
        let dense = !rules.compact && self.removed == 0;
        Bounds { epoch: self.epoch, last: self.last, lost: self.lost, closed: self.closed, dense }
    }

    /// The rules that hold here: those of the namespace, and over them its terms.
    pub(super) fn rules(&self, rules: &Rules) -> Rules {
        self.terms.map_or(*rules, |terms| terms.over(rules))
    }

    /// Whether somebody created the channel: by a first message, or by name.
    pub(super) fn is_created(&self) -> bool {
        self.terms.is_some() || self.last > 0
    }

    /// Whether its time to live has passed.
    pub(super) fn is_over(&self, now_ms: u64) -> bool {
        self.terms.is_some_and(|terms| terms.are_over(self.written_ms, now_ms))
    }

    /// The offset of the newest message that was ever stored; the end is none.
    pub(super) fn last_message(&self) -> u64 {
        self.last - u64::from(self.closed)
    }

    /// How many messages are kept.
    pub(super) fn kept(&self) -> u64 {
        self.last_message().saturating_sub(self.dropped).saturating_sub(self.removed)
    }

    /// When the newest message kept was stored.
    pub(super) fn newest_ms(&self) -> Option<u64> {
        (self.kept() > 0).then_some(self.newest_ms)
    }

    /// Puts what is past the limits of retention out of sight.
    pub(super) fn expire(
        &mut self,
        store: &Connection,
        keep: u64,
        age_ms: u64,
        now_ms: u64,
    ) -> Result<(), BrokerError> {
        self.expire_count(store, keep)?;
        while self.kept() > 0 && self.oldest_ms(store)?.is_some_and(|ms| ms.saturating_add(age_ms) <= now_ms)
        {
            self.drop_aged(store, now_ms.saturating_sub(age_ms))?;
        }
        Ok(())
    }

    /// The same, by the number of messages alone.
    pub(super) fn expire_count(&mut self, store: &Connection, keep: u64) -> Result<(), BrokerError> {
        let over = self.kept().saturating_sub(keep.max(1));
        if over == 0 {
            return Ok(());
        }
        if self.removed == 0 {
            self.lost += over;
        } else {
            let nth = "SELECT offset FROM messages WHERE channel = ? AND offset > ? ORDER BY offset LIMIT 1 OFFSET ?";
            let mut nth = store.prepare_cached(nth).map_err(failed)?;
            let skip = over.saturating_sub(1).cast_signed();
            let found =
                nth.query_row(params![self.id, self.lost.cast_signed(), skip], |row| row.get::<_, i64>(0));
            self.lost = found.optional().map_err(failed)?.map_or(self.last_message(), i64::cast_unsigned);
        }
        self.dropped += over;
        Ok(())
    }

    /// Counts anew what is kept, where two who expired at once may have counted a message twice.
    pub(super) fn recount(&mut self, store: &Connection) -> Result<(), BrokerError> {
        let count = "SELECT count(*) FROM messages WHERE channel = ? AND offset > ?";
        let mut count = store.prepare_cached(count).map_err(failed)?;
        let found = count.query_row(params![self.id, self.lost.cast_signed()], |row| row.get::<_, i64>(0));
        let kept = found.map_err(failed)?.cast_unsigned();
        self.dropped = self.last_message().saturating_sub(self.removed).saturating_sub(kept);
        Ok(())
    }

    /// The offset before the `n` newest messages, `n` over 0.
    pub(super) fn before_last(&self, store: &Connection, n: u64) -> Result<u64, BrokerError> {
        if n >= self.kept() {
            return Ok(self.lost);
        }
        if self.removed == 0 {
            return Ok(self.last_message().saturating_sub(n).max(self.lost));
        }
        let nth = "SELECT offset FROM messages WHERE channel = ? AND offset > ? AND offset <= ?
                   ORDER BY offset DESC LIMIT 1 OFFSET ?";
        let mut nth = store.prepare_cached(nth).map_err(failed)?;
        let (lost, last) = (self.lost.cast_signed(), self.last.cast_signed());
        let found =
            nth.query_row(params![self.id, lost, last, (n - 1).cast_signed()], |row| row.get::<_, i64>(0));
        Ok(found.optional().map_err(failed)?.map_or(self.lost, |offset| offset.cast_unsigned() - 1))
    }

    fn oldest_ms(&mut self, store: &Connection) -> Result<Option<u64>, BrokerError> {
        if self.oldest.is_none_or(|(offset, _)| offset <= self.lost) {
            let first = "SELECT offset, time_ms FROM messages WHERE channel = ? AND offset > ?2 ORDER BY offset LIMIT 1";
            self.oldest = self.one(store, first)?;
        }
        Ok(self.oldest.map(|(_, ms)| ms))
    }

    /// Drops from the front what was stored at a time or before: a few hundred messages at most, so
    /// that a lock is not held for long between two looks.
    fn drop_aged(&mut self, store: &Connection, until_ms: u64) -> Result<(), BrokerError> {
        let rows = "SELECT offset, time_ms FROM messages WHERE channel = ? AND offset > ? AND offset <= ?
                    ORDER BY offset LIMIT 512";
        let mut rows = store.prepare_cached(rows).map_err(failed)?;
        let mut rows =
            rows.query(params![self.id, self.lost.cast_signed(), self.last.cast_signed()]).map_err(failed)?;
        let before = self.lost;
        while let Some(row) = rows.next().map_err(failed)? {
            let (offset, ms): (i64, i64) = (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
            if ms.cast_unsigned() > until_ms {
                break;
            }
            self.lost = offset.cast_unsigned();
            self.dropped += 1;
        }
        if self.lost == before {
            // Nothing is there to drop, though it was a moment ago: what is kept was counted wrong.
            return Err(BrokerError::Corrupt(format!("messages after {before} are missing")));
        }
        if self.removed == 0 {
            // Those that are missing have expired as well.
            self.dropped = self.lost;
        }
        Ok(())
    }

    /// The offset and time of one message.
    fn one(&self, store: &Connection, query: &str) -> Result<Option<(u64, u64)>, BrokerError> {
        let mut one = store.prepare_cached(query).map_err(failed)?;
        let pair = |row: &rusqlite::Row<'_>| {
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned()))
        };
        let found = match query.contains("?2") {
            true => one.query_row(params![self.id, self.lost.cast_signed()], pair),
            false => one.query_row([self.id], pair),
        };
        found.optional().map_err(failed)
    }

    /// Writes down what is not found again by looking at the messages.
    pub(super) fn save(&mut self, store: &Connection, channel: &Channel) -> Result<(), BrokerError> {
        let id = self.id;
        // The name stays as it is, and so does its place in the index of names, where each has a page of its own.
        let sql = match id {
            Some(_) => {
                "UPDATE channels SET epoch = ?3, last = ?4, lost = ?5, dropped = ?6, removed = ?7, trimmed = ?8,
                 keep = ?9, age_ms = ?10, unsynced = ?11, closed = ?12, named = ?13, written_ms = ?14,
                 terms_keep = ?15, terms_age_ms = ?16, ttl_ms = ?17 WHERE id = ?1 AND name = ?2"
            }
            None => "INSERT INTO channels VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        };
        let retain = self.terms.and_then(|terms| terms.retain);
        let mut row = store.prepare_cached(sql).map_err(failed)?;
        row.execute(params![
            id,
            channel.as_str(),
            self.seed.cast_signed(),
            self.last.cast_signed(),
            self.lost.cast_signed(),
            self.dropped.cast_signed(),
            self.removed.cast_signed(),
            self.trimmed.cast_signed(),
            self.keep.cast_signed(),
            self.age_ms.cast_signed(),
            self.unsynced,
            self.closed,
            self.terms.is_some(),
            self.written_ms.cast_signed(),
            retain.map(|retain| retain.messages.cast_signed()),
            retain.map(|retain| retain.age_ms.cast_signed()),
            self.terms.and_then(|terms| terms.ttl_ms).map(u64::cast_signed),
        ])
        .map_err(failed)?;
        if id.is_none() {
            self.id = Some(store.last_insert_rowid());
        }
        Ok(())
    }
}

/// The terms in a channel's row.
fn terms(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Terms>> {
    if !row.get::<_, bool>("named")? {
        return Ok(None);
    }
    let number = |at: &str| row.get::<_, Option<i64>>(at).map(|number| number.map(i64::cast_unsigned));
    let retain = number("terms_keep")?.zip(number("terms_age_ms")?);
    let retain = retain.map(|(messages, age_ms)| Retain { messages, age_ms });
    Ok(Some(Terms { retain, ttl_ms: number("ttl_ms")? }))
}
