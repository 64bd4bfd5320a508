//! A page of messages, over one or many channels: as many as were asked for, as far as its bytes go.

use std::sync::Arc;

use futures_util::{StreamExt, stream};

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
    /// The channels that are closed, whose end this page reaches, and the place after it.
    pub ended: Vec<(Channel, Position)>,
    /// Where to read on: one place for each channel.
    pub cursor: Cursor,
    /// Whether more is there now.
    pub more: bool,
    /// When the newest message of these channels was stored.
    pub newest_ms: Option<u64>,
    /// How many channels it is of.
    pub channels: usize,
    /// Whether the end of one of them was reached that the reader's cursor had not reached.
    pub ends_newly: bool,
    /// The weakest guarantee of the channels.
    pub delivery: Delivery,
    /// Whether messages may have been replaced by newer ones with their key.
    pub conflated: bool,
    /// Milliseconds for which the socket of who reads it may take nothing.
    pub max_lag_ms: u64,
}

/// What is left of a page.
struct Room {
    messages: usize,
    /// Bytes of memory, as [`Message::weight`] counts them.
    bytes: usize,
    /// Whether nothing is in the page yet.
    is_whole: bool,
}

/// What one channel gives to a page.
struct Share<'a> {
    place: &'a Place,
    at: Position,
    /// What is missing at `at`, and not told yet.
    gap: Option<Gap>,
    /// What follows that gap. It was read with it: read apart, it may be gone by then, and so on for ever where
    /// messages come faster than pages are read.
    behind: log::Page,
    messages: Vec<Arc<Message>>,
    /// Whether there is no more now.
    drained: bool,
    /// Whether the channel is closed, and its end was reached.
    closed: bool,
}

/// Messages that are read at once from one channel for a page.
const READ_MESSAGES_MAX: usize = 1_000;
/// Bytes that the messages of a page hold, but for a first one that is larger.
const PAGE_BYTES_MAX: usize = 8 << 20;

impl Read {
    /// Whether all its channels are closed and read to their end.
    pub fn is_over(&self) -> bool {
        self.ended.len() == self.channels
    }

    /// The guarantee as it is stated to its client.
    pub fn stated(&self) -> &'static str {
        self.delivery.stated(self.conflated)
    }
}

impl Session {
    /// Reads a page of up to `limit` messages, at once.
    ///
    /// Its messages hold at most 8 MiB of memory, but for a first one that is larger. So a page may
    /// end below its limit before the end of its channels is reached: [`Read::more`] tells the two apart.
    pub async fn read(&self, want: Want, limit: usize) -> Result<Read> {
        let places = self.find(want).await?;
        let mut shares: Vec<_> = places.iter().map(Share::new).collect();
        let mut gap = None;
        let mut room = Room { messages: limit, bytes: PAGE_BYTES_MAX, is_whole: true };
        // A page may be too small for a part of each channel: whose turn is first changes with the cursor.
        // Else a busy one would starve the others.
        let turn = turn(&places);
        let mut fits = true;
        while fits {
            fits = shares.iter_mut().all(|share| share.tell(&mut gap, &mut room));
            if !fits {
                break;
            }
            let order = (turn..shares.len()).chain(0..turn);
            // Each round gives to those who have more what the others left.
            let open: Vec<_> = order.filter(|at| shares[*at].is_open()).take(room.places()).collect();
            if open.is_empty() {
                break;
            }
            fits = self.fill(&mut shares, &open, &mut room).await?;
        }
        let ends = shares.iter().map(|share| (&share.place.channel, share.reached()));
        Ok(Read {
            gap,
            cursor: Cursor::composite(ends),
            more: shares.iter().any(|share| !share.drained),
            ended: shares.iter().filter_map(Share::end).collect(),
            channels: places.len(),
            ends_newly: shares.iter().any(|share| share.closed && share.at != share.place.found.at),
            newest_ms: places.iter().filter_map(|place| place.found.newest_ms).max(),
            conflated: false,
            delivery: weakest(places.iter().map(|place| place.namespace.delivery)),
            max_lag_ms: places.iter().map(|place| place.namespace.max_lag_ms).min().unwrap_or(0),
            messages: shares.into_iter().flat_map(|share| share.messages).collect(),
        })
    }

    /// Adds what follows in the open channels, an equal part of the room for each, some of them read at
    /// once. False: a message did not fit, and with it the page is full.
    async fn fill(
        &self,
        shares: &mut [Share<'_>],
        open: &[usize],
        room: &mut Room,
    ) -> Result<bool, BrokerError> {
        let parts = divide(room.messages, open.len()).zip(divide(room.bytes, open.len()));
        let reads = open.iter().zip(parts).map(|(at, (messages, bytes))| {
            let (place, after) = (shares[*at].place, shares[*at].at);
            let limit = Limit { messages: messages.min(READ_MESSAGES_MAX), bytes };
            answer(self.hub.broker.read(&place.channel, after, limit, &place.rules))
        });
        let reads: Vec<_> = reads.collect();
        // Taken in order as they come: a part that is too large for the room is not held beside the others.
        let mut pages = stream::iter(open).zip(stream::iter(reads).buffered(ASKED_AT_ONCE));
        while let Some((at, page)) = pages.next().await {
            if !shares[*at].take(page?, room) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Room {
    /// In how many parts it can be divided, each with room for a message.
    fn places(&self) -> usize {
        if self.bytes == 0 { 0 } else { self.messages }
    }

    /// Takes the room of a message, if there is as much. There always is for the first one.
    fn take(&mut self, weight: usize) -> bool {
        if weight > self.bytes && !self.is_whole {
            return false;
        }
        self.is_whole = false;
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(weight);
        true
    }
}

impl<'a> Share<'a> {
    fn new(place: &'a Place) -> Self {
        Share {
            place,
            at: place.found.at,
            gap: place.found.gap,
            behind: log::Page::default(),
            messages: Vec::new(),
            drained: false,
            closed: false,
        }
    }

    /// Tells its gap, if it has one, and takes what follows it, as far as there is room; false where something is
    /// left out. One gap a page, and before its messages: any other is found again from where the reader stands.
    fn tell(&mut self, told: &mut Option<(Channel, Gap)>, room: &mut Room) -> bool {
        let behind = std::mem::take(&mut self.behind);
        if let Some(gap) = self.gap {
            let joined = match told {
                None => gap,
                // More went while the page was being read.
                Some((channel, before)) if *channel == self.place.channel && !behind.messages.is_empty() => {
                    before.and(gap)
                }
                Some(_) => return true,
            };
            if !self.messages.is_empty() {
                return true;
            }
            *told = Some((self.place.channel.clone(), joined));
            self.at = gap.until;
            self.gap = None;
        }
        let end = self.place.found.end;
        self.drained |= self.at.epoch == end.epoch && self.at.offset >= end.offset;
        self.closed |= self.place.found.closed && self.at == end;
        behind.messages.is_empty() || self.take(behind, room)
    }

    /// Whether it may have more for this page.
    fn is_open(&self) -> bool {
        !self.drained && self.gap.is_none()
    }

    /// Adds what was read, as far as there is room; false where something is left out.
    fn take(&mut self, page: log::Page, room: &mut Room) -> bool {
        if page.gap.is_some() {
            self.gap = page.gap;
            self.behind = log::Page { gap: None, ..page };
            return true;
        }
        // A page may be short because of its bytes: only an empty one is the end.
        self.drained = page.messages.is_empty() || page.end.is_some();
        let all = page.messages.into_iter().all(|message| {
            let fits = room.take(message.weight());
            if fits {
                self.at = message.position;
                self.messages.push(message);
            }
            fits
        });
        match page.end {
            Some(end) if all => (self.at, self.closed) = (end, true),
            _ => self.drained &= all,
        }
        all
    }

    /// The end of its channel, if that is closed and was reached.
    fn end(&self) -> Option<(Channel, Position)> {
        self.closed.then(|| (self.place.channel.clone(), self.at))
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
