//! The judge: from what was published and what one reader was given, to what was lost, came twice, came in
//! the wrong order, and whether each gap was true. A pure function, whose memory is that of its input.

use std::collections::{HashMap, HashSet};

use super::heard::{Heard, Why};
use super::ledger::Sent;

/// What is known of one channel when the run is over.
#[derive(Debug, Clone, Copy)]
pub struct Channel<'a> {
    /// Whether every message must come or be missed in a gap, also over the crash of a node.
    pub is_durable: bool,
    /// Its messages; number 1 is the first.
    pub sent: &'a [Sent],
    /// The number from which on messages were sent after the faults. Those may still be under way.
    pub until: u32,
    /// Which numbers can still be read, if that is known.
    pub kept: Option<&'a HashSet<u32>>,
    /// The node, if it is our own.
    pub node: Option<&'a Lives>,
}

/// What became of a node of our own.
#[derive(Debug, Default)]
pub struct Lives {
    /// When it ended and was started again, in this order.
    pub restarts: Vec<Restart>,
    /// Whether a new start begins new logs.
    pub forgets: bool,
}

impl Lives {
    /// Ends of something else that all nodes need.
    pub fn add(&mut self, restarts: &[Restart]) {
        self.restarts.extend_from_slice(restarts);
        self.restarts.sort_by_key(|restart| restart.told_ms);
    }
}

/// One end of a node, in milliseconds since the run began.
#[derive(Debug, Clone, Copy)]
pub struct Restart {
    /// When it was told to end.
    pub told_ms: u32,
    /// When it was gone. What was published later is in its next life.
    pub gone_ms: u32,
}

/// What one reader was given of one channel, judged.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Acknowledged, never given, and no gap says so.
    pub lost: u64,
    /// The same of at-most-once, across the crash of a node: allowed.
    pub lost_in_crash: u64,
    /// Given again with the same cursor, which a client removes: allowed.
    pub wire_repeats: u64,
    /// Given again with another cursor, which a client does not remove.
    pub repeats: u64,
    /// The same where it is allowed: stored again in the new log of a node that forgot, or sent twice
    /// at-most-once.
    pub stored_again: u64,
    /// Given after a later one.
    pub disorder: u64,
    /// Gaps for which messages were really missing.
    pub gaps_true: u64,
    /// Gaps that say what is not so.
    pub gaps_untrue: u64,
    /// New logs whose messages were given without a gap `epoch` before.
    pub gaps_untold: u64,
    /// Messages that nobody published, or a cursor that stands for two.
    pub strange: u64,
    /// The longest time between two messages.
    pub silence_ms: u32,
}

/// Judges.
pub fn judge(channel: &Channel<'_>, heard: &[Heard]) -> Verdict {
    let mut verdict = Verdict::default();
    let reading = Reading::of(channel, heard, &mut verdict);
    let covered = reading.judge_gaps(channel, &mut verdict);
    reading.count_losses(channel, &covered, &mut verdict);
    verdict.gaps_untold = count_untold(channel, heard);
    verdict
}

/// A message as it was given first.
#[derive(Debug, Clone, Copy)]
struct First {
    life: usize,
    at_ms: u32,
}

/// Gaps with no message between them, and the messages around them.
#[derive(Debug)]
struct Hole {
    /// The last number before.
    after: u32,
    /// The first number behind, if one came.
    before: Option<u32>,
    gaps: Vec<(Why, Option<u32>, u32)>,
}

#[derive(Debug)]
struct Reading {
    /// By number.
    firsts: Vec<Option<First>>,
    holes: Vec<Hole>,
}

impl Reading {
    fn of(channel: &Channel<'_>, heard: &[Heard], verdict: &mut Verdict) -> Self {
        let mut reading = Self { firsts: vec![None; channel.sent.len() + 1], holes: Vec::new() };
        let (mut places, mut texts) = (HashMap::new(), HashSet::new());
        let (mut newest, mut life, mut before_ms, mut is_in_hole) = (0, 0, None::<u32>, false);
        for heard in heard {
            match *heard {
                Heard::Message { number, place, at_ms } => {
                    let silence = before_ms.map_or(0, |before| at_ms.saturating_sub(before));
                    verdict.silence_ms = verdict.silence_ms.max(silence);
                    before_ms = Some(at_ms);
                    let known = number as usize;
                    let Some(first) = reading.firsts.get_mut(known).filter(|_| number > 0) else {
                        verdict.strange += 1;
                        continue;
                    };
                    match places.insert(place, number) {
                        Some(other) if other != number => verdict.strange += 1,
                        Some(_) => {
                            verdict.wire_repeats += 1;
                            continue;
                        }
                        None => {}
                    }
                    if let Some(first) = first {
                        // Sent twice at-most-once, or stored in the log that a node began anew.
                        let is_allowed = is_loose(channel, number) || first.life < life;
                        *(if is_allowed { &mut verdict.stored_again } else { &mut verdict.repeats }) += 1;
                        continue;
                    }
                    *first = Some(First { life, at_ms });
                    if number < newest && !is_loose(channel, number) {
                        verdict.disorder += 1;
                    }
                    newest = newest.max(number);
                    if std::mem::take(&mut is_in_hole)
                        && let Some(hole) = reading.holes.last_mut()
                    {
                        hole.before = Some(number);
                    }
                }
                Heard::Gap { why, missed, text, at_ms } => {
                    if !texts.insert(text) {
                        verdict.wire_repeats += 1;
                        continue;
                    }
                    life += usize::from(why == Why::Epoch);
                    if !std::mem::replace(&mut is_in_hole, true) {
                        reading.holes.push(Hole { after: newest, before: None, gaps: Vec::new() });
                    }
                    reading
                        .holes
                        .last_mut()
                        .into_iter()
                        .for_each(|hole| hole.gaps.push((why, missed, at_ms)));
                }
            }
        }
        reading
    }

    /// Judges each gap. Gives the numbers that gaps cover.
    fn judge_gaps(&self, channel: &Channel<'_>, verdict: &mut Verdict) -> HashSet<u32> {
        let mut covered = HashSet::new();
        let mut epochs = 0;
        for hole in &self.holes {
            let end = hole.before.unwrap_or(self.last() + 1);
            let missing: Vec<u32> =
                (hole.after + 1..end).filter(|number| self.firsts[*number as usize].is_none()).collect();
            let untrue = hole
                .gaps
                .iter()
                .filter(|(why, _, at_ms)| {
                    epochs += usize::from(*why == Why::Epoch);
                    !is_true(channel, *why, *at_ms, epochs)
                })
                .count();
            let is_whole = self.is_whole(channel, hole, &missing);
            let untrue = if is_whole { untrue } else { hole.gaps.len() };
            verdict.gaps_untrue += untrue as u64;
            verdict.gaps_true += (hole.gaps.len() - untrue) as u64;
            covered.extend(missing);
        }
        covered
    }

    /// Whether what gaps say together agrees with what is missing.
    fn is_whole(&self, channel: &Channel<'_>, hole: &Hole, missing: &[u32]) -> bool {
        let can_be_read = |number: &u32| channel.kept.is_some_and(|kept| kept.contains(number));
        if channel.is_durable && missing.iter().any(can_be_read) {
            return false;
        }
        if hole.gaps.iter().any(|(why, ..)| *why == Why::Epoch) {
            return true;
        }
        // Of a message that was sent twice at-most-once, a copy may be what is missing.
        let near = hole.after..=hole.before.unwrap_or(hole.after);
        if missing.is_empty() && !near.into_iter().any(|number| is_loose(channel, number)) {
            return false;
        }
        let acknowledged = missing.iter().filter(|number| is_acknowledged(channel, **number)).count();
        let said: Option<u64> = hole.gaps.iter().map(|(_, missed, _)| missed.map(u64::from)).sum();
        // What came after the last gap of a reader may be missing for want of time.
        hole.before.is_none() || said.is_none_or(|said| said >= acknowledged as u64)
    }

    fn count_losses(&self, channel: &Channel<'_>, covered: &HashSet<u32>, verdict: &mut Verdict) {
        let mut before_ms = 0;
        let mut run = 0;
        for (number, first) in (0..).zip(&self.firsts).skip(1) {
            match first {
                Some(first) => {
                    count_run(channel, run, before_ms..=first.at_ms, verdict);
                    (run, before_ms) = (0, first.at_ms);
                }
                None if number >= channel.until || covered.contains(&number) => {}
                None => run += u64::from(is_acknowledged(channel, number)),
            }
        }
        count_run(channel, run, before_ms..=u32::MAX, verdict);
    }

    fn last(&self) -> u32 {
        u32::try_from(self.firsts.len()).unwrap_or(u32::MAX) - 1
    }
}

/// A node that forgets must say so before it gives the first message of its new log.
fn count_untold(channel: &Channel<'_>, heard: &[Heard]) -> u64 {
    let Some(node) = channel.node.filter(|node| node.forgets) else { return 0 };
    let (mut told_ms, mut noticed, mut untold) = (0, 0, 0);
    for heard in heard {
        match *heard {
            Heard::Gap { why: Why::Epoch, at_ms, .. } => told_ms = at_ms,
            Heard::Gap { .. } => {}
            Heard::Message { number, .. } => {
                let began_ms = of(channel, number).map_or(0, |sent| sent.began_ms);
                let lives = node.restarts.partition_point(|restart| restart.gone_ms < began_ms);
                let Some(last) = node.restarts[..lives].last().filter(|_| lives > noticed) else { continue };
                noticed = lives;
                untold += u64::from(told_ms < last.told_ms);
            }
        }
    }
    untold
}

fn count_run(channel: &Channel<'_>, run: u64, when: std::ops::RangeInclusive<u32>, verdict: &mut Verdict) {
    let crash = channel.node.is_some_and(|lives| {
        lives.restarts.iter().any(|life| life.told_ms <= *when.end() && life.gone_ms >= *when.start())
    });
    if crash && !channel.is_durable {
        verdict.lost_in_crash += run;
    } else {
        verdict.lost += run;
    }
}

/// Whether a gap may say so at all: the `epochs`-th of its kind, if it is one of those.
fn is_true(channel: &Channel<'_>, why: Why, at_ms: u32, epochs: usize) -> bool {
    match (why, channel.node) {
        (Why::Expired, _) => true,
        (Why::Lagged, _) => !channel.is_durable,
        (Why::Epoch, None) => true,
        (Why::Epoch, Some(node)) => {
            // Only what forgets begins a new log, and it tells each reader once.
            let lives = node.restarts.iter().filter(|restart| restart.told_ms <= at_ms).count();
            (node.forgets || !channel.is_durable) && epochs <= lives
        }
        (Why::Other, _) => false,
    }
}

/// Whether a message may come twice, and at any time: sent again, to a namespace that does not mind.
fn is_loose(channel: &Channel<'_>, number: u32) -> bool {
    !channel.is_durable && of(channel, number).is_some_and(|sent| sent.tries > 1)
}

fn is_acknowledged(channel: &Channel<'_>, number: u32) -> bool {
    of(channel, number).is_some_and(|sent| sent.is_acknowledged)
}

fn of<'a>(channel: &Channel<'a>, number: u32) -> Option<&'a Sent> {
    channel.sent.get((number as usize).checked_sub(1)?)
}

#[cfg(test)]
mod tests;
