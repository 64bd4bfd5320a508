//! A page of messages: as many as were asked for, as far as its bytes go.

use std::sync::Arc;

use super::subscription::weakest;
use super::{Place, Session, Want};
use crate::error::Result;
use crate::log::{Channel, Cursor, Gap, Limit, Message, Position};
use crate::policy::Delivery;

/// A page of messages, over one or many channels.
#[derive(Debug)]
pub struct Read {
    /// What is missing before the messages, and where.
    pub gap: Option<(Channel, Gap)>,
    /// The messages: in order within each channel.
    pub messages: Vec<Arc<Message>>,
    /// Where to read on: one place for each channel.
    pub cursor: Cursor,
    /// Whether more is there now.
    pub more: bool,
    /// When the newest message of these channels was stored.
    pub newest_ms: Option<u64>,
    /// The weakest guarantee of the channels.
    pub delivery: Delivery,
    /// Milliseconds for which the socket of who reads it may take nothing.
    pub max_lag_ms: u64,
}

/// What is in a page already.
struct Begun {
    gap: Option<(Channel, Gap)>,
    is_empty: bool,
}

/// How much of a page.
#[derive(Clone, Copy)]
struct Amount {
    messages: usize,
    /// Bytes of memory, as [`Message::weight`] counts them.
    bytes: usize,
}

/// What one channel gives to a page.
struct Share {
    at: Position,
    /// What is missing at `at`, and not told yet.
    gap: Option<Gap>,
    messages: Vec<Arc<Message>>,
    /// Whether the end of the channel was reached.
    ended: bool,
}

/// Messages that are read at once from one channel.
const READ_MESSAGES_MAX: usize = 1_000;
/// Bytes that the messages of a page hold, but for a first one that is larger.
const PAGE_BYTES_MAX: usize = 8 << 20;

impl Session {
    /// Reads a page of up to `limit` messages, at once.
    ///
    /// Its messages hold at most 8 MiB of memory, but for a first one that is larger. So a page may
    /// end below its limit before the end of its channels is reached: [`Read::more`] tells the two apart.
    pub async fn read(&self, want: Want, limit: usize) -> Result<Read> {
        let places = self.find(want).await?;
        let mut shares: Vec<_> = places.iter().map(Share::new).collect();
        let mut begun = Begun { gap: None, is_empty: true };
        let mut left = Amount { messages: limit, bytes: PAGE_BYTES_MAX };
        // A page may be too small for a part of each channel: which of them comes to its turn last,
        // and so has most to take, changes with the cursor. Else a busy one would starve the others.
        let turn = turn(&places);
        for step in 0..places.len() {
            let at = (turn + step) % places.len();
            let part = left.part(places.len() - step);
            left.take(self.fill(&places[at], &mut shares[at], part, &mut begun).await?);
        }
        // A second round gives busy channels what quiet ones left.
        for step in 0..places.len() {
            let at = (turn + step) % places.len();
            if left.messages > 0 && !shares[at].ended {
                left.take(self.fill(&places[at], &mut shares[at], left, &mut begun).await?);
            }
        }
        let ends = places.iter().zip(&shares).map(|(place, share)| (&place.channel, share.place()));
        Ok(Read {
            gap: begun.gap,
            cursor: Cursor::composite(ends),
            more: shares.iter().any(|share| !share.ended),
            newest_ms: places.iter().filter_map(|place| place.found.newest_ms).max(),
            delivery: weakest(places.iter().map(|place| place.namespace.delivery)),
            max_lag_ms: places.iter().map(|place| place.namespace.max_lag_ms).min().unwrap_or(0),
            messages: shares.into_iter().flat_map(|share| share.messages).collect(),
        })
    }

    /// Adds what follows a place to a channel's share of a page, up to `max`; returns how much.
    async fn fill(&self, place: &Place, share: &mut Share, max: Amount, begun: &mut Begun) -> Result<Amount> {
        let mut taken = Amount { messages: 0, bytes: 0 };
        loop {
            if let Some(gap) = share.gap {
                if begun.gap.is_some() || !share.messages.is_empty() {
                    // One gap a page, and before its messages: this one is found again from where the reader stands.
                    return Ok(taken);
                }
                begun.gap = Some((place.channel.clone(), gap));
                share.at = gap.until;
                share.gap = None;
            }
            let end = place.found.end;
            share.ended |= share.at.epoch == end.epoch && share.at.offset >= end.offset;
            let messages = max.messages - taken.messages;
            let bytes = max.bytes.saturating_sub(taken.bytes);
            if share.ended || messages == 0 || (bytes == 0 && !begun.is_empty) {
                return Ok(taken);
            }
            let limit = Limit { messages: messages.min(READ_MESSAGES_MAX), bytes };
            let rules = place.namespace.rules();
            let page = self.hub.broker.read(&place.channel, share.at, limit, &rules).await?;
            if page.gap.is_some() {
                share.gap = page.gap;
                continue;
            }
            share.ended = page.messages.is_empty();
            for message in page.messages {
                let weight = message.weight();
                // A broker gives one message, whatever its size; a page of many channels has no room for one of each.
                if weight > max.bytes.saturating_sub(taken.bytes) && !begun.is_empty {
                    return Ok(taken);
                }
                begun.is_empty = false;
                taken.messages += 1;
                taken.bytes += weight;
                share.at = message.position;
                share.messages.push(message);
            }
        }
    }
}

impl Amount {
    /// An equal part of it, for the first of so many.
    fn part(self, of: usize) -> Amount {
        Amount { messages: self.messages / of, bytes: self.bytes / of }
    }

    fn take(&mut self, taken: Amount) {
        self.messages -= taken.messages;
        self.bytes = self.bytes.saturating_sub(taken.bytes);
    }
}

impl Share {
    fn new(place: &Place) -> Self {
        Share { at: place.found.at, gap: place.found.gap, messages: Vec::new(), ended: false }
    }

    /// Where the reader stands who got this.
    fn place(&self) -> Position {
        self.gap.map_or(self.at, |gap| gap.after.unwrap_or(self.at))
    }
}

/// Whose turn is first: another channel for another cursor, and the same on every node.
fn turn(places: &[Place]) -> usize {
    let sum = places.iter().fold(0u64, |sum, place| sum.wrapping_add(place.found.at.offset));
    let mixed = sum.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    usize::try_from(mixed).unwrap_or(0) % places.len().max(1)
}
