//! One measured run: warmed up, then timed, then proved to have lost nothing.

use std::time::Duration;

use serde::Serialize;

use super::load::{Goal, Load};
use super::plan::Plan;
use super::process::{self, Snapshot};
use super::progress::Progress;

/// How long a run warms up and is measured.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Before anything counts.
    pub warm_up: Duration,
    /// What counts.
    pub measured: Duration,
}

/// What a run showed.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Figures {
    /// Server CPU for one delivery, in microseconds; unknown without the server's process.
    pub cpu_us: Option<f64>,
    /// Cores that the server used.
    pub server_cores: Option<f64>,
    /// Cores that the load generator used.
    pub load_cores: f64,
    /// Cores that everything else on the machine used.
    pub other_cores: Option<f64>,
    /// Whether that is so much that the run is to be read with care.
    pub disturbed: bool,
    /// Messages that went out.
    pub published: u64,
    /// Messages that came in, summed over subscribers.
    pub deliveries: u64,
    /// Deliveries a second.
    pub deliveries_per_second: f64,
    /// Bytes on the wire for one delivery.
    pub bytes_per_delivery: f64,
    /// Half of the deliveries took at most so many milliseconds from publish to receipt.
    pub p50_ms: f64,
    /// 99 of 100 did.
    pub p99_ms: f64,
}

/// Runs a plan against a server, whose CPU is measured if its process is known.
pub fn measure(plan: Plan, pid: Option<u32>, span: Span, progress: &mut Progress) -> anyhow::Result<Figures> {
    let mut load = Load::connect(plan, progress)?;
    progress.show(format_args!("warming up"));
    load.run(Goal::Time(span.warm_up))?;
    load.reset();
    progress.show(format_args!("measuring for {} s", span.measured.as_secs_f64()));
    let before = Snapshot::take(pid)?;
    load.run(Goal::Time(span.measured))?;
    let used = before.until_now()?;
    let tally = load.tally.clone();
    load.finish()?;

    let seconds = used.wall.as_secs_f64();
    let deliveries = tally.deliveries.max(1) as f64;
    let ms = |q| tally.latency.quantile(q).unwrap_or_default().as_secs_f64() * 1e3;
    Ok(Figures {
        cpu_us: used.server.map(|cpu| cpu.as_secs_f64() * 1e6 / deliveries),
        server_cores: used.server.map(|cpu| cpu.as_secs_f64() / seconds),
        load_cores: used.own_cores,
        other_cores: used.other_cores,
        disturbed: process::is_disturbed(used.other_cores),
        published: tally.published,
        deliveries: tally.deliveries,
        deliveries_per_second: tally.deliveries as f64 / seconds,
        bytes_per_delivery: tally.bytes as f64 / deliveries,
        p50_ms: ms(0.5),
        p99_ms: ms(0.99),
    })
}

/// How many bytes on the wire the server makes of one message.
pub fn frame_bytes(plan: &Plan, progress: &mut Progress) -> anyhow::Result<usize> {
    let mut plan = plan.clone();
    plan.channels.truncate(1);
    plan.subscribers = 1;
    plan.window = 1;
    plan.paced = None;
    let mut load = Load::connect(plan, progress)?;
    // The first may share its read with what follows the greeting.
    load.run(Goal::Messages(4))?;
    load.reset();
    load.run(Goal::Messages(16))?;
    Ok((load.tally.bytes / 16) as usize)
}
