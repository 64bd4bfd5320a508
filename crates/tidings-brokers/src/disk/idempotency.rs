//! Which ids a channel has stored within their window, by the rules of [`tidings_core::log::in_stream`].

use rusqlite::{Connection, OptionalExtension, params};
use tidings_core::broker::BrokerError;
use tidings_core::log::{Draft, Once, in_stream};

use super::store::failed;

/// How an id came, as the store has it.
const ALONE: i64 = 0;
const IN_STREAM: i64 = 1;

/// Where a draft is stored already; for a message of a stream, that or a later place of the stream.
pub(super) fn find(
    store: &Connection,
    channel: i64,
    draft: &Draft,
    now_ms: u64,
) -> Result<Option<u64>, BrokerError> {
    let one = |sent, key: &str, count| one(store, channel, sent, key, count, now_ms);
    match &draft.once {
        Once::No => Ok(None),
        Once::Id => match (one(ALONE, &draft.id, 0)?, in_stream(&draft.id)) {
            (None, Some((key, index))) => one(IN_STREAM, key, index),
            (found, _) => Ok(found),
        },
        Once::Stream { key, index } => match one(IN_STREAM, key, *index)? {
            None => one(ALONE, &draft.id, 0),
            found => Ok(found),
        },
    }
}

/// Remembers a draft that was stored at an offset.
pub(super) fn remember(
    store: &Connection,
    channel: i64,
    draft: &Draft,
    offset: u64,
    until_ms: u64,
) -> Result<(), BrokerError> {
    let (sent, key, count) = match &draft.once {
        Once::No => return Ok(()),
        Once::Id => (ALONE, &*draft.id, 1),
        Once::Stream { key, index } => (IN_STREAM, &**key, index + 1),
    };
    let mut row =
        store.prepare_cached("INSERT OR REPLACE INTO once VALUES (?, ?, ?, ?, ?, ?)").map_err(failed)?;
    let (last, count, until) = (offset.cast_signed(), count.cast_signed(), until_ms.cast_signed());
    row.execute(params![channel, sent, key, last, count, until]).map_err(failed)?;
    Ok(())
}

/// Forgets some of the keys whose window is over. Gives how many.
pub(super) fn expire(store: &Connection, most: usize, now_ms: u64) -> Result<usize, BrokerError> {
    let old = "DELETE FROM once WHERE (channel, sent, key) IN
               (SELECT channel, sent, key FROM once WHERE until_ms <= ? LIMIT ?)";
    let mut old = store.prepare_cached(old).map_err(failed)?;
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    old.execute(params![now_ms.cast_signed(), limit]).map_err(failed)
}

/// A record within its window that counts more than `over` messages.
fn one(
    store: &Connection,
    channel: i64,
    sent: i64,
    key: &str,
    over: u64,
    now_ms: u64,
) -> Result<Option<u64>, BrokerError> {
    let row =
        "SELECT last FROM once WHERE channel = ? AND sent = ? AND key = ? AND until_ms > ? AND count > ?";
    let mut row = store.prepare_cached(row).map_err(failed)?;
    let over = i64::try_from(over).unwrap_or(i64::MAX);
    let found =
        row.query_row(params![channel, sent, key, now_ms.cast_signed(), over], |row| row.get::<_, i64>(0));
    Ok(found.optional().map_err(failed)?.map(i64::cast_unsigned))
}
