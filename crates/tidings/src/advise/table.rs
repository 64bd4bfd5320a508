//! Usual applications, decided by the same rules: docs/choosing.md, and what a page offers to start from.

use std::fmt::Write as _;

use serde::Serialize;

use super::situation::{Loss, Network, Sends, Situation, seconds};
use super::{Advice, advise};

/// An application: what it is, how often its clients send, seconds of freshness, seconds between two changes
/// for a user, bytes, and whether a message may be lost.
type Row = (&'static str, Sends, f64, f64, u64, Loss);

const USERS: u64 = 10_000;
const ROWS: [Row; 13] = [
    ("Notifications", Sends::Never, 2.0, 600.0, 300, Loss::Never),
    ("Chat", Sends::Sometimes, 0.5, 10.0, 300, Loss::Never),
    ("Typing indicators, live cursors", Sends::Often, 0.1, 0.2, 60, Loss::Allowed),
    ("Collaborative editing", Sends::Often, 0.2, 0.5, 200, Loss::Never),
    ("A model's token stream", Sends::Never, 0.2, 0.05, 60, Loss::Never),
    ("An auction", Sends::Sometimes, 0.3, 2.0, 150, Loss::Never),
    ("Prices, telemetry", Sends::Never, 0.5, 0.2, 100, Loss::Allowed),
    ("A live score", Sends::Never, 2.0, 60.0, 200, Loss::Never),
    ("A dashboard for operators", Sends::Never, 1.0, 5.0, 500, Loss::Allowed),
    ("Progress of a job", Sends::Never, 2.0, 3.0, 100, Loss::Never),
    ("A delivery on a map", Sends::Never, 10.0, 15.0, 150, Loss::Allowed),
    ("Unread counts", Sends::Never, 30.0, 900.0, 50, Loss::Never),
    ("Feature flags, configuration", Sends::Never, 60.0, 86_400.0, 2_000, Loss::Never),
];

/// A usual application.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Example {
    /// What it is.
    pub name: &'static str,
    /// What it needs: of 10,000 users at once, behind networks that nobody knows.
    pub situation: Situation,
}

/// The rows of docs/choosing.md, in its order.
pub fn examples() -> impl Iterator<Item = Example> {
    ROWS.into_iter().map(|(name, sends, fresh_s, every_s, bytes, loss)| {
        let network = Network::Unknown;
        Example { name, situation: Situation { sends, fresh_s, every_s, users: USERS, bytes, loss, network } }
    })
}

/// The page, as Markdown.
pub fn choosing() -> String {
    let mut page = String::from(HEAD);
    for Example { name, situation } in examples() {
        let _ = writeln!(page, "{}", line(name, &advise(situation)));
    }
    page + FOOT
}

fn line(name: &str, advice: &Advice) -> String {
    let Advice { situation, decision, costs, .. } = advice;
    let sends = match situation.sends {
        Sends::Never => "no",
        Sends::Sometimes => "now and then",
        Sends::Often => "often",
    };
    let ladder: Vec<_> = decision.ladder.iter().map(|transport| transport.name()).collect();
    let first = costs.get(decision.first());
    format!(
        "| {name} | {sends} | {} | {} | **{}** | {} | {} | {:.0} % | {} |",
        seconds(situation.fresh_s),
        seconds(situation.every_s),
        ladder.join(" → "),
        decision.delivery,
        costs.poll.requests_per_s.ceil(),
        costs.poll.empty * 100.0,
        cores(first.cores),
    )
}

fn cores(cores: f64) -> String {
    if cores < 0.01 { "under 0.01".into() } else { format!("{cores:.2}") }
}

const HEAD: &str = "\
<!-- Written by `tidings advise --table` from the rules in crates/tidings/src/advise: change them there. -->
# Choosing a transport

`tidings advise` asks a few questions and answers with a transport ladder, a guarantee, a configuration, code, and what it costs. This table is made of the same rules: 10,000 users at once, behind networks that nobody knows.

| application | clients send | fresh within | changes each | transports | delivery | polling instead: requests/s | of those empty | cores for reading |
|---|---|---|---|---|---|---|---|---|
";

const FOOT: &str = "
The rules, in the order in which they are asked:

1. **Clients send once a second or more**: WebSocket. A message is a frame, and not a request. Where no upgrade gets through, a stream down and a POST for each message up.
2. **News may be ten seconds old, and polls would take less than half a core**: polling is enough. Its latency is its interval; nothing else about it is worse, and it passes everywhere.
3. **Something holds responses back**: WebSocket, which is no response; below it long-polls, whose replies are whole.
4. **Everything else**: Server-Sent Events. One plain HTTP response, no upgrade, resumed by the browser itself; what clients send now and then are POSTs.

Below the first stand the others, for networks where it does not work. All of them read the same log by the same cursors, so a client that falls from one to the next loses nothing. Where networks are unknown, a WebSocket stands second: what holds a stream back often lets it through.

**Delivery** is one question: does the next message make up for a lost one? Then at-most-once, else at-least-once.

Costs are of reading alone, without publishing, TCP and TLS; [how they were measured](benchmarks.md).
";

#[cfg(test)]
mod tests {
    use super::choosing;

    #[test]
    fn the_page_is_what_the_rules_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/choosing.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == choosing(), "docs/choosing.md is old: tidings advise --table > docs/choosing.md");
    }
}
