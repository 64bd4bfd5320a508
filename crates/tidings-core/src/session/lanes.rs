//! What stands between readers and their door where a pace is asked for: the messages that wait, and for what.
//!
//! A lane takes in what its reader gives, and lets it out one by one. The reader runs ahead as far as what waits
//! has a bound; the place of the read, from which its client resumes, moves with what goes out. What was replaced
//! lies before the message that goes out next, and so behind the place that it brings.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::broker::Broker;
use crate::error::Error;
use crate::feed::Entry;
use crate::log::Position;
use crate::reader::{Item, Reader};

use super::pace::{Gate, Pace};
use super::waiting::Waiting;

/// The lanes of a subscription: one for each reader that is paced.
#[derive(Default)]
pub(super) struct Lanes {
    /// By the number of the reader.
    lanes: Vec<Option<Lane>>,
    /// One for all lanes that have none of their own.
    shared: Option<Gate>,
    /// Whether what goes through that gate next is in the batch already.
    is_taken: bool,
    /// Bytes of memory of all that waits.
    weight: usize,
    /// When the next gate opens for which somebody waits.
    opens: Option<Instant>,
    /// Whether somebody stopped in the middle, and goes on at the next turn.
    goes_on: bool,
    alarm: Option<Pin<Box<Sleep>>>,
    taken: Vec<Item>,
}

struct Lane {
    /// After the last item that began to go out.
    at: Position,
    gate: Option<Gate>,
    conflate: bool,
    waiting: Waiting,
    /// Messages taken in since one went out.
    ahead: usize,
}

/// Where a lane stopped taking in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopped {
    /// Nothing follows now, or nothing that may pass those that wait.
    AtEnd,
    /// The broker is asked.
    Reading,
    /// Others have their turn.
    Tired,
    /// What waits has reached its bound.
    Full,
}

/// Messages that a look takes in at once.
const LOOK: usize = 64;
/// Messages that a lane takes in at a turn: others wait meanwhile.
const TURN: usize = 256;
/// Messages that it takes in at most before one goes out, if one may: whoever is that far behind is sent something.
const AHEAD: usize = 4_096;
/// Bytes of memory of all that waits for one subscription, but for one message of each channel.
const BYTES_MAX: usize = 1 << 20;

impl Lanes {
    /// Gives lanes to these readers, with one gate for all of them.
    pub(super) fn pace_all<'a>(&mut self, readers: impl Iterator<Item = (u32, &'a Reader)>, pace: Pace) {
        self.shared = Some(Gate::new(pace));
        readers.for_each(|(number, reader)| self.put(number, Lane::new(reader, None, pace)));
    }

    /// Gives a reader a lane with a gate of its own.
    pub(super) fn pace(&mut self, number: u32, reader: &Reader, pace: Pace) {
        self.put(number, Lane::new(reader, Some(Gate::new(pace)), pace));
    }

    fn put(&mut self, number: u32, lane: Lane) {
        let number = number as usize;
        if self.lanes.len() <= number {
            self.lanes.resize_with(number + 1, || None);
        }
        self.lanes[number] = Some(lane);
    }

    /// Forgets the lane of a reader that has left.
    pub(super) fn remove(&mut self, number: u32) {
        if let Some(lane) = self.lanes.get_mut(number as usize).and_then(Option::take) {
            self.weight -= lane.waiting.weight();
        }
    }

    /// Whether a reader is paced.
    pub(super) fn has(&self, number: u32) -> bool {
        self.lane(number).is_some()
    }

    /// Whether messages of a reader wait.
    pub(super) fn holds(&self, number: u32) -> bool {
        self.lane(number).is_some_and(|lane| !lane.waiting.is_empty())
    }

    /// The place of a paced read.
    pub(super) fn at(&self, number: u32) -> Option<Position> {
        self.lane(number).map(|lane| lane.at)
    }

    fn lane(&self, number: u32) -> Option<&Lane> {
        self.lanes.get(number as usize)?.as_ref()
    }

    /// Begins a turn of all readers.
    pub(super) fn begin(&mut self) {
        (self.is_taken, self.opens, self.goes_on) = (false, None, false);
    }

    /// Ends it: has the task woken when a gate opens for which somebody waits.
    pub(super) fn rest(&mut self, cx: &mut Context<'_>) {
        let has_passed = self.opens.is_some_and(|opens| {
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(opens)));
            if alarm.deadline() != opens {
                alarm.as_mut().reset(opens);
            }
            alarm.as_mut().poll(cx).is_ready()
        });
        if has_passed || self.goes_on {
            cx.waker().wake_by_ref();
        }
    }

    /// Takes in what a reader gives, and lets out what may go, if anything may. Gives whether it did, or whether
    /// nothing more is to be done until the bell rings or something is let out.
    pub(super) fn poll(
        &mut self,
        number: u32,
        reader: &mut Reader,
        cx: &mut Context<'_>,
        broker: &Arc<dyn Broker>,
        entries: &mut Vec<Arc<Entry>>,
        out: impl FnOnce(Item),
    ) -> Result<bool, Error> {
        let (stopped, mark) = self.take_in(number, reader, cx, broker, entries)?;
        if let Some(mark) = mark {
            out(mark);
            return Ok(true);
        }
        let Some(lane) = self.lanes.get_mut(number as usize).and_then(Option::as_mut) else {
            return Ok(false);
        };
        self.goes_on |= stopped == Stopped::Tired;
        let Some(first) = lane.waiting.first() else { return Ok(false) };
        let may_be_replaced = matches!(stopped, Stopped::Reading | Stopped::Tired);
        if lane.conflate && may_be_replaced && lane.ahead < AHEAD {
            return Ok(false);
        }
        let (gate, is_taken) = match &lane.gate {
            Some(gate) => (Some(gate), false),
            None => (self.shared.as_ref(), self.is_taken),
        };
        if is_taken {
            return Ok(false);
        }
        let now = Instant::now();
        let opens = gate.map_or(now, Gate::opens);
        if opens > now {
            self.opens = Some(self.opens.map_or(opens, |earlier| earlier.min(opens)));
            return Ok(false);
        }
        out(Item::Entry(first.clone()));
        self.is_taken |= lane.gate.is_none();
        Ok(true)
    }

    /// Takes messages in as long as there is room. Gives the gap or the end that comes next where nothing waits.
    fn take_in(
        &mut self,
        number: u32,
        reader: &mut Reader,
        cx: &mut Context<'_>,
        broker: &Arc<dyn Broker>,
        entries: &mut Vec<Arc<Entry>>,
    ) -> Result<(Stopped, Option<Item>), Error> {
        let Some(Some(lane)) = self.lanes.get_mut(number as usize) else { return Ok((Stopped::AtEnd, None)) };
        let (weight, taken) = (&mut self.weight, &mut self.taken);
        let has_room =
            |lane: &Lane, weight| lane.waiting.has_room() && (lane.waiting.is_empty() || weight < BYTES_MAX);
        let mut left = TURN;
        loop {
            if !has_room(lane, *weight) {
                return Ok((Stopped::Full, None));
            }
            if left == 0 {
                return Ok((Stopped::Tired, None));
            }
            let polled = reader.poll_items(cx, broker, LOOK.min(left), entries, |item| taken.push(item));
            let more = match polled {
                Poll::Ready(more) => more?,
                Poll::Pending if reader.waits_for_broker() => return Ok((Stopped::Reading, None)),
                Poll::Pending => return Ok((Stopped::AtEnd, None)),
            };
            for item in taken.drain(..) {
                let Item::Entry(entry) = &item else {
                    // The reader gives it again, once it may pass.
                    return Ok((Stopped::AtEnd, lane.waiting.is_empty().then_some(item)));
                };
                if !has_room(lane, *weight) {
                    return Ok((Stopped::Full, None));
                }
                let before = lane.waiting.weight();
                lane.waiting.push(entry.clone());
                *weight = *weight + lane.waiting.weight() - before;
                lane.ahead += 1;
                left -= 1;
                reader.advance(&item);
            }
            if !more {
                return Ok((Stopped::AtEnd, None));
            }
        }
    }

    /// Moves the place of a read past an item that began to go out.
    pub(super) fn advance(&mut self, number: u32, reader: &mut Reader, item: &Item) {
        let Some(Some(lane)) = self.lanes.get_mut(number as usize) else { return };
        lane.at = item.position();
        match item {
            Item::Entry(entry) => {
                let before = lane.waiting.weight();
                lane.waiting.sent(entry.message.position.offset);
                self.weight = self.weight + lane.waiting.weight() - before;
                lane.ahead = 0;
                if let Some(gate) = lane.gate.as_mut().or(self.shared.as_mut()) {
                    gate.pass(Instant::now());
                }
            }
            Item::Gap(_) | Item::End(_) => reader.advance(item),
        }
    }
}

impl Lane {
    fn new(reader: &Reader, gate: Option<Gate>, pace: Pace) -> Self {
        let conflate = pace.conflates();
        Lane { at: reader.at(), gate, conflate, waiting: Waiting::new(conflate), ahead: 0 }
    }
}
