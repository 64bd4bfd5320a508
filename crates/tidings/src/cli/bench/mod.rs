//! `tidings bench`: what a delivery and an idle subscriber cost, beside a bare epoll loop.
//!
//! A load generator (`load`) drives a server from outside and knows only the wire. The server is a
//! node, or the `floor`: an epoll loop that does nothing but write. Both are processes of their
//! own, whose CPU and memory are read from the kernel (`process`). docs/benchmarks.md says how to
//! read what it prints.

mod attacks;
mod certificate;
mod child;
mod clock;
mod cluster;
mod compare;
mod flags;
mod floor;
mod frame;
mod inflate;
mod latency;
mod limits;
mod link;
mod load;
mod mark;
mod measure;
mod memory;
mod plan;
mod poller;
mod process;
mod publisher;
mod report;
mod request;
mod stream;
mod subscriber;
#[cfg(test)]
mod tests;

use clap::Subcommand;

use super::{Failure, progress};
use compare::Scenario;
use flags::{Flags, FloorKind};

/// The flags of `tidings bench`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    tidings bench fanout                       one node, 1,000 subscribers, one message in flight\n  \
    tidings bench fanout --pairs 5             the same beside a bare epoll loop, with a verdict\n  \
    tidings bench fanout --pairs 5 --window 4  beside a loop that merges what is pending\n  \
    tidings bench fanout --paced 50 --url http://127.0.0.1:8080\n  \
    tidings bench many-channels --pairs 5      1,000 channels with one subscriber each\n  \
    tidings bench memory                       10,000 idle subscribers of each kind\n  \
    tidings bench cluster --broker redis       five nodes, 80,000 connections, and latency across nodes
  \
    tidings bench attacks                      what attacks do to 1,000 clients beside them\n\n\
    docs/benchmarks.md says what each measures and how to read it.")]
pub struct Args {
    #[command(subcommand)]
    command: Box<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One channel with many subscribers.
    #[command(after_help = "Examples:\n  \
        tidings bench fanout --subscribers 1000 --window 1 --bytes 128 --seconds 5\n  \
        tidings bench fanout --pairs 5 --at-most 1.25\n  \
        tidings bench fanout --transport sse --paced 50 --json")]
    Fanout(Fanout),
    /// Many channels with one subscriber each: a delivery is a publish, too.
    #[command(after_help = "Examples:\n  \
        tidings bench many-channels\n  \
        tidings bench many-channels --channels 200 --window 16 --pairs 5")]
    ManyChannels(ManyChannels),
    /// Resident memory of idle subscribers.
    Memory(memory::Args),
    /// Several nodes on one broker: memory, a broadcast to all, and latency from node to node.
    Cluster(cluster::Args),
    /// The readers of one node of a cluster: a process of their own, for its files.
    #[command(hide = true)]
    Crowd(cluster::CrowdArgs),
    /// What attacks do to the clients beside them.
    Attacks(attacks::Args),
    /// The bare epoll loop that the others compare with.
    #[command(hide = true)]
    Floor(floor::Args),
}

#[derive(Debug, clap::Args)]
struct Fanout {
    /// Subscribers of the channel.
    #[arg(long, default_value_t = 1000)]
    subscribers: usize,
    /// Messages in flight: the next goes out when one has arrived everywhere [default: 1, or 64 if
    /// paced].
    #[arg(long)]
    window: Option<usize>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, clap::Args)]
struct ManyChannels {
    /// Channels, with one subscriber each.
    #[arg(long, default_value_t = 1000)]
    channels: usize,
    /// Messages in flight over all channels.
    #[arg(long, default_value_t = 64)]
    window: usize,
    #[command(flatten)]
    flags: Flags,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<()> {
    match *args.command {
        Command::Fanout(fanout) => compare::run(fanout.scenario(), &fanout.flags),
        Command::ManyChannels(many) => compare::run(many.scenario(), &many.flags),
        Command::Memory(args) => memory::run(&args),
        Command::Cluster(args) => cluster::run(&args),
        Command::Crowd(args) => cluster::crowd(&args),
        Command::Attacks(args) => attacks::run(&args),
        Command::Floor(args) => floor::run(&args),
    }
}

impl Fanout {
    fn scenario(&self) -> Scenario {
        let paced = self.flags.paced.is_some();
        let window = self.window.unwrap_or(if paced { 64 } else { 1 });
        let (floor, at_most) = match window {
            _ if paced => (FloorKind::Plain, None),
            1 => (FloorKind::Plain, Some(1.25)),
            _ => (FloorKind::Merge, Some(1.0)),
        };
        Scenario { name: "fanout", channels: 1, subscribers: self.subscribers, window, floor, at_most }
    }
}

impl ManyChannels {
    fn scenario(&self) -> Scenario {
        let (channels, window) = (self.channels, self.window);
        let floor = FloorKind::Plain;
        Scenario { name: "many-channels", channels, subscribers: 1, window, floor, at_most: None }
    }
}

/// An error as the command line prints it: what is wrong, and what to do.
fn failure(what: String, advice: &str) -> anyhow::Error {
    Failure::new(what, advice).into()
}
