//! The load generator: one thread, many subscribers, a bounded number of messages in flight.

use std::time::{Duration, Instant};

use super::latency::Histogram;
use super::mark::{Finder, Mark};
use super::plan::Plan;
use super::poller::Poller;
use super::progress::Progress;
use super::publisher::{Receipt, Slot};
use super::stream::Got;
use super::subscriber::Subscriber;
use super::{clock, failure};

/// Connections opened at once. Over a listener's backlog, often 128, the kernel drops what asks for
/// one more, and that one waits a second before it asks again.
const BATCH: usize = 100;
/// Without any progress for so long, a message is lost.
const STALL: Duration = Duration::from_secs(15);
/// Tokens from here on are publishers.
const PUBLISHERS: u64 = 1 << 32;

/// What was seen since the last [`Load::reset`].
#[derive(Debug, Clone)]
pub struct Tally {
    /// Messages that went out.
    pub published: u64,
    /// Messages that came in, summed over subscribers.
    pub deliveries: u64,
    /// Bytes that came in, heads and greetings included.
    pub bytes: u64,
    /// From when a message was due to when a subscriber had it.
    pub latency: Histogram,
}

/// When a call of [`Load::run`] returns.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// After so long, messages still in flight.
    Time(Duration),
    /// When so many more messages went out and arrived everywhere.
    Messages(u64),
    /// When what is in flight has arrived everywhere.
    Drained,
    /// After so long, publishing nothing.
    Idle(Duration),
}

/// The subscribers and publishers of one run, connected.
#[derive(Debug)]
pub struct Load {
    /// What was seen.
    pub tally: Tally,
    plan: Plan,
    poller: Poller,
    subscribers: Vec<Subscriber>,
    slots: Vec<Slot>,
    heads: Vec<String>,
    finder: Finder,
    got: Got,
    buffer: Vec<u8>,
    epoch: Instant,
    next_seq: u32,
    due: Instant,
    moved: Instant,
}

impl Tally {
    fn new() -> Self {
        Self { published: 0, deliveries: 0, bytes: 0, latency: Histogram::new() }
    }
}

impl Load {
    /// Connects everyone, a batch at a time, and returns when each is greeted.
    pub fn connect(plan: Plan, progress: &mut Progress) -> anyhow::Result<Self> {
        plan.check()?;
        let mut run = [0; 4];
        getrandom::fill(&mut run)?;
        let now = clock::now();
        let mut load = Self {
            tally: Tally::new(),
            poller: Poller::new()?,
            subscribers: Vec::with_capacity(plan.connections()),
            slots: Vec::with_capacity(plan.window),
            heads: (0..plan.channels.len()).map(|channel| plan.publish(channel)).collect(),
            finder: Finder::new(u32::from_ne_bytes(run)),
            got: Got::default(),
            buffer: vec![0; 64 * 1024],
            epoch: now,
            next_seq: 0,
            due: now,
            moved: now,
            plan,
        };
        while load.subscribers.len() < load.plan.connections() {
            load.connect_batch()?;
            progress.show(format_args!(
                "{} of {} connected",
                load.subscribers.len(),
                load.plan.connections()
            ));
        }
        for token in 0..load.plan.window as u64 {
            let slot = Slot::connect(&load.plan)?;
            load.poller.add(&slot.socket, PUBLISHERS + token)?;
            load.slots.push(slot);
        }
        Ok(load)
    }

    /// Forgets what was seen so far; messages in flight stay in flight.
    pub fn reset(&mut self) {
        self.tally.published = 0;
        self.tally.deliveries = 0;
        self.tally.bytes = 0;
        self.tally.latency.clear();
    }

    /// Publishes and reads until the goal is reached.
    pub fn run(&mut self, goal: Goal) -> anyhow::Result<()> {
        let start = clock::now();
        self.due = start;
        self.moved = start;
        let limit = match goal {
            Goal::Time(_) => u64::MAX,
            Goal::Messages(count) => self.tally.published + count,
            Goal::Drained | Goal::Idle(_) => self.tally.published,
        };
        let end = match goal {
            Goal::Time(time) | Goal::Idle(time) => Some(start + time),
            Goal::Messages(_) | Goal::Drained => None,
        };
        let mut ready = Vec::with_capacity(256);
        self.publish_all(limit)?;
        loop {
            let now = clock::now();
            let drained = self.tally.published >= limit && self.slots.iter().all(Slot::is_free);
            if end.map_or(drained, |end| now >= end) {
                return Ok(());
            }
            self.poller.wait(Some(self.patience(now, end, limit)), &mut ready)?;
            for token in &ready {
                if *token >= PUBLISHERS {
                    self.answer((token - PUBLISHERS) as usize, limit)?;
                } else {
                    self.receive(*token as usize, limit)?;
                }
            }
            if self.plan.paced.is_some() {
                self.publish_all(limit)?;
            }
            if now.duration_since(self.moved) >= STALL {
                self.check_stall()?;
            }
        }
    }

    /// Waits for what is in flight, then proves that each channel's subscribers saw one order.
    pub fn finish(&mut self) -> anyhow::Result<()> {
        self.run(Goal::Drained)?;
        for channel in self.subscribers.chunk_by(|a, b| a.channel == b.channel) {
            if channel.iter().any(|subscriber| subscriber.order != channel[0].order) {
                return Err(failure(
                    format!("subscribers of {} saw different orders", self.plan.channels[channel[0].channel]),
                    "report it: order within a channel is promised",
                ));
            }
        }
        Ok(())
    }

    fn connect_batch(&mut self) -> anyhow::Result<()> {
        let first = self.subscribers.len();
        let last = (first + BATCH).min(self.plan.connections());
        for index in first..last {
            let (channel, place) = (index / self.plan.subscribers, index % self.plan.subscribers);
            let subscriber = Subscriber::connect(&self.plan, channel, place)?;
            self.poller.add(&subscriber.socket, index as u64)?;
            self.subscribers.push(subscriber);
        }
        let deadline = clock::now() + STALL;
        let mut ready = Vec::with_capacity(256);
        while !self.subscribers[first..].iter().all(|subscriber| subscriber.live) {
            self.poller.wait(Some(STALL), &mut ready)?;
            for token in &ready {
                self.receive(*token as usize, 0)?;
            }
            if clock::now() > deadline {
                return Err(failure(
                    format!("a subscriber was not greeted within {} s", STALL.as_secs()),
                    "fewer --subscribers, or look into the server's log",
                ));
            }
        }
        Ok(())
    }

    /// How long the next wait may last.
    fn patience(&self, now: Instant, end: Option<Instant>, limit: u64) -> Duration {
        let mut until = now + STALL;
        if let Some(end) = end {
            until = until.min(end);
        }
        if self.plan.paced.is_some() && self.tally.published < limit && self.due > now {
            until = until.min(self.due);
        }
        until.saturating_duration_since(now)
    }

    fn publish_all(&mut self, limit: u64) -> anyhow::Result<()> {
        (0..self.slots.len()).try_for_each(|slot| self.publish(slot, limit))
    }

    /// Publishes the next message where one may go out. It counts from when it was due, so that a
    /// server that makes the publisher wait cannot hide that.
    fn publish(&mut self, slot: usize, limit: u64) -> anyhow::Result<()> {
        if !self.slots[slot].is_free() || self.tally.published >= limit {
            return Ok(());
        }
        let now = clock::now();
        let mut due = now;
        if let Some(rate) = self.plan.paced {
            if self.due > now {
                return Ok(());
            }
            due = self.due;
            self.due += Duration::from_secs_f64(1.0 / rate);
        }
        let time_ns = due.saturating_duration_since(self.epoch).as_nanos() as u64;
        let mark = Mark { slot: slot as u16, seq: self.next_seq, time_ns };
        let channel = self.next_seq as usize % self.plan.channels.len();
        let run = self.finder.run();
        self.slots[slot].publish(&self.plan, channel, &self.heads[channel], mark, run)?;
        self.next_seq += 1;
        self.tally.published += 1;
        Ok(())
    }

    fn answer(&mut self, slot: usize, limit: u64) -> anyhow::Result<()> {
        self.slots[slot].read_answer(&mut self.buffer)?;
        self.moved = clock::now();
        self.publish(slot, limit)
    }

    fn receive(&mut self, index: usize, limit: u64) -> anyhow::Result<()> {
        let subscriber = &mut self.subscribers[index];
        let (got, finder) = (&mut self.got, &mut self.finder);
        self.tally.bytes += subscriber.read(self.plan.transport, &mut self.buffer, finder, got)? as u64;
        let (channel, place) = (subscriber.channel, subscriber.place);
        if got.gaps > 0 {
            return Err(failure(
                format!("the server announced a gap on {}", self.plan.channels[channel]),
                "a larger `retain` for the namespace, or a smaller --window",
            ));
        }
        let now = clock::now();
        let now_ns = now.duration_since(self.epoch).as_nanos() as u64;
        for which in 0..self.got.marks.len() {
            let mark = self.got.marks[which];
            let slot = usize::from(mark.slot);
            let receipt = match self.slots.get_mut(slot) {
                Some(slot) => slot.receive(mark.seq, channel, place),
                None => Receipt::Stray,
            };
            if receipt != Receipt::Fresh {
                return Err(failure(
                    format!("message {} came to a subscriber wrongly: {receipt:?}", mark.seq),
                    "report it: a message reaches each subscriber of its channel once",
                ));
            }
            self.tally.deliveries += 1;
            self.tally.latency.record(now_ns.saturating_sub(mark.time_ns));
            self.moved = now;
            if self.plan.paced.is_none() {
                self.publish(slot, limit)?;
            }
        }
        Ok(())
    }

    /// Names a message that is late; called when nothing has moved for a while.
    fn check_stall(&self) -> anyhow::Result<()> {
        let Some(slot) = self.slots.iter().find(|slot| !slot.is_free()) else { return Ok(()) };
        let answered = if slot.answered { "was answered" } else { "was not answered" };
        Err(failure(
            format!(
                "message {} {answered} and {} subscribers did not get it within {} s",
                slot.seq(),
                slot.waiting,
                STALL.as_secs()
            ),
            "look into the server's log; a smaller --window if it was at its limit",
        ))
    }
}
