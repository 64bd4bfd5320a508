//! Advice in words.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::name;
use super::probe::{Held, Probe};
use crate::advise::{Advice, Cost, Situation};
use crate::client::Transport;

const HEAD: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const DIM: Style = Style::new().dimmed();

/// The whole answer, for a terminal.
pub(super) fn words(advice: &Advice, probe: Option<&Probe>) -> String {
    let mut text = String::new();
    if let Some(probe) = probe {
        text += &found(probe);
    }
    let ladder: Vec<_> = advice.decision.ladder.iter().map(|transport| transport.name()).collect();
    let _ =
        writeln!(text, "{GOOD}{}{GOOD:#}, {GOOD}{}{GOOD:#}", ladder.join(" → "), advice.decision.delivery);
    let _ = writeln!(text, "{DIM}{}{DIM:#}\n", situation(&advice.situation));
    for reason in &advice.decision.reasons {
        let _ = writeln!(text, "{:<11}{}", reason.of, reason.because);
    }
    let _ = writeln!(text, "\n{HEAD}What reading costs{HEAD:#}, all users together\n\n{}", costs(advice));
    let _ = writeln!(text, "{HEAD}tidings.toml{HEAD:#}\n\n{}", indented(&advice.configuration));
    let _ = writeln!(text, "{HEAD}In the page{HEAD:#}\n\n{}", indented(&advice.code));
    if !advice.turns.is_empty() {
        let _ = writeln!(text, "{HEAD}What would change the answer{HEAD:#}\n");
        for turn in &advice.turns {
            let _ = writeln!(text, "  if {}: {}", turn.when, turn.then);
        }
    }
    text
}

fn situation(situation: &Situation) -> String {
    let time = |seconds: f64| {
        humantime::format_duration(std::time::Duration::from_millis((seconds * 1_000.0).round() as u64))
            .to_string()
    };
    format!(
        "{} users; a change each {} for each, shown within {}; {} bytes; clients send: {}; loss: {}; network: {}",
        situation.users,
        time(situation.every_s),
        time(situation.fresh_s),
        situation.bytes,
        name(&situation.sends),
        name(&situation.loss),
        name(&situation.network)
    )
}

fn costs(advice: &Advice) -> String {
    let mut table = format!(
        "  {:<10} {:>11} {:>7} {:>11} {:>10} {:>10} {:>9} {:>7} {:>6}  {}\n",
        "",
        "requests/s",
        "empty",
        "connections",
        "out/s",
        "in/s",
        "memory",
        "cores",
        "nodes",
        "how old news is"
    );
    for transport in Transport::LADDER {
        let cost = advice.costs.get(transport);
        let mark = if transport == advice.decision.first() { "*" } else { " " };
        let _ = writeln!(
            table,
            "{mark} {:<10} {:>11} {:>7} {:>11} {:>10} {:>10} {:>9} {:>7} {:>6}  {}",
            transport.name(),
            cost.requests_per_s.round(),
            format!("{:.0} %", cost.empty * 100.0),
            cost.connections,
            size(cost.bytes_out_per_s),
            size(cost.bytes_in_per_s),
            size(cost.memory_bytes),
            cores(&cost),
            cost.nodes,
            age(&cost)
        );
    }
    table
        + "  Without publishing, TCP and TLS. Memory is the node's; the kernel's socket buffers come on top.\n"
}

fn age(cost: &Cost) -> String {
    match cost.age_max_s > 0.0 {
        true => format!("{:.1} s in the mean, {:.1} s at most", cost.age_mean_s, cost.age_max_s),
        false => "the way alone".into(),
    }
}

fn cores(cost: &Cost) -> String {
    if cost.cores < 0.01 { "<0.01".into() } else { format!("{:.2}", cost.cores) }
}

/// Bytes, in units of 1,000.
fn size(bytes: f64) -> String {
    let (mut value, mut unit) = (bytes, "B");
    for larger in ["kB", "MB", "GB", "TB"] {
        if value < 1_000.0 {
            break;
        }
        (value, unit) = (value / 1_000.0, larger);
    }
    if value < 10.0 && unit != "B" { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

fn found(probe: &Probe) -> String {
    let mut text = format!("{HEAD}What gets through{HEAD:#}, seen from here\n\n");
    let _ = writeln!(text, "  {:<11}{:.1} ms", "round trip", probe.round_trip_ms);
    for one in &probe.transports {
        let said = match (&one.opened_ms, &one.trouble) {
            (Some(ms), _) => format!("works; open after {ms:.1} ms"),
            (None, trouble) => format!("does not: {}", trouble.as_deref().unwrap_or("no answer")),
        };
        let _ = writeln!(text, "  {:<11}{said}", one.transport.name());
    }
    if let Some(Held { seconds, cut_after_s }) = &probe.idle {
        let _ = match cut_after_s {
            None => writeln!(text, "  {:<11}a stream was held for {seconds} s, and is alive", "idle"),
            Some(cut) => writeln!(text, "  {:<11}a stream was cut after {cut:.1} s", "idle"),
        };
    }
    text + "\n"
}

fn indented(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".into() } else { format!("  {line}\n") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(0.0), "0 B");
        assert_eq!(size(999.0), "999 B");
        assert_eq!(size(1_500.0), "1.5 kB");
        assert_eq!(size(21_890_000.0), "22 MB");
    }
}
