//! What a run says: a row for each transport and guarantee, and what broke.

use std::collections::BTreeMap;

use serde::Serialize;

use super::judge::{Channel, Verdict, judge};
use super::node::Broker;
use super::plan::Plan;
use super::trial::Findings;
use crate::cli::Failure;
use crate::client::Transport;
use crate::proxy::Break;

/// Everything that a run found, as `--json` prints it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What kept the messages, on a node of its own.
    pub broker: Option<Broker>,
    /// How many nodes were started for the run.
    pub nodes: usize,
    /// For how long there were faults.
    pub seconds: f64,
    /// How often each fault happened.
    pub faults: BTreeMap<&'static str, usize>,
    /// Messages that were published.
    pub published: u64,
    /// And those with a 200.
    pub acknowledged: u64,
    /// How the path was faulty on purpose.
    #[serde(rename = "break")]
    pub breaks: Option<Break>,
    /// One for each transport and guarantee.
    pub rows: Vec<Row>,
    /// What broke, in words; nothing if all held.
    pub broken: Vec<String>,
    /// Whether all held.
    pub pass: bool,
}

/// What the readers of one transport were given of the channels with one guarantee.
#[derive(Debug, Serialize)]
pub struct Row {
    /// How they read.
    pub transport: &'static str,
    /// The guarantee.
    pub delivery: &'static str,
    /// How many readers.
    pub readers: usize,
    /// How often they connected again, over all their channels.
    pub reconnects: u64,
    /// Messages that were published to these channels.
    pub published: u64,
    /// And those with a 200.
    pub acknowledged: u64,
    /// Acknowledged and not given, over all readers; no gap says so.
    pub lost: u64,
    /// The same across a crash, at-most-once: allowed.
    pub lost_in_crash: u64,
    /// Given twice with one cursor, which a client removes: allowed.
    pub duplicated_on_the_wire: u64,
    /// Given twice with two cursors.
    pub duplicated_after_cursors: u64,
    /// The same where it is allowed.
    pub stored_again: u64,
    /// Given after a later one.
    pub out_of_order: u64,
    /// Gaps that were true.
    pub gaps_true: u64,
    /// Gaps that were not.
    pub gaps_untrue: u64,
    /// New logs that were not told.
    pub gaps_untold: u64,
    /// What nobody published.
    pub strange: u64,
    /// The longest time between two messages of a channel that one reader was given.
    pub longest_silence_ms: u32,
    /// Items that were spoilt on the way, by `--break`.
    pub spoilt: u64,
    /// Readers that were refused for good, and why.
    pub refused: Vec<String>,
    /// What broke.
    pub broken: Vec<String>,
}

impl Report {
    /// Judges a run.
    pub fn new(plan: &Plan, broker: Option<Broker>, findings: &Findings) -> Self {
        let mut faults = BTreeMap::new();
        findings.acts.iter().for_each(|act| *faults.entry(act.fault.name()).or_insert(0) += 1);
        let (published, acknowledged) = findings.ledger.totals();
        let mut rows = Vec::new();
        for transport in &plan.transports {
            for is_durable in [true, false] {
                if findings.channels.iter().any(|channel| channel.is_durable == is_durable) {
                    rows.push(Row::new(findings, *transport, is_durable));
                }
            }
        }
        let mut broken: Vec<String> = rows
            .iter()
            .flat_map(|row| {
                row.broken.iter().map(|what| format!("{}, {}: {what}", row.transport, row.delivery))
            })
            .collect();
        if !findings.is_settled && broken.is_empty() {
            broken.push("some readers did not come to the end in time, after the last fault".into());
        }
        Self {
            seed: plan.seed,
            broker,
            nodes: findings.nodes,
            seconds: plan.duration.as_secs_f64(),
            faults,
            published,
            acknowledged,
            breaks: plan.breaks,
            rows,
            pass: broken.is_empty(),
            broken,
        }
    }

    /// Prints it, as a table or as one JSON object.
    ///
    /// # Errors
    ///
    /// If it cannot be made into JSON.
    pub fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            anstream::println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        let broker = self.broker.map_or("a node that was running", |broker| match broker {
            Broker::Memory => "in memory",
            Broker::Disk => "on disk",
            Broker::Redis => "on Redis",
            Broker::Nats => "on a NATS server",
        });
        let own = match self.nodes {
            0 => "",
            1 => "a node of its own, ",
            _ => "nodes of its own, ",
        };
        let count = if self.nodes > 1 { format!("{} ", self.nodes) } else { String::new() };
        anstream::println!("{count}{own}{broker}; {} s of faults, --seed {}", self.seconds, self.seed);
        let faults: Vec<_> = self.faults.iter().map(|(name, count)| format!("{count} {name}")).collect();
        anstream::println!("faults: {}\n", if faults.is_empty() { "none".into() } else { faults.join(", ") });
        anstream::println!("{}", table(&self.rows));
        for what in &self.broken {
            anstream::println!("broken  {what}");
        }
        if let Some(mode) = self.breaks {
            let spoilt: u64 = self.rows.iter().map(|row| row.spoilt).sum();
            anstream::println!("--break {}: {spoilt} items spoilt on the way to the readers", mode.name());
            for row in self.rows.iter().filter(|row| row.broken.is_empty()) {
                anstream::println!(
                    "not noticed on {}, {} ({} spoilt)",
                    row.transport,
                    row.delivery,
                    row.spoilt
                );
            }
        } else if self.pass {
            anstream::println!("All guarantees held.");
        }
        Ok(())
    }

    /// What the command ends with.
    ///
    /// # Errors
    ///
    /// If a guarantee broke, or could not be broken by a path that was to.
    pub fn verdict(&self) -> anyhow::Result<()> {
        let all = self.names().join(", ");
        match self.breaks {
            None if self.pass => Ok(()),
            None => Err(Failure::new(
                format!("a guarantee broke: {all}"),
                format!("run it again with --seed {} and report it", self.seed),
            )
            .into()),
            Some(mode) if self.rows.iter().all(|row| row.spoilt == 0) => Err(Failure::new(
                format!("--break {} found nothing to spoil, so this run proves nothing", mode.name()),
                "make --duration longer; responses in chunks cannot be spoilt",
            )
            .into()),
            // A check that did not notice is none: it ends as it would on a server that is as bad.
            Some(_) if self.pass => Ok(()),
            Some(mode) => Err(Failure::new(
                format!("caught: with --break {} a guarantee broke, as it must: {all}", mode.name()),
                "leave --break out to prove a node",
            )
            .into()),
        }
    }
}

impl Report {
    /// What broke, without numbers, each once.
    fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self
            .rows
            .iter()
            .flat_map(|row| &row.broken)
            .map(|what| what.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' '))
            .collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            names.extend(self.broken.iter().map(String::as_str));
        }
        names
    }
}

impl Row {
    fn new(findings: &Findings, transport: Transport, is_durable: bool) -> Self {
        let mut row = Self {
            transport: transport.name(),
            delivery: if is_durable { "at-least-once" } else { "at-most-once" },
            readers: 0,
            reconnects: 0,
            published: 0,
            acknowledged: 0,
            lost: 0,
            lost_in_crash: 0,
            duplicated_on_the_wire: 0,
            duplicated_after_cursors: 0,
            stored_again: 0,
            out_of_order: 0,
            gaps_true: 0,
            gaps_untrue: 0,
            gaps_untold: 0,
            strange: 0,
            longest_silence_ms: 0,
            spoilt: 0,
            refused: Vec::new(),
            broken: Vec::new(),
        };
        let sent: Vec<_> =
            (0..findings.channels.len()).map(|channel| findings.ledger.sent(channel)).collect();
        let is_of = |channel: usize| findings.channels[channel].is_durable == is_durable;
        for sent in sent.iter().enumerate().filter(|(channel, _)| is_of(*channel)).map(|(_, sent)| sent) {
            row.published += sent.len() as u64;
            row.acknowledged += sent.iter().filter(|sent| sent.is_acknowledged).count() as u64;
        }
        for (reader, spoilt) in &findings.readers {
            let view = reader.view();
            if view.transport != transport || !view.channels.iter().copied().any(is_of) {
                continue;
            }
            row.readers += 1;
            row.reconnects += reader.connects().saturating_sub(1);
            row.spoilt += spoilt;
            row.refused.extend(reader.end());
            reader.each_lane(|number, lane| {
                let channel = &findings.channels[number];
                if channel.is_durable != is_durable {
                    return;
                }
                let known = Channel {
                    is_durable,
                    sent: &sent[number],
                    until: channel.until,
                    kept: channel.kept.as_ref(),
                    node: findings.lives.as_ref(),
                };
                row.add(&judge(&known, lane.heard()));
                if lane.is_over_full() {
                    row.broken.push(format!("more came of {} than was published, without end", channel.name));
                }
            });
        }
        row.judge();
        row
    }

    fn add(&mut self, verdict: &Verdict) {
        self.lost += verdict.lost;
        self.lost_in_crash += verdict.lost_in_crash;
        self.duplicated_on_the_wire += verdict.wire_repeats;
        self.duplicated_after_cursors += verdict.repeats;
        self.stored_again += verdict.stored_again;
        self.out_of_order += verdict.disorder;
        self.gaps_true += verdict.gaps_true;
        self.gaps_untrue += verdict.gaps_untrue;
        self.gaps_untold += verdict.gaps_untold;
        self.strange += verdict.strange;
        self.longest_silence_ms = self.longest_silence_ms.max(verdict.silence_ms);
    }

    fn judge(&mut self) {
        let counts = [
            (self.lost, "lost"),
            (self.duplicated_after_cursors, "duplicated after cursors"),
            (self.out_of_order, "out of order"),
            (self.gaps_untrue, "gaps untrue"),
            (self.gaps_untold, "gaps untold"),
            (self.strange, "never published, or under the cursor of another"),
        ];
        let broken = counts.into_iter().filter(|(count, _)| *count > 0);
        self.broken.extend(broken.map(|(count, what)| format!("{count} {what}")));
        self.broken.extend(self.refused.iter().map(|why| format!("a reader was refused for good: {why}")));
    }
}

/// The rows, in columns as wide as they need.
fn table(rows: &[Row]) -> String {
    let head = [
        "transport",
        "delivery",
        "published",
        "acknowledged",
        "lost",
        "twice on wire",
        "twice after cursors",
        "out of order",
        "gaps true",
        "untrue",
        "untold",
        "longest silence",
        "reconnects",
    ];
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(rows.iter().map(|row| {
        [
            row.transport.to_owned(),
            row.delivery.to_owned(),
            row.published.to_string(),
            row.acknowledged.to_string(),
            row.lost.to_string(),
            row.duplicated_on_the_wire.to_string(),
            row.duplicated_after_cursors.to_string(),
            row.out_of_order.to_string(),
            row.gaps_true.to_string(),
            row.gaps_untrue.to_string(),
            row.gaps_untold.to_string(),
            format!("{:.1} s", f64::from(row.longest_silence_ms) / 1_000.0),
            row.reconnects.to_string(),
        ]
    }));
    let widths: Vec<usize> = (0..head.len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default())
        .collect();
    let mut text = String::new();
    for line in lines {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let space = " ".repeat(width - cell.chars().count());
            // Words begin, numbers end, at the same place.
            text += &if column < 2 { format!("{cell}{space}  ") } else { format!("{space}{cell}  ") };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}
