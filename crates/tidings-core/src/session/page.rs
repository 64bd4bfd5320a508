//! A page of messages, over one or many channels.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::broker::{BrokerError, answer};
use crate::error::Result;
use crate::log::{self, Channel, Cursor, Gap, Limit, Message, Position};
use crate::policy::Delivery;

use super::Session;
use super::start::{ASKED_AT_ONCE, Place, Want};
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
struct Share<'a> {
    place: &'a Place,
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
        // A page may be too small for a part of each channel: whose turn is first changes with the cursor.
        // Else a busy one would starve the others.
        let turn = turn(&places);
        loop {
            shares.iter_mut().for_each(|share| share.tell(&mut gap));
            let order = (turn..shares.len()).chain(0..turn);
            // Each round gives to those who have more what the others left.
            let open: Vec<_> = order.filter(|at| shares[*at].is_open()).take(left).collect();
            if open.is_empty() {
                break;
            }
            let parts = divide(left, open.len());
            let asked = open.iter().zip(parts).map(|(at, part)| (*at, part.min(READ_MESSAGES_MAX))).collect();
            for (at, part, page) in self.pages(&shares, asked).await? {
                left = left.saturating_sub(shares[at].take(page, part));
            }
        }
        let ends = shares.iter().map(|share| (&share.place.channel, share.reached()));
        Ok(Read {
            gap,
            cursor: Cursor::composite(ends),
            more: shares.iter().any(|share| !share.ended),
            newest_ms: places.iter().filter_map(|place| place.found.newest_ms).max(),
            delivery: weakest(places.iter().map(|place| place.namespace.delivery)),
            messages: shares.into_iter().flat_map(|share| share.messages).collect(),
        })
    }

    /// What follows in some of the channels, some of them at once; in the order in which they are asked.
    async fn pages(
        &self,
        shares: &[Share<'_>],
        asked: Vec<(usize, usize)>,
    ) -> Result<Vec<(usize, usize, log::Page)>, BrokerError> {
        let reads = asked.iter().map(|(at, part)| {
            let Share { place, at, .. } = &shares[*at];
            let limit = Limit { messages: *part, bytes: usize::MAX };
            answer(self.hub.broker.read(&place.channel, *at, limit, &place.rules))
        });
        let reads: Vec<_> = reads.collect();
        let pages: Vec<_> = stream::iter(reads).buffered(ASKED_AT_ONCE).try_collect().await?;
        Ok(asked.into_iter().zip(pages).map(|((at, part), page)| (at, part, page)).collect())
    }
}

impl<'a> Share<'a> {
    fn new(place: &'a Place) -> Self {
        Share { place, at: place.found.at, gap: place.found.gap, messages: Vec::new(), ended: false }
    }

    /// Tells its gap, if it has one. One gap a page, and before its messages: any other is found
    /// again from where the reader stands.
    fn tell(&mut self, told: &mut Option<(Channel, Gap)>) {
        if let Some(gap) = self.gap {
            if told.is_some() || !self.messages.is_empty() {
                return;
            }
            *told = Some((self.place.channel.clone(), gap));
            self.at = gap.until;
            self.gap = None;
        }
        let end = self.place.found.end;
        self.ended |= self.at.epoch == end.epoch && self.at.offset >= end.offset;
    }

    /// Whether it may have more for this page.
    fn is_open(&self) -> bool {
        !self.ended && self.gap.is_none()
    }

    /// Adds what was read, of at most `part` messages; returns how many that is.
    fn take(&mut self, page: log::Page, part: usize) -> usize {
        self.gap = page.gap;
        if self.gap.is_some() {
            return 0;
        }
        let count = page.messages.len();
        self.at = page.messages.last().map_or(self.at, |message| message.position);
        self.ended = count < part;
        self.messages.extend(page.messages);
        count
    }

    /// Where the reader stands who got this.
    fn reached(&self) -> Position {
        self.gap.map_or(self.at, |gap| gap.begins_at())
    }
}

/// Whose turn is first: another channel for another cursor, and the same on every node.
fn turn(places: &[Place]) -> usize {
    let sum = places.iter().fold(0u64, |sum, place| sum.wrapping_add(place.found.at.offset));
    let mixed = sum.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    usize::try_from(mixed).unwrap_or(0) % places.len().max(1)
}

/// `whole` in as many parts, which differ by one at most.
fn divide(whole: usize, parts: usize) -> impl Iterator<Item = usize> {
    (0..parts).map(move |at| whole / parts + usize::from(at < whole % parts))
}
