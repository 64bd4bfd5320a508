//! What is found: one row an attack, printed as a table that can go into a document as it is.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::super::process::Used;
use super::arena::Tally;
use super::beside::Latency;
use super::list::Attack;
use super::node::BROKER_BYTES;

/// How much longer messages may take during an attack.
const RATIO_MAX: f64 = 2.0;
/// What is always allowed on top: a few turns of the scheduler on cores that the node, its clients and the
/// attackers share. Twice a millisecond is no measure of a server.
const EXTRA_MS: f64 = 5.0;
/// What memory may grow by: a full broker, and as much again for what is under way.
const GROWTH_MAX: u64 = 2 * BROKER_BYTES;
/// Answers that are named in a table; the others are summed up.
const NAMED: usize = 5;

/// One attack, and what became of it.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub attack: &'static str,
    /// What it does.
    pub what: &'static str,
    /// Connections that it opened.
    pub sockets: u64,
    /// What attackers got, and how often.
    pub got: BTreeMap<String, u64>,
    /// Resident memory of the node before.
    pub before_bytes: u64,
    /// The most during the attack.
    pub peak_bytes: u64,
    /// Some time after it.
    pub after_bytes: u64,
    /// Latency of the well-behaved before it.
    pub before: Latency,
    /// During it.
    pub during: Option<Latency>,
    /// After it.
    pub after: Option<Latency>,
    /// Cores that the node used during it.
    pub node_cores: f64,
    /// Cores that clients and attackers used.
    pub bench_cores: f64,
    /// Cores that others used.
    pub other_cores: f64,
    /// What must not be; nothing if the attack was withstood.
    pub failures: Vec<String>,
}

/// Everything that was found, as `--json` prints it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `attacks`.
    pub scenario: &'static str,
    /// The well-behaved.
    pub clients: usize,
    /// How long each attack lasted.
    pub seconds: f64,
    /// One for each attack.
    pub rows: Vec<Row>,
    /// Whether all were withstood.
    pub pass: bool,
}

impl Row {
    /// What is known before the attack.
    pub fn new(attack: &Attack, before: Latency, before_bytes: u64) -> Self {
        Self {
            attack: attack.name,
            what: attack.what,
            sockets: 0,
            got: BTreeMap::new(),
            before_bytes,
            peak_bytes: 0,
            after_bytes: 0,
            before,
            during: None,
            after: None,
            node_cores: 0.0,
            bench_cores: 0.0,
            other_cores: 0.0,
            failures: Vec::new(),
        }
    }

    /// Notes who used the machine meanwhile.
    pub fn used(&mut self, used: &Used) {
        let wall = used.wall.as_secs_f64();
        self.node_cores = used.server.map_or(0.0, |server| server.as_secs_f64() / wall);
        self.bench_cores = used.own_cores;
        self.other_cores = used.other_cores.unwrap_or(0.0);
    }

    /// Notes what attackers did and got.
    pub fn tally(&mut self, tally: &Tally) {
        self.sockets = tally.sockets;
        self.got = tally.got.clone();
        self.failures.extend(tally.broken.iter().cloned());
    }

    /// Notes how often keys were fetched, and how often at once.
    pub fn fetches(&mut self, (all, at_once): (usize, usize)) {
        self.got.insert("fetches of keys".into(), all as u64);
        if at_once > 1 {
            self.failures.push(format!("{at_once} fetches of keys at once"));
        }
    }

    /// Holds the row against its bounds.
    pub fn judge(&mut self) {
        if let Some(during) = self.during {
            let most = f64::max(self.before.p99_ms * RATIO_MAX, self.before.p99_ms + EXTRA_MS);
            if during.p99_ms > most {
                self.failures.push(format!("p99 {:.1} ms, of at most {most:.1}", during.p99_ms));
            }
        }
        let growth = self.peak_bytes.saturating_sub(self.before_bytes);
        if growth > GROWTH_MAX {
            self.failures.push(format!("{} MiB more, of at most {}", growth >> 20, GROWTH_MAX >> 20));
        }
    }

    fn line(&self) -> String {
        let mib = |bytes: u64| format!("{:.0}", bytes as f64 / f64::from(1 << 20));
        let ms =
            |latency: Option<Latency>| latency.map_or("-".into(), |found| format!("{:.1}", found.p99_ms));
        let verdict = match self.failures.is_empty() {
            true => "withstood".to_owned(),
            false => format!("**failed**: {}", self.failures.join("; ")),
        };
        format!(
            "| {} | {} | {} | {} | {} / {} / {} | {:.1} / {} / {} | {:.2} | {verdict} |",
            self.attack,
            self.what,
            self.sockets,
            self.answers(),
            mib(self.before_bytes),
            mib(self.peak_bytes),
            mib(self.after_bytes),
            self.before.p99_ms,
            ms(self.during),
            ms(self.after),
            self.node_cores,
        )
    }

    /// What attackers got, the most frequent first.
    fn answers(&self) -> String {
        let mut all: Vec<_> = self.got.iter().collect();
        all.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
        let mut words: Vec<_> =
            all.iter().take(NAMED).map(|(what, times)| format!("{times} × {what}")).collect();
        let others: u64 = all.iter().skip(NAMED).map(|(_, times)| **times).sum();
        if others > 0 {
            words.push(format!("{others} others"));
        }
        if words.is_empty() { "nothing".into() } else { words.join(", ") }
    }
}

impl Report {
    /// Of all rows.
    pub fn new(clients: usize, time: Duration, rows: Vec<Row>) -> Self {
        let pass = rows.iter().all(|row| row.failures.is_empty());
        Self { scenario: "attacks", clients, seconds: time.as_secs_f64(), rows, pass }
    }

    /// The names of those that were not withstood.
    pub fn failed(&self) -> Vec<&'static str> {
        self.rows.iter().filter(|row| !row.failures.is_empty()).map(|row| row.attack).collect()
    }

    /// Prints it, as a table in Markdown or as JSON.
    pub fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            anstream::println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        anstream::println!(
            "{} well-behaved clients, 20 messages a second, {} s of each attack, of {} s before it and {} s after\n",
            self.clients,
            self.seconds,
            self.seconds,
            self.seconds / 2.0
        );
        anstream::println!(
            "| attack | is | sockets | what they got | resident MiB: before / peak / after | p99 ms: before / during / after | cores of the node | |"
        );
        anstream::println!("|---|---|---|---|---|---|---|---|");
        self.rows.iter().for_each(|row| anstream::println!("{}", row.line()));
        anstream::println!(
            "\nAllowed: a p99 of {RATIO_MAX} × before, or {EXTRA_MS} ms over it; {} MiB more; no message lost, doubled or \
             out of order, no client cut off.",
            GROWTH_MAX >> 20
        );
        let used = |cores: fn(&Row) -> f64| {
            let all: Vec<f64> = self.rows.iter().map(cores).collect();
            all.iter().copied().fold(0.0, f64::max)
        };
        anstream::println!(
            "Clients and attackers used {:.2} cores at most, other processes {:.2}.",
            used(|row| row.bench_cores),
            used(|row| row.other_cores)
        );
        Ok(())
    }
}
