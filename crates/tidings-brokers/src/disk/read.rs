//! Reads: where they begin, pages, and the beginning of a tail.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::params;
use tidings_core::broker::BrokerError;
use tidings_core::log::{Bounds, Channel, Found, Limit, Message, Page, Position, Rules, Start};
use tokio::sync::mpsc;

use super::row::Row;
use super::shared::At;
use super::store::failed;

/// Looks at a log again that changed during a look.
const LOOKS: u32 = 50;
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What was found; `None` where the channel's time to live has passed, so that who writes must
/// delete it first.
pub(super) type Looked<T> = Result<Option<T>, BrokerError>;

pub(super) fn find(at: At<'_>, channel: &Channel, start: Start, rules: &Rules, now_ms: u64) -> Looked<Found> {
    let slot = at.shared.slots.slot(channel);
    let mut inside = slot.lock();
    let state = inside.state(at.store, channel, &at.shared.life)?;
    if state.is_over(now_ms) {
        return Ok(None);
    }
    let rules = &state.rules(rules);
    state.expire(at.store, rules.retain.messages, rules.retain.age_ms, now_ms)?;
    let before_last = match start {
        Start::Last(n) if n > 0 => state.before_last(at.store, n)?,
        _ => state.last,
    };
    let found = state.bounds(rules).find(start, rules, state.newest_ms(), |_| before_last);
    Ok(Some(Found { created: state.is_created(), ..found }))
}

pub(super) fn follow(
    at: At<'_>,
    channel: &Channel,
    items: mpsc::Sender<Arc<Message>>,
    now_ms: u64,
) -> Looked<Position> {
    let slot = at.shared.slots.slot(channel);
    let mut inside = slot.lock();
    let state = inside.state(at.store, channel, &at.shared.life)?;
    if state.is_over(now_ms) {
        return Ok(None);
    }
    let from = Position { epoch: state.epoch, offset: state.last };
    inside.follow(from.offset, items);
    Ok(Some(from))
}

pub(super) fn page(
    at: At<'_>,
    channel: &Channel,
    after: Position,
    limit: Limit,
    rules: &Rules,
    now_ms: u64,
) -> Looked<Page> {
    let slot = at.shared.slots.slot(channel);
    let mut looks = 0;
    loop {
        let (id, bounds) = {
            let mut inside = slot.lock();
            let state = inside.state(at.store, channel, &at.shared.life)?;
            if state.is_over(now_ms) {
                return Ok(None);
            }
            let rules = state.rules(rules);
            state.expire(at.store, rules.retain.messages, rules.retain.age_ms, now_ms)?;
            (state.id, state.bounds(&rules))
        };
        let gap = bounds.gap_after(Some(after), rules);
        let from = gap.map_or(after, |gap| gap.until).offset;
        let end = bounds.closed.then(|| bounds.end());
        let Some(id) = id.filter(|_| from < last_message(bounds)) else {
            return Ok(Some(Page { gap, messages: Vec::new(), end }));
        };
        match messages(at, channel, id, from, limit, bounds)? {
            Rows::All(messages) => return Ok(Some(Page { gap, messages, end })),
            Rows::Some(messages) => return Ok(Some(Page { gap, messages, end: None })),
            Rows::Missing => {}
        }
        // What expired between the two looks may have left the disk; what is still to be there is damaged.
        looks += 1;
        if looks == LOOKS {
            return Err(BrokerError::Corrupt(format!(
                "messages of {channel} after {from} are missing; check the disk, and put a copy of the folder in its \
                 place"
            )));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// What follows an offset.
enum Rows {
    /// All of it.
    All(Vec<Arc<Message>>),
    /// Some of it, since a page has its limits.
    Some(Vec<Arc<Message>>),
    /// Not what should be there.
    Missing,
}

fn last_message(bounds: Bounds) -> u64 {
    bounds.last - u64::from(bounds.closed)
}

fn messages(
    at: At<'_>,
    channel: &Channel,
    id: i64,
    from: u64,
    limit: Limit,
    bounds: Bounds,
) -> Result<Rows, BrokerError> {
    let rows = "SELECT offset, time_ms, key, value FROM messages
                WHERE channel = ? AND offset > ? AND offset <= ? ORDER BY offset LIMIT ?";
    let mut rows = at.store.prepare_cached(rows).map_err(failed)?;
    // One more, which tells whether there is more.
    let most = i64::try_from(limit.messages.saturating_add(1)).unwrap_or(i64::MAX);
    let range = params![id, from.cast_signed(), bounds.last.cast_signed(), most];
    let mut rows = rows.query(range).map_err(failed)?;
    let (mut messages, mut bytes, mut next) = (Vec::new(), 0, from + 1);
    while let Some(row) = rows.next().map_err(failed)? {
        let offset = row.get::<_, i64>(0).map_err(failed)?.cast_unsigned();
        if bounds.dense && offset != next {
            return Ok(Rows::Missing);
        }
        if messages.len() >= limit.messages {
            return Ok(Rows::Some(messages));
        }
        next = offset + 1;
        let row = Row {
            id,
            offset,
            time_ms: row.get::<_, i64>(1).map_err(failed)?.cast_unsigned(),
            key: text(row.get_ref(2).map_err(failed)?),
            value: row.get_ref(3).map_err(failed)?.as_blob().unwrap_or_default(),
        };
        let message = row.decode(channel, bounds.epoch)?;
        bytes += message.weight();
        if bytes > limit.bytes && !messages.is_empty() {
            return Ok(Rows::Some(messages));
        }
        messages.push(Arc::new(message));
    }
    let is_whole = !bounds.dense || next > last_message(bounds);
    Ok(if is_whole { Rows::All(messages) } else { Rows::Missing })
}

fn text(value: rusqlite::types::ValueRef<'_>) -> Option<&str> {
    value.as_str_or_null().ok().flatten()
}
