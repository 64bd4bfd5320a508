//! Runs of a node, alone or in pairs with the bare loop, and the verdict.

use serde::Serialize;

use super::child::Child;
use super::failure;
use super::flags::{Flags, FloorKind};
use super::measure::{Figures, frame_bytes, measure};
use super::plan::{Plan, Server};
use super::progress::Progress;
use super::report;
use super::stream::Transport;

/// One scenario: how many channels, each with how many subscribers.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// Channels.
    pub channels: usize,
    /// Subscribers of each.
    pub subscribers: usize,
    /// Messages in flight.
    pub window: usize,
    /// The loop to compare with, if the flags name none.
    pub floor: FloorKind,
    /// The largest ratio to it, if the flags name none.
    pub at_most: Option<f64>,
}

/// Everything that a run found, as `--json` prints it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The scenario's name.
    pub scenario: &'static str,
    /// Channels.
    pub channels: usize,
    /// Subscribers of each.
    pub subscribers: usize,
    /// Messages in flight.
    pub window: usize,
    /// Length of a message's data.
    pub bytes: usize,
    /// Messages a second, if paced.
    pub paced: Option<f64>,
    /// How subscribers read.
    pub transport: Transport,
    /// The node alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tidings: Option<Figures>,
    /// The node beside the loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

/// Interleaved runs of the loop and the node.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// Which loop.
    pub floor: FloorKind,
    /// The length of its frames: the node's, probed.
    pub frame_bytes: usize,
    /// Every pair.
    pub pairs: Vec<Pair>,
    /// The median of the loop's CPU for one delivery.
    pub floor_cpu_us: f64,
    /// The median of the node's.
    pub tidings_cpu_us: f64,
    /// The median of the pairs' ratios.
    pub ratio: f64,
    /// The largest ratio that passes.
    pub at_most: Option<f64>,
    /// Whether it passes.
    pub pass: Option<bool>,
}

/// A run of the loop, then one of the node.
#[derive(Debug, Serialize)]
pub struct Pair {
    /// The loop's.
    pub floor: Figures,
    /// The node's.
    pub tidings: Figures,
    /// CPU for one delivery: node by loop.
    pub ratio: f64,
}

/// The node that is measured, started here or found running.
struct Node {
    server: Server,
    pid: Option<u32>,
    /// Kept so that it lives.
    _child: Option<Child>,
}

impl Node {
    fn find(flags: &Flags) -> anyhow::Result<Self> {
        if let Some(url) = &flags.url {
            return Ok(Self {
                server: Server::of_url(url, flags.token.clone())?,
                pid: flags.pid,
                _child: None,
            });
        }
        let child = Child::tidings()?;
        // A node in --dev needs no credentials, and a token of another node would be refused.
        Ok(Self { server: Server::local(child.address(), None), pid: Some(child.pid()), _child: Some(child) })
    }
}

/// Runs a scenario and prints what it found.
pub fn run(scenario: Scenario, flags: &Flags) -> anyhow::Result<()> {
    if flags.pairs > 0 && flags.url.is_some() && flags.pid.is_none() {
        return Err(failure(
            "the CPU of a node that was not started here is measured by its process".into(),
            "--pid with the process id of the node",
        ));
    }
    let mut progress = Progress::new();
    progress.title(scenario.name.to_owned());
    // Checked before anything is started, so that a wrong flag is answered at once.
    let nowhere = Server::local(([127, 0, 0, 1], 9).into(), None);
    plan(scenario, flags, nowhere).check()?;
    super::limits::raise(scenario.channels * scenario.subscribers + scenario.window)?;
    let node = Node::find(flags)?;
    let plan = plan(scenario, flags, node.server.clone());
    let mut report = Report {
        scenario: scenario.name,
        channels: scenario.channels,
        subscribers: scenario.subscribers,
        window: scenario.window,
        bytes: flags.bytes,
        paced: flags.paced,
        transport: flags.transport,
        tidings: None,
        comparison: None,
    };
    if flags.pairs == 0 {
        report.tidings = Some(measure(plan, node.pid, flags.span(), &mut progress)?);
    } else {
        report.comparison = Some(compare(scenario, flags, &plan, node.pid, &mut progress)?);
    }
    progress.clear();
    report::print(&report, flags.json)?;
    verdict(&report)
}

fn plan(scenario: Scenario, flags: &Flags, server: Server) -> Plan {
    let channels = match scenario.channels {
        1 => vec![flags.channel.clone()],
        many => (0..many).map(|number| format!("{}-{number}", flags.channel)).collect(),
    };
    Plan {
        server,
        channels,
        subscribers: scenario.subscribers,
        window: scenario.window,
        bytes: flags.bytes,
        transport: flags.transport,
        deflate: false,
        paced: flags.paced,
    }
}

fn compare(
    scenario: Scenario,
    flags: &Flags,
    plan: &Plan,
    pid: Option<u32>,
    progress: &mut Progress,
) -> anyhow::Result<Comparison> {
    let kind = flags.floor.unwrap_or(scenario.floor);
    let frame_bytes = frame_bytes(plan, progress)?;
    let floor = Child::floor(frame_bytes, kind == FloorKind::Merge)?;
    let bare = Plan { server: Server::local(floor.address(), None), ..plan.clone() };
    let mut pairs = Vec::with_capacity(flags.pairs);
    for number in 1..=flags.pairs {
        progress.title(format!("pair {number} of {}, bare loop", flags.pairs));
        let below = measure(bare.clone(), Some(floor.pid()), flags.span(), progress)?;
        progress.title(format!("pair {number} of {}, tidings", flags.pairs));
        let above = measure(plan.clone(), pid, flags.span(), progress)?;
        let ratio = cpu(&above) / cpu(&below);
        pairs.push(Pair { floor: below, tidings: above, ratio });
    }
    let ratio = median(pairs.iter().map(|pair| pair.ratio));
    let at_most = flags.at_most.or(scenario.at_most);
    Ok(Comparison {
        floor: kind,
        frame_bytes,
        floor_cpu_us: median(pairs.iter().map(|pair| cpu(&pair.floor))),
        tidings_cpu_us: median(pairs.iter().map(|pair| cpu(&pair.tidings))),
        pairs,
        ratio,
        at_most,
        pass: at_most.map(|at_most| ratio <= at_most),
    })
}

fn verdict(report: &Report) -> anyhow::Result<()> {
    let Some(comparison) = &report.comparison else { return Ok(()) };
    let (Some(at_most), Some(false)) = (comparison.at_most, comparison.pass) else { return Ok(()) };
    Err(failure(
        format!("a delivery costs {:.2} times the bare loop, over the {at_most} allowed", comparison.ratio),
        "again on an idle machine with a release build, before a profile",
    ))
}

fn cpu(figures: &Figures) -> f64 {
    figures.cpu_us.unwrap_or(f64::NAN)
}

/// The middle of the values; between the two in the middle of an even number.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count => f64::midpoint(values[(count - 1) / 2], values[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert!(median([].into_iter()).is_nan());
    }
}
