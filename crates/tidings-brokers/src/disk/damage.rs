//! Messages that cannot be read any more: where they end, and who is told.

use std::collections::HashSet;

use parking_lot::Mutex;
use rusqlite::{OptionalExtension, params};
use tidings_core::broker::BrokerError;
use tidings_core::log::{Bounds, Channel, Gap, Position, Rules, Why};

use super::read::last_message;
use super::row::Row;
use super::shared::At;
use super::store::failed;

/// What was found to be damaged in this life.
#[derive(Debug, Default)]
pub(super) struct Damage {
    /// Where: the number of a channel, and the offset before.
    told: Mutex<HashSet<(i64, u64)>>,
}

/// What stands after an offset.
enum Next {
    /// A message, at this offset.
    Message(u64),
    /// A row that is not as it was written, at this offset.
    Damaged(u64),
    /// A part of the file that is not as it was written.
    Unreadable,
    Nothing,
}

/// Places that are remembered as told.
const TOLD_MAX: usize = 4_096;
/// Rows that are looked at for the end of the damage; a second gap tells of what is behind them.
const ROWS_MAX: usize = 1_000;

impl Damage {
    /// Tells the operator. Gives whether that is new.
    fn tell(&self, channel: &Channel, id: i64, from: u64, until: u64) -> bool {
        let mut told = self.told.lock();
        if told.len() >= TOLD_MAX || !told.insert((id, from)) {
            return false;
        }
        tracing::error!(
            %channel,
            first = from + 1,
            last = until,
            "messages on disk are damaged; readers of the channel are told by a gap, and it goes on behind them; \
             check the disk, and put a copy of the folder in its place if you need them"
        );
        true
    }
}

/// The offset up to which nothing after `from` can be read; `None` where it can, or may leave the disk right now.
///
/// It looks at one state of the store, so that what retention, compaction or deletion removes
/// meanwhile is never taken for damage.
pub(super) fn end(
    at: At<'_>,
    channel: &Channel,
    id: i64,
    from: u64,
    bounds: Bounds,
) -> Result<Option<u64>, BrokerError> {
    let _one_state = at.store.unchecked_transaction().map_err(failed)?;
    let kept = "SELECT removed, trimmed FROM channels WHERE id = ?";
    let mut kept = at.store.prepare_cached(kept).map_err(failed)?;
    let kept = kept.query_row([id], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).optional();
    let Some((removed, trimmed)) = kept.map_err(failed)? else { return Ok(None) };
    if trimmed.cast_unsigned() > from || bounds.dense && removed > 0 {
        return Ok(None);
    }
    let last = last_message(bounds);
    let mut until = from;
    for _ in 0..ROWS_MAX {
        let next = next(at, channel, id, until, bounds)?;
        until = match next {
            Next::Message(offset) if bounds.dense => offset - 1,
            Next::Message(_) => until,
            Next::Nothing if bounds.dense => last,
            Next::Nothing => until,
            Next::Damaged(offset) => {
                until = offset;
                continue;
            }
            Next::Unreadable => {
                until = readable(at, channel, id, until, bounds)?;
                continue;
            }
        };
        break;
    }
    if until <= from {
        return Ok(None);
    }
    if at.shared.damage.tell(channel, id, from, until) {
        at.shared.measures.damaged_messages.inc_by(until - from);
    }
    Ok(Some(until))
}

/// The gap before what can be read: what retention left of it, and what is damaged from there up to an offset.
pub(super) fn gap(
    gap: Option<Gap>,
    after: Position,
    until: Option<Position>,
    bounds: Bounds,
    rules: &Rules,
) -> Option<Gap> {
    let begin = gap.map_or(after, |gap| gap.until);
    let Some(until) = until.filter(|until| until.epoch == begin.epoch && until.offset > begin.offset) else {
        return gap;
    };
    let damaged = bounds.dense.then(|| until.offset - begin.offset);
    let expired = gap.map_or(Some(0), |gap| gap.missed);
    let missed = damaged.zip(expired).map(|(damaged, expired)| damaged + expired);
    let (after, why) = gap.map_or((Some(after), Why::below(rules.below)), |gap| (gap.after, gap.why));
    Some(Gap { after, until, why, missed })
}

/// The lowest offset from which on the file can be read again.
fn readable(at: At<'_>, channel: &Channel, id: i64, from: u64, bounds: Bounds) -> Result<u64, BrokerError> {
    let last = last_message(bounds);
    let is_readable = |offset| -> Result<bool, BrokerError> {
        Ok(!matches!(next(at, channel, id, offset, bounds)?, Next::Unreadable))
    };
    let (mut bad, mut step) = (from, 1);
    let mut good = loop {
        let there = from.saturating_add(step).min(last);
        if there == last || is_readable(there)? {
            break there;
        }
        bad = there;
        step *= 2;
    };
    while good - bad > 1 {
        let middle = bad + (good - bad) / 2;
        if is_readable(middle)? { good = middle } else { bad = middle }
    }
    Ok(good)
}

fn next(at: At<'_>, channel: &Channel, id: i64, after: u64, bounds: Bounds) -> Result<Next, BrokerError> {
    let row = "SELECT offset, time_ms, key, value FROM messages
               WHERE channel = ? AND offset > ? AND offset <= ? ORDER BY offset LIMIT 1";
    let mut row = at.store.prepare_cached(row).map_err(failed)?;
    let range = params![id, after.cast_signed(), bounds.last.cast_signed()];
    let found = row.query_row(range, |row| {
        let row = Row::of(id, row)?;
        let is_whole = row.decode(channel, bounds.epoch).is_some();
        Ok(if is_whole { Next::Message(row.offset) } else { Next::Damaged(row.offset) })
    });
    match found.optional().map_err(failed) {
        Ok(next) => Ok(next.unwrap_or(Next::Nothing)),
        Err(BrokerError::Corrupt(_)) => Ok(Next::Unreadable),
        Err(error) => Err(error),
    }
}
