//! Reads: where they begin, pages, and the beginning of a tail.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::params;
use tidings_core::broker::BrokerError;
use tidings_core::log::{Bounds, Channel, Found, Limit, Message, Page, Position, Rules, Start};
use tokio::sync::mpsc;

use super::damage;
use super::row::Row;
use super::shared::At;
use super::store::failed;

/// Looks at a log again that changed during a look.
const LOOKS: usize = 50;
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
    let mut damaged = None;
    for _ in 0..LOOKS {
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
        let gap = damage::gap(gap, after, damaged, bounds, rules);
        let from = gap.map_or(after, |gap| gap.until).offset;
        let end = bounds.closed.then(|| bounds.end());
        let Some(id) = id.filter(|_| from < last_message(bounds)) else {
            return Ok(Some(Page { gap, messages: Vec::new(), end }));
        };
        match messages(at, channel, id, from, limit, bounds)? {
            Rows::All(messages) => return Ok(Some(Page { gap, messages, end })),
            Rows::Some(messages) => return Ok(Some(Page { gap, messages, end: None })),
            Rows::None => {}
        }
        // It may have left the disk between the two looks.
        match damage::end(at, channel, id, from, bounds)? {
            Some(until) => damaged = Some(bounds.at(until)),
            None => std::thread::sleep(LOOK_EVERY),
        }
    }
    Err(BrokerError::Unavailable(format!("what {channel} keeps changes too fast to be read")))
}

/// What follows an offset.
enum Rows {
    /// All of it.
    All(Vec<Arc<Message>>),
    /// Some of it, since a page has its limits, or what follows cannot be read.
    Some(Vec<Arc<Message>>),
    /// The first that should be there cannot be read.
    None,
}

/// The offset of the newest message that was ever stored; the end is none.
pub(super) fn last_message(bounds: Bounds) -> u64 {
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
    loop {
        let row = match rows.next().map_err(failed) {
            Ok(Some(row)) => Row::of(id, row).map_err(failed)?,
            Ok(None) => break,
            Err(BrokerError::Corrupt(_)) => return Ok(Rows::before_damage(messages)),
            Err(error) => return Err(error),
        };
        if messages.len() >= limit.messages {
            return Ok(Rows::Some(messages));
        }
        let message = row.decode(channel, bounds.epoch).filter(|_| !bounds.dense || row.offset == next);
        let Some(message) = message else { return Ok(Rows::before_damage(messages)) };
        next = row.offset + 1;
        bytes += message.weight();
        if bytes > limit.bytes && !messages.is_empty() {
            return Ok(Rows::Some(messages));
        }
        messages.push(Arc::new(message));
    }
    let is_whole = !bounds.dense || next > last_message(bounds);
    Ok(if is_whole { Rows::All(messages) } else { Rows::before_damage(messages) })
}

impl Rows {
    fn before_damage(messages: Vec<Arc<Message>>) -> Self {
        if messages.is_empty() { Rows::None } else { Rows::Some(messages) }
    }
}
