//! The flags that `fanout` and `many-channels` share.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;
use url::Url;

use super::measure::Span;
use super::stream::Transport;

/// How to run, against which server, and what to make of it.
#[derive(Debug, Clone, Args)]
pub struct Flags {
    /// Length of a message's data.
    #[arg(long, default_value_t = 128)]
    pub bytes: usize,
    /// How long to measure.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// How long to run before that.
    #[arg(long, default_value_t = 1.0)]
    pub warm_up: f64,
    /// How subscribers read.
    #[arg(long, value_enum, default_value = "ws")]
    pub transport: Transport,
    /// Publish so many messages a second, instead of the next when one has arrived everywhere.
    #[arg(long, value_name = "RATE")]
    pub paced: Option<f64>,
    /// The channel (`many-channels` appends a number).
    #[arg(long, default_value = "durable:bench")]
    pub channel: String,
    /// A node that runs already [default: one is started for the run].
    #[arg(long)]
    pub url: Option<Url>,
    /// The process of that node, to measure its CPU.
    #[arg(long, requires = "url")]
    pub pid: Option<u32>,
    /// An API key, where the node wants one.
    #[arg(long, env = "TIDINGS_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Compare with the bare epoll loop: so many pairs of runs, one after the other.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub pairs: usize,
    /// Fail if the median ratio to the loop is over this [default: 1.25 for a window of one
    /// message, 1.0 for more; none if paced or over many channels].
    #[arg(long, value_name = "RATIO", requires = "pairs")]
    pub at_most: Option<f64>,
    /// What the loop does with messages that are pending together [default: plain for a window
    /// of one message, merge for more; plain if paced or over many channels].
    #[arg(long, value_enum, requires = "pairs")]
    pub floor: Option<FloorKind>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What the bare loop does with messages that are pending together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FloorKind {
    /// One send() a message and subscriber.
    Plain,
    /// One send() a subscriber for all that is pending.
    Merge,
}

impl Flags {
    /// How long a run takes.
    pub fn span(&self) -> Span {
        let duration = |seconds: f64| Duration::from_secs_f64(seconds.clamp(0.0, 86_400.0));
        Span { warm_up: duration(self.warm_up), measured: duration(self.seconds.max(0.1)) }
    }
}
