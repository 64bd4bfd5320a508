//! What a person reads: small tables; what a program reads: one JSON object.

use super::compare::{Comparison, Report};
use super::flags::FloorKind;
use super::measure::Figures;
use super::memory;
use super::stream::Transport;

/// Prints the report of a load.
pub fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    if json {
        anstream::println!("{}", serde_json::to_string(report)?);
        return Ok(());
    }
    let pace = match report.paced {
        Some(rate) => format!("{rate} messages/s"),
        None => format!("{} in flight", report.window),
    };
    anstream::println!(
        "{}: {} × {}, {}, {} bytes, {pace}",
        report.scenario,
        count(report.channels, "channel"),
        count(report.subscribers, "subscriber"),
        name(report.transport),
        report.bytes,
    );
    if let Some(figures) = &report.tidings {
        print_alone(figures);
    }
    if let Some(comparison) = &report.comparison {
        print_pairs(comparison);
    }
    Ok(())
}

fn print_alone(figures: &Figures) {
    let row = |name: &str, value: String| anstream::println!("  {name:<28}{value}");
    match figures.cpu_us {
        Some(cpu) => row("server CPU a delivery", format!("{cpu:.2} µs")),
        None => row("server CPU a delivery", "unknown (needs --pid)".into()),
    }
    row("deliveries a second", format!("{:.0}", figures.deliveries_per_second));
    row("latency p50 / p99", format!("{:.2} / {:.2} ms", figures.p50_ms, figures.p99_ms));
    row("bytes a delivery", format!("{:.0}", figures.bytes_per_delivery));
    row("cores: server, load, other", cores(figures));
    row("lost, doubled", "0, 0".into());
    if figures.disturbed {
        anstream::println!("Other processes used 0.1 core or more: read these figures with care.");
    }
}

fn cores(figures: &Figures) -> String {
    let known = |cores: Option<f64>| cores.map_or("?".to_owned(), |cores| format!("{cores:.2}"));
    format!("{}, {:.2}, {}", known(figures.server_cores), figures.load_cores, known(figures.other_cores))
}

fn print_pairs(comparison: &Comparison) {
    let kind = match comparison.floor {
        FloorKind::Plain => "one send() a message",
        FloorKind::Merge => "all that is pending in one send()",
    };
    anstream::println!("floor: a bare epoll loop, {kind}, {} bytes a message", comparison.frame_bytes);
    anstream::println!("µs: server CPU a delivery; other: cores used by other processes during each run\n");
    anstream::println!(
        "{:<7}{:>9}{:>9}{:>7}{:>16}{:>16}{:>14}{:>14}  {:<12}",
        "pair",
        "floor µs",
        "µs",
        "ratio",
        "floor per s",
        "per s",
        "floor p50 ms",
        "p50 ms",
        "other"
    );
    let unknown = f64::NAN;
    for (number, pair) in comparison.pairs.iter().enumerate() {
        let (floor, tidings) = (&pair.floor, &pair.tidings);
        let mark = if floor.disturbed || tidings.disturbed { " *" } else { "" };
        anstream::println!(
            "{:<7}{:>9.2}{:>9.2}{:>7.2}{:>16.0}{:>16.0}{:>14.2}{:>14.2}  {:.2} / {:.2}{mark}",
            number + 1,
            floor.cpu_us.unwrap_or(unknown),
            tidings.cpu_us.unwrap_or(unknown),
            pair.ratio,
            floor.deliveries_per_second,
            tidings.deliveries_per_second,
            floor.p50_ms,
            tidings.p50_ms,
            floor.other_cores.unwrap_or(unknown),
            tidings.other_cores.unwrap_or(unknown),
        );
    }
    anstream::println!(
        "{:<7}{:>9.2}{:>9.2}{:>7.2}\n",
        "median",
        comparison.floor_cpu_us,
        comparison.tidings_cpu_us,
        comparison.ratio
    );
    let disturbed =
        comparison.pairs.iter().filter(|pair| pair.floor.disturbed || pair.tidings.disturbed).count();
    if disturbed > 0 {
        anstream::println!("* Other processes used 0.1 core or more: read these {disturbed} with care.");
    }
    anstream::println!("Nothing was lost or doubled, and each channel's subscribers saw one order.");
    if let (Some(at_most), Some(pass)) = (comparison.at_most, comparison.pass) {
        anstream::println!("{}: median ratio {:.2}, at most {at_most}", word(pass), comparison.ratio);
    }
}

/// Prints the report of `memory`.
pub fn print_memory(report: &memory::Report, json: bool) -> anyhow::Result<()> {
    if json {
        anstream::println!("{}", serde_json::to_string(report)?);
        return Ok(());
    }
    anstream::println!(
        "memory: {} on one channel, {} each, then {} s idle; resident KiB of the {} process\n",
        count(report.connections, "subscriber"),
        count(report.messages as usize, "message"),
        report.idle_s,
        report.server,
    );
    anstream::println!(
        "{:<11}{:>9}{:>11}{:>9}{:>9}{:>22}",
        "transport",
        "before",
        "connected",
        "busy",
        "idle",
        "bytes a connection"
    );
    for kind in &report.kinds {
        anstream::println!(
            "{:<11}{:>9}{:>11}{:>9}{:>9}{:>22}",
            name(kind.transport),
            kind.before_bytes / 1024,
            kind.connected_bytes / 1024,
            kind.busy_bytes / 1024,
            kind.idle_bytes / 1024,
            kind.per_connection_bytes,
        );
    }
    anstream::println!("\n{}: at most {} bytes a connection", word(report.pass), report.at_most_bytes);
    Ok(())
}

fn word(pass: bool) -> &'static str {
    if pass { "PASS" } else { "FAIL" }
}

fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Ws => "WebSocket",
        Transport::Sse => "SSE",
    }
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
