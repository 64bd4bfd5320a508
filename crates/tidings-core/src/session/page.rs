//! A page of messages, over one or many channels.

use std::sync::Arc;

use crate::error::Result;
use crate::log::{Channel, Cursor, Gap, Limit, Message, Position};
use crate::policy::Delivery;

use super::Session;
use super::start::{Place, Want};
use super::subscription::weakest;

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

/// Messages that are read at once from one channel for a page.
const READ_MESSAGES_MAX: usize = 1_000;

impl Session {
    /// Reads a page, at once.
    pub async fn read(&self, want: Want, limit: usize) -> Result<Read> {
        let places = self.find(want).await?;
        let mut shares: Vec<_> = places.iter().map(Share::new).collect();
        let mut gap = None;
        let mut left = limit;
        // A page may be too small for a part of each channel: which of them comes to its turn last,
        // and so has most to take, changes with the cursor. Else a busy one would starve the others.
        let turn = turn(&places);
        for step in 0..places.len() {
            let at = (turn + step) % places.len();
            let part = left / (places.len() - step);
            left -= self.fill(&places[at], &mut shares[at], part, &mut gap).await?;
        }
        // A second round gives busy channels what quiet ones left.
        for step in 0..places.len() {
            let at = (turn + step) % places.len();
            if left > 0 && !shares[at].ended {
                left -= self.fill(&places[at], &mut shares[at], left, &mut gap).await?;
            }
        }
        let ends = places.iter().zip(&shares).map(|(place, share)| (&place.channel, share.place()));
        Ok(Read {
            gap,
            cursor: Cursor::composite(ends),
            more: shares.iter().any(|share| !share.ended),
            newest_ms: places.iter().filter_map(|place| place.found.newest_ms).max(),
            delivery: weakest(places.iter().map(|place| place.namespace.delivery)),
            messages: shares.into_iter().flat_map(|share| share.messages).collect(),
        })
    }

    /// Adds what follows a place to a channel's share of a page, up to `max` messages; returns how many.
    async fn fill(
        &self,
        place: &Place,
        share: &mut Share,
        max: usize,
        told: &mut Option<(Channel, Gap)>,
    ) -> Result<usize> {
        let mut left = max;
        loop {
            if let Some(gap) = share.gap {
                if told.is_some() || !share.messages.is_empty() {
                    // One gap a page, and before its messages: this one is found again from where the reader stands.
                    return Ok(max - left);
                }
                *told = Some((place.channel.clone(), gap));
                share.at = gap.until;
                share.gap = None;
            }
            let end = place.found.end;
            share.ended |= share.at.epoch == end.epoch && share.at.offset >= end.offset;
            if left == 0 || share.ended {
                return Ok(max - left);
            }
            let limit = Limit { messages: left.min(READ_MESSAGES_MAX), bytes: usize::MAX };
            let rules = place.namespace.rules();
            let page = self.hub.broker.read(&place.channel, share.at, limit, &rules).await?;
            if page.gap.is_some() {
                share.gap = page.gap;
                continue;
            }
            share.at = page.messages.last().map_or(share.at, |message| message.position);
            share.ended = page.messages.len() < limit.messages;
            left -= page.messages.len();
            share.messages.extend(page.messages);
        }
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
