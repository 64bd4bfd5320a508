//! The readers of a subscription, by number: who of them may have something, and whose turn it is.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::task::{Context, Poll};

use smallvec::SmallVec;
use tokio::runtime::Handle;

use crate::broker::Broker;
use crate::error::Error;
use crate::feed::{Bell, Entry};
use crate::log::{Channel, Position};
use crate::reader::{Item, Reader};

use super::lanes::Lanes;
use super::pace::Pace;

/// Readers on one bell. They may come and go; a number is given again once its reader has left.
pub(super) struct Readers {
    /// By number. Most streams read one channel: it stands here, and not behind a pointer.
    places: SmallVec<[Option<Reader>; 1]>,
    /// The numbers of all but the first, by channel: a client that names a thousand must not cost a look at each
    /// for each. The first stands alone in most, and needs no table.
    numbers: HashMap<Channel, u32>,
    /// Numbers of readers that have left, the lowest first.
    free: BinaryHeap<Reverse<u32>>,
    /// Readers that there is room for.
    room: usize,
    /// Bit by bit: readers that may have something.
    ready: SmallVec<[u64; 1]>,
    turn: u32,
    /// Those whose channel is closed, and who told so.
    ended: usize,
    /// Where a pace was asked for: most have none, and are not to pay for it.
    lanes: Option<Box<Lanes>>,
}

/// Items of several readers, in the order in which they are to go out.
#[derive(Debug, Default)]
pub struct Batch {
    /// Each item and the number of its reader.
    pub items: Vec<(u32, Item)>,
    /// Whether more may follow these at once. If not, the task is woken when something does.
    pub more: bool,
    entries: Vec<Arc<Entry>>,
}

impl Batch {
    /// Forgets the items and keeps the memory, if it is little.
    pub fn clear(&mut self) {
        self.items.clear();
        self.entries.clear();
        self.more = false;
    }
}

/// Readers that end in one go: so long a worker is held.
const ENDED_AT_ONCE: usize = 32;

async fn end(mut many: SmallVec<[Option<Reader>; 1]>) {
    while !many.is_empty() {
        many.truncate(many.len().saturating_sub(ENDED_AT_ONCE));
        // Behind all others that have something to do.
        tokio::task::yield_now().await;
    }
}

impl Readers {
    /// None yet; room for so many, whose bell has so many words.
    pub(super) fn new(room: usize, words: u32) -> Self {
        Readers {
            places: SmallVec::new(),
            numbers: HashMap::new(),
            free: BinaryHeap::new(),
            room,
            ready: SmallVec::from_elem(0, words as usize),
            turn: 0,
            ended: 0,
            lanes: None,
        }
    }

    /// Lets all who are there read at one pace, together.
    pub(super) fn pace_all(&mut self, pace: Pace) {
        let mut lanes = Box::<Lanes>::default();
        lanes.pace_all(self.numbered(), pace);
        self.lanes = Some(lanes);
    }

    /// Lets one read at a pace of its own.
    pub(super) fn pace(&mut self, number: u32, pace: Pace) {
        let Some(Some(reader)) = self.places.get(number as usize) else { return };
        self.lanes.get_or_insert_default().pace(number, reader, pace);
    }

    /// The number of the next who comes; `None` where there is no room.
    pub(super) fn next_number(&self) -> Option<u32> {
        let end =
            || Some(self.places.len()).filter(|at| *at < self.room).and_then(|at| u32::try_from(at).ok());
        self.free.peek().map(|Reverse(number)| *number).or_else(end)
    }

    /// Adds a reader under the number that was next.
    pub(super) fn add(&mut self, number: u32, reader: Reader) {
        if number > 0 {
            self.numbers.insert(reader.channel().clone(), number);
        }
        match self.places.get_mut(number as usize) {
            Some(place) => {
                self.free.pop();
                *place = Some(reader);
            }
            None => self.places.push(Some(reader)),
        }
    }

    /// Ends a reader.
    pub(super) fn remove(&mut self, number: u32) {
        let Some(reader) = self.places.get_mut(number as usize).and_then(Option::take) else { return };
        self.ended -= usize::from(reader.has_ended());
        if let Some(lanes) = &mut self.lanes {
            lanes.remove(number);
        }
        if self.numbers.get(reader.channel()) == Some(&number) {
            self.numbers.remove(reader.channel());
        }
        self.free.push(Reverse(number));
    }

    /// Ends them all: the many of one client in pieces, since others wait for each.
    pub(super) fn end(&mut self) {
        let many = std::mem::take(&mut self.places);
        if many.len() > ENDED_AT_ONCE
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(end(many));
        }
    }

    /// The number of the reader of a channel: a look at one, however many there are.
    pub(super) fn number(&self, channel: &Channel) -> Option<u32> {
        match self.get(0) {
            Some(first) if first.channel() == channel => Some(0),
            _ => self.numbers.get(channel).copied(),
        }
    }

    pub(super) fn get(&self, number: u32) -> Option<&Reader> {
        self.places.get(number as usize)?.as_ref()
    }

    /// The place of a read: after the last item of it that began to go out.
    pub(super) fn at(&self, number: u32) -> Option<Position> {
        let paced = self.lanes.as_ref().and_then(|lanes| lanes.at(number));
        paced.or_else(|| self.get(number).map(Reader::at))
    }

    /// The place of the read of a channel, and how many messages follow it, as far as that is known.
    pub(super) fn place(&self, channel: &Channel) -> Option<(Position, Option<usize>)> {
        let number = self.number(channel)?;
        let at = self.at(number)?;
        Some((at, self.get(number)?.after(at)))
    }

    /// Moves a reader past an item that began to go out.
    pub(super) fn advance(&mut self, number: u32, item: &Item) {
        if let Some(Some(reader)) = self.places.get_mut(number as usize) {
            match &mut self.lanes {
                Some(lanes) if lanes.has(number) => lanes.advance(number, reader, item),
                _ => reader.advance(item),
            }
            self.ended += usize::from(matches!(item, Item::End(_)));
        }
    }

    /// Those that told the end of their channel.
    pub(super) fn ended(&self) -> Vec<u32> {
        match self.ended {
            0 => Vec::new(),
            _ => self.numbered().filter(|(_, reader)| reader.has_ended()).map(|(number, _)| number).collect(),
        }
    }

    /// Whether all that are there have told their end, if there is one.
    pub(super) fn have_ended(&self) -> bool {
        self.ended > 0 && self.ended == self.numbered().count()
    }

    /// Those that are there, each with its number.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (u32, &Reader)> {
        (0..).zip(&self.places).filter_map(|(number, place)| Some((number, place.as_ref()?)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Reader> {
        self.places.iter_mut().flatten()
    }

    /// Fills `batch` with up to about `max` items that follow the readers' places.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        broker: &Arc<dyn Broker>,
        bell: &Bell,
        max: usize,
        batch: &mut Batch,
    ) -> Poll<Result<(), Error>> {
        self.take_rings(bell);
        if let Some(lanes) = &mut self.lanes {
            lanes.begin();
        }
        // The one who was served last is asked last, so that a busy channel starves no other.
        let (turn, readers) = (self.turn, self.places.len() as u32);
        for (from, until) in [(turn, readers), (0, turn)] {
            let mut at = from;
            while batch.items.len() < max
                && let Some(reader) = self.next_ready(at, until)
            {
                let before = batch.items.len();
                self.poll_one(reader, cx, broker, max - before, batch)?;
                if batch.items.len() > before {
                    self.turn = (reader + 1) % readers;
                }
                at = reader + 1;
            }
        }
        if let Some(lanes) = &mut self.lanes {
            lanes.rest(cx);
        }
        if batch.items.is_empty() {
            return Poll::Pending;
        }
        // Full: who was not asked may have something.
        batch.more |= batch.items.len() >= max;
        Poll::Ready(Ok(()))
    }

    /// The first ready reader of a range: a look at each word, not at each reader.
    fn next_ready(&self, from: u32, until: u32) -> Option<u32> {
        let mut at = from;
        while at < until {
            let bits = self.ready[(at / 64) as usize] >> (at % 64);
            if bits != 0 {
                let found = at + bits.trailing_zeros();
                return (found < until).then_some(found);
            }
            at = (at / 64 + 1) * 64;
        }
        None
    }

    fn poll_one(
        &mut self,
        reader: u32,
        cx: &mut Context<'_>,
        broker: &Arc<dyn Broker>,
        max: usize,
        batch: &mut Batch,
    ) -> Result<(), Error> {
        let (word, bit) = ((reader / 64) as usize, 1u64 << (reader % 64));
        let Batch { items, entries, more: may_follow } = batch;
        let Some(Some(at)) = self.places.get_mut(reader as usize) else { return Ok(()) };
        if let Some(lanes) = self.lanes.as_mut().filter(|lanes| lanes.has(reader)) {
            // Once it is let out another may follow, or its time be known.
            *may_follow |= lanes.poll(reader, at, cx, broker, entries, |item| items.push((reader, item)))?;
            return Ok(());
        }
        let polled = at.poll_items(cx, broker, max, entries, |item| {
            // Once it has gone out there may be nobody to wait for.
            *may_follow |= matches!(item, Item::End(_));
            items.push((reader, item));
        });
        match polled {
            Poll::Ready(Ok(more)) => {
                *may_follow |= more;
                Ok(())
            }
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => {
                if !at.waits_for_broker() {
                    self.ready[word] &= !bit;
                }
                Ok(())
            }
        }
    }

    /// Notes whose bells rang, and forgets who has nothing to expect but a ring.
    fn take_rings(&mut self, bell: &Bell) {
        for word in 0..bell.words() {
            let rung = bell.take(word);
            let ready = &mut self.ready[word as usize];
            *ready |= rung;
            let mut bits = *ready;
            while bits != 0 {
                let bit = bits & bits.wrapping_neg();
                bits ^= bit;
                let number = word * 64 + bit.trailing_zeros();
                match self.places.get_mut(number as usize) {
                    Some(Some(reader)) if rung & bit != 0 => reader.rung(),
                    Some(Some(reader)) if !reader.is_at_end() => {}
                    Some(Some(_)) if self.lanes.as_ref().is_some_and(|lanes| lanes.holds(number)) => {}
                    // It waits for its bell, or has left.
                    _ => *ready ^= bit,
                }
            }
        }
    }
}
