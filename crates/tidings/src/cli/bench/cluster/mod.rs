//! `tidings bench cluster`: several nodes that share a broker, and thousands of readers on each.
//!
//! ```text
//! this process ── publishes ─► nodes (a process each) ── one broker's server
//!      ▲                         │
//!      └─ when who had it ── crowds (a process a node): WebSockets and event streams
//! ```
//!
//! First, with nobody else connected, what a message takes from a client of one node to a client of another
//! (`across`), in turns with a raw client of the same server (`raw`). Then memory and broadcasts with all
//! readers connected.

mod across;
mod crowd;
mod crowds;
mod fleet;
mod raw;
mod report;

use clap::ValueEnum;
use serde::Serialize;

use std::path::PathBuf;
use std::time::Duration;

use super::latency::Histogram;
use super::mark::Mark;
use super::process::{Snapshot, resident_bytes};
use super::progress::Progress;
use super::{clock, failure, limits};
use crate::cli::server::Fsync;
use across::Publisher;
pub use crowd::{Args as CrowdArgs, run as crowd};
use crowds::Crowds;
use fleet::Fleet;
use report::{Across, Broadcasts, Memory, Report};

/// The flags of `tidings bench cluster`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    tidings bench cluster --broker redis\n  \
    tidings bench cluster --broker redis --fsync --connections 0     only from node to node
  \
    tidings bench cluster --broker nats --nats-server .tests/bin/nats-server\n  \
    tidings bench cluster --broker redis --nodes 2 --connections 1000 --broadcasts 5 --json")]
pub struct Args {
    /// What the nodes share; its server is started for the run.
    #[arg(long, value_enum)]
    broker: Broker,
    /// The server that `--broker nats` starts.
    #[arg(long, value_name = "PATH", default_value = "nats-server")]
    nats_server: PathBuf,
    /// Redis writes each change to its disk before it answers (`appendfsync always`), for both that are compared.
    #[arg(long)]
    fsync: bool,
    /// Nodes, each a process.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..=20))]
    nodes: u8,
    /// Readers over all nodes: half WebSockets, half event streams.
    #[arg(long, default_value_t = 80_000)]
    connections: usize,
    /// Messages to all of them, one after the other.
    #[arg(long, default_value_t = 20)]
    broadcasts: u32,
    /// Length of a message's data.
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    /// Messages from node to node in each of five rounds; 0 leaves that out.
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    across: u32,
    /// Fail if node to node takes more than so many times a raw client's time, at the median.
    #[arg(long, default_value_t = 3.0, value_name = "RATIO")]
    at_most: f64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A broker that several nodes share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Broker {
    /// redis-server, or valkey-server, without persistence
    Redis,
    /// nats-server with JetStream, as it is by default
    Nats,
}

/// Rounds of `across`, each beside one of the raw client.
const ROUNDS: usize = 5;
/// The channel of all readers.
pub const CHANNEL: &str = "bench:all";
/// A message that is not everywhere after so long is lost.
const BROADCAST_MAX: Duration = Duration::from_secs(60);
/// Between two broadcasts: what the one before has left behind is over by then.
const PAUSE: Duration = Duration::from_millis(500);

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let each = args.connections.div_ceil(usize::from(args.nodes));
    limits::raise(each)?;
    let mut progress = Progress::new();
    progress.title("cluster".into());
    progress.show(format_args!("starting {} nodes", args.nodes));
    let fsync = if args.fsync { Fsync::Always } else { Fsync::Never };
    let fleet = Fleet::start(args.broker, &args.nats_server, fsync, args.nodes)?;
    let across = match args.across {
        0 => None,
        count => Some(node_to_node(args, &fleet, count, &mut progress)?),
    };
    let (memory, broadcasts) = match args.connections {
        0 => (None, None),
        _ => {
            let (memory, broadcasts) = everybody(args, &fleet, each, &mut progress)?;
            (Some(memory), Some(broadcasts))
        }
    };
    progress.clear();
    let pass = across.as_ref().is_none_or(|across| across.ratio <= args.at_most);
    let report = Report {
        scenario: "cluster",
        broker: args.broker,
        nodes: args.nodes,
        across,
        memory,
        broadcasts,
        at_most: args.at_most,
        pass,
    };
    report.print(args.json)?;
    match pass {
        true => Ok(()),
        false => Err(failure(
            format!("from node to node takes more than {} times a raw client's time", args.at_most),
            "a release build on an idle machine",
        )),
    }
}

/// From a client of the first node to one of the second, in turns with a raw client.
fn node_to_node(args: &Args, fleet: &Fleet, count: u32, progress: &mut Progress) -> anyhow::Result<Across> {
    let mut raw = raw::connect(args.broker, fleet.server(), args.bytes)?;
    let mut ours = across::Pair::connect(fleet.address(0), fleet.address(1), args.bytes)?;
    // The first ones of everything take longer.
    raw.measure(count / 5 + 1)?;
    ours.measure(count / 5 + 1)?;
    let mut rounds = Vec::new();
    for round in 1..=ROUNDS {
        progress.show(format_args!("node to node, round {round} of {ROUNDS}"));
        let raw = raw.measure(count)?;
        rounds.push((raw, ours.measure(count)?));
    }
    Ok(Across::new(&rounds))
}

/// Connects all readers, reads the memory, and sends messages to all of them.
fn everybody(
    args: &Args,
    fleet: &Fleet,
    each: usize,
    progress: &mut Progress,
) -> anyhow::Result<(Memory, Broadcasts)> {
    let mut run = [0; 4];
    getrandom::fill(&mut run)?;
    let run = u32::from_ne_bytes(run);
    let before = fleet.resident()?;
    let free_before = report::available_bytes()?;
    let began = clock::now();
    let mut crowds = Crowds::start(fleet, run, each, progress)?;
    let connecting = began.elapsed();
    let connected = fleet.resident()?;
    let mut publisher = Publisher::connect(fleet.address(0))?;
    let mut all = Vec::new();
    let (mut cpu, mut broker_cpu) = (Duration::ZERO, Duration::ZERO);
    for seq in 0..=args.broadcasts {
        progress.show(format_args!("message {seq} of {} to all", args.broadcasts));
        std::thread::sleep(PAUSE);
        let nodes = fleet.pids().map(|pid| Snapshot::take(Some(pid))).collect::<anyhow::Result<Vec<_>>>()?;
        let server = Snapshot::take(Some(fleet.server_pid()))?;
        let mark = Mark { slot: 0, seq, time_ns: clock::shared_ns() };
        publisher.publish(CHANNEL, mark, run, args.bytes)?;
        let took_us = crowds.received(seq, BROADCAST_MAX)?;
        // The first one finds nothing ready, and does not count.
        if seq > 0 {
            for node in nodes {
                cpu += node.until_now()?.server.unwrap_or_default();
            }
            broker_cpu += server.until_now()?.server.unwrap_or_default();
            all.push(took_us);
        }
    }
    let count = all.len().max(1) as f64;
    let readers = crowds.len();
    let idle = fleet.resident()?;
    let memory = Memory {
        connections: readers,
        connecting_s: connecting.as_secs_f64(),
        before_bytes: before,
        connected_bytes: connected,
        idle_bytes: idle,
        per_connection_bytes: idle.saturating_sub(before) / readers.max(1) as u64,
        server_bytes: resident_bytes(fleet.server_pid())?,
        clients_bytes: crowds.resident()?,
        machine_bytes: free_before.saturating_sub(report::available_bytes()?),
        socket_buffers_bytes: report::socket_bytes()?,
    };
    let broadcasts =
        Broadcasts::new(&all, cpu.as_secs_f64() / count, broker_cpu.as_secs_f64() / count, readers);
    Ok((memory, broadcasts))
}

/// Durations in microseconds, as the histogram of the other benchmarks has them.
fn histogram(took_ns: &[u64]) -> Histogram {
    let mut histogram = Histogram::new();
    took_ns.iter().for_each(|ns| histogram.record(*ns));
    histogram
}
