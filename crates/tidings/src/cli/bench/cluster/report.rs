//! What a run says.

use std::fs;

use serde::Serialize;

use super::{Broker, histogram};

/// Everything that was found, as `--json` prints it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `cluster`.
    pub scenario: &'static str,
    /// What the nodes share.
    pub broker: Broker,
    /// How many they are.
    pub nodes: u8,
    /// From node to node.
    pub across: Option<Across>,
    /// Memory with all connected.
    pub memory: Option<Memory>,
    /// Messages to all.
    pub broadcasts: Option<Broadcasts>,
    /// The ratio that passes.
    pub at_most: f64,
    /// Whether it does.
    pub pass: bool,
}

/// What a message takes from a client of one node to one of another, beside a raw client.
#[derive(Debug, Serialize)]
pub struct Across {
    /// Each round: medians of the raw client and of two nodes in microseconds, and their ratio.
    pub rounds: Vec<Round>,
    /// The median of the ratios.
    pub ratio: f64,
}

/// One round.
#[derive(Debug, Serialize)]
pub struct Round {
    /// Median of the raw client.
    pub raw_p50_us: f64,
    /// 99 of 100 of the raw client.
    pub raw_p99_us: f64,
    /// Median from node to node.
    pub p50_us: f64,
    /// 99 of 100 from node to node.
    pub p99_us: f64,
    /// The two medians.
    pub ratio: f64,
}

/// Resident memory, of all processes of a kind together.
#[derive(Debug, Serialize)]
pub struct Memory {
    /// Readers.
    pub connections: usize,
    /// Seconds until all had connected.
    pub connecting_s: f64,
    /// Nodes, before the first connected.
    pub before_bytes: u64,
    /// Nodes, when all had.
    pub connected_bytes: u64,
    /// Nodes, after the broadcasts.
    pub idle_bytes: u64,
    /// Growth of the nodes for each connection.
    pub per_connection_bytes: u64,
    /// The broker's server.
    pub server_bytes: u64,
    /// The processes of the readers.
    pub clients_bytes: u64,
    /// What the whole machine has less to give than before: processes and kernel, both ends of each socket.
    pub machine_bytes: u64,
    /// Of it, what the kernel holds in buffers of sockets.
    pub socket_buffers_bytes: u64,
}

/// Messages to all readers: medians over them.
#[derive(Debug, Serialize)]
pub struct Broadcasts {
    /// How many there were.
    pub messages: usize,
    /// When the first reader had it, in milliseconds after it was sent.
    pub first_ms: f64,
    /// Half of the readers.
    pub p50_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// The last.
    pub last_ms: f64,
    /// The last reader of the slowest message.
    pub worst_ms: f64,
    /// CPU of all nodes for one message, in seconds.
    pub nodes_cpu_s: f64,
    /// The same for each delivery, in microseconds.
    pub delivery_cpu_us: f64,
    /// CPU of the broker's server for one message, in milliseconds.
    pub broker_cpu_ms: f64,
}

impl Across {
    /// From what each message took in each round, raw and from node to node, in nanoseconds.
    pub fn new(measured: &[(Vec<u64>, Vec<u64>)]) -> Self {
        let us = |took: &[u64], q: f64| histogram(took).quantile(q).unwrap_or_default().as_secs_f64() * 1e6;
        let rounds: Vec<_> = measured
            .iter()
            .map(|(raw, ours)| Round {
                raw_p50_us: us(raw, 0.5),
                raw_p99_us: us(raw, 0.99),
                p50_us: us(ours, 0.5),
                p99_us: us(ours, 0.99),
                ratio: us(ours, 0.5) / us(raw, 0.5).max(0.001),
            })
            .collect();
        let ratio = median(rounds.iter().map(|round| round.ratio));
        Self { rounds, ratio }
    }
}

impl Broadcasts {
    /// From how long each message took to each reader, in microseconds, sorted.
    pub fn new(all: &[Vec<u32>], nodes_cpu_s: f64, broker_cpu_s: f64, readers: usize) -> Self {
        let at = |q: f64| {
            let of = |took: &Vec<u32>| {
                let place = ((took.len() as f64 * q).ceil() as usize).clamp(1, took.len().max(1));
                f64::from(took.get(place - 1).copied().unwrap_or_default()) / 1e3
            };
            median(all.iter().map(of))
        };
        let worst = all.iter().filter_map(|took| took.last()).max().copied().unwrap_or_default();
        Self {
            messages: all.len(),
            first_ms: at(0.0),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            last_ms: at(1.0),
            worst_ms: f64::from(worst) / 1e3,
            nodes_cpu_s,
            delivery_cpu_us: nodes_cpu_s * 1e6 / readers.max(1) as f64,
            broker_cpu_ms: broker_cpu_s * 1e3,
        }
    }
}

impl Report {
    /// Prints it, in words or as one JSON object.
    pub fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            anstream::println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        let broker = if self.broker == Broker::Redis { "Redis" } else { "NATS" };
        anstream::println!("{} nodes on {broker}", self.nodes);
        if let Some(across) = &self.across {
            anstream::println!("\nnode to node, µs:  raw p50 / p99    here p50 / p99    ratio");
            for round in &across.rounds {
                let Round { raw_p50_us, raw_p99_us, p50_us, p99_us, ratio } = round;
                anstream::println!(
                    "                {raw_p50_us:>8.0} / {raw_p99_us:<8.0}{p50_us:>8.0} / {p99_us:<8.0}{ratio:>6.2}"
                );
            }
            anstream::println!("median ratio {:.2}, of at most {}", across.ratio, self.at_most);
        }
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        if let Some(memory) = &self.memory {
            anstream::println!(
                "\n{} connections in {:.1} s; resident MiB of all nodes: {:.0} before, {:.0} connected, \
                 {:.0} idle: {} bytes a connection\nbroker {:.0} MiB, clients {:.0} MiB, the whole machine \
                 {:.0} MiB more than before, of it {:.0} MiB buffers of sockets",
                memory.connections,
                memory.connecting_s,
                mib(memory.before_bytes),
                mib(memory.connected_bytes),
                mib(memory.idle_bytes),
                memory.per_connection_bytes,
                mib(memory.server_bytes),
                mib(memory.clients_bytes),
                mib(memory.machine_bytes),
                mib(memory.socket_buffers_bytes),
            );
        }
        if let Some(all) = &self.broadcasts {
            anstream::println!(
                "\none message to all, median of {}: first {:.1} ms, p50 {:.0} ms, p99 {:.0} ms, last {:.0} ms \
                 (worst {:.0} ms)\nCPU: nodes {:.2} s, {:.1} µs a delivery; broker {:.1} ms",
                all.messages,
                all.first_ms,
                all.p50_ms,
                all.p99_ms,
                all.last_ms,
                all.worst_ms,
                all.nodes_cpu_s,
                all.delivery_cpu_us,
                all.broker_cpu_ms,
            );
        }
        Ok(())
    }
}

/// The middle one; 0 of none.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// What the machine could still give to processes.
pub fn available_bytes() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    Ok(number(&text, "MemAvailable:").unwrap_or_default() * 1_024)
}

/// What the kernel holds in buffers of TCP sockets.
pub fn socket_bytes() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/net/sockstat")?;
    let pages = text.lines().find(|line| line.starts_with("TCP:")).and_then(|line| number(line, " mem "));
    Ok(pages.unwrap_or_default() * rustix::param::page_size() as u64)
}

/// The number after a word.
fn number(text: &str, word: &str) -> Option<u64> {
    text.split_once(word)?.1.split_whitespace().next()?.parse().ok()
}
