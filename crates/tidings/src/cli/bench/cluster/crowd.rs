//! The readers of one node: a process of their own, so that no process needs more files than it may have.
//!
//! It says `connected` on standard output when all are greeted, then one JSON line for each message that all
//! of them got. It ends with its standard input.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::mark::Finder;
use super::super::poller::Poller;
use super::super::stream::{Got, Transport};
use super::super::subscriber::Subscriber;
use super::super::{clock, failure, limits};
use super::CHANNEL;
use super::across::plan;

/// The flags of `tidings bench crowd`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The node.
    #[arg(long)]
    address: SocketAddr,
    /// Readers, in turns WebSockets and event streams.
    #[arg(long)]
    count: usize,
    /// The number in the marks of the run.
    #[arg(long)]
    run: u32,
}

/// A message that all readers of a process got.
#[derive(Debug, Serialize, Deserialize)]
pub struct Received {
    /// Its number.
    pub seq: u32,
    /// How long it took to each reader, in microseconds, in no order.
    pub took_us: Vec<u32>,
}

/// Connections opened at once, within a listener's backlog.
const BATCH: usize = 100;
/// A reader that is not greeted for so long will not be.
const GREETING_MAX: Duration = Duration::from_secs(60);
/// The token of standard input.
const INPUT: u64 = u64::MAX;

struct Crowd {
    readers: Vec<(Subscriber, Transport)>,
    poller: Poller,
    finder: Finder,
    got: Got,
    buffer: Vec<u8>,
    /// Of each message that is under way: to whom it came when, and how long it took.
    under_way: BTreeMap<u32, Vec<u32>>,
    next: Vec<u32>,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    limits::raise(args.count)?;
    let mut crowd = Crowd {
        readers: Vec::with_capacity(args.count),
        poller: Poller::new()?,
        finder: Finder::new(args.run),
        got: Got::default(),
        buffer: vec![0; 64 * 1024],
        under_way: BTreeMap::new(),
        next: vec![0; args.count],
    };
    let plans = [Transport::Ws, Transport::Sse].map(|transport| plan(args.address, CHANNEL, transport, 1));
    while crowd.readers.len() < args.count {
        let first = crowd.readers.len();
        for index in first..(first + BATCH).min(args.count) {
            let plan = &plans[index % 2];
            let reader = Subscriber::connect(plan, 0, 0)?;
            crowd.poller.add(&reader.socket, index as u64)?;
            crowd.readers.push((reader, plan.transport));
        }
        let deadline = clock::now() + GREETING_MAX;
        while !crowd.readers[first..].iter().all(|(reader, _)| reader.live) {
            crowd.turn(Duration::from_secs(1))?;
            if clock::now() > deadline {
                return Err(failure(format!("reader {first} was not greeted"), "fewer --connections"));
            }
        }
    }
    say("connected")?;
    crowd.poller.add(std::io::stdin(), INPUT)?;
    while crowd.turn(Duration::from_secs(60))? {}
    Ok(())
}

fn say(line: &str) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}

impl Crowd {
    /// Reads what has come. False when standard input has ended.
    fn turn(&mut self, patience: Duration) -> anyhow::Result<bool> {
        let mut ready = Vec::with_capacity(256);
        self.poller.wait(Some(patience), &mut ready)?;
        for token in ready {
            if token == INPUT {
                return Ok(false);
            }
            self.read(token as usize)?;
        }
        Ok(true)
    }

    fn read(&mut self, index: usize) -> anyhow::Result<()> {
        let (reader, transport) = &mut self.readers[index];
        reader.read(*transport, &mut self.buffer, &mut self.finder, &mut self.got)?;
        let now = clock::shared_ns();
        for mark in &self.got.marks {
            if mark.seq != self.next[index] {
                let what = format!("reader {index} got message {}, not {}", mark.seq, self.next[index]);
                return Err(failure(what, "report it: each gets every message once, in one order"));
            }
            self.next[index] += 1;
            let us = u32::try_from(now.saturating_sub(mark.time_ns) / 1_000).unwrap_or(u32::MAX);
            let took_us = self.under_way.entry(mark.seq).or_default();
            took_us.push(us);
            if took_us.len() == self.readers.len() {
                let took_us = self.under_way.remove(&mark.seq).unwrap_or_default();
                say(&serde_json::to_string(&Received { seq: mark.seq, took_us })?)?;
            }
        }
        Ok(())
    }
}
