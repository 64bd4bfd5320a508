//! `tidings nodes`, `tidings channels`, `tidings clients`: what there is.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::output::{is_read, print};
use super::super::target::{Target, block_on};
use super::table::table;
use super::{get, get_text, list, silent, text};

/// The flags of `tidings nodes`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidings nodes
  tidings nodes --watch
  tidings nodes --json                                     a node a line, as it describes itself
  tidings subscribe @tidings:nodes --after earliest        the last hour of all nodes, and on")]
pub struct Nodes {
    /// Print a JSON object a line, for programs.
    #[arg(long)]
    json: bool,
    /// Look again every two seconds, until Ctrl-C.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    target: Target,
}

/// The flags of `tidings channels`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Channels that nobody reads are not listed, whatever they hold.

Examples:
  tidings channels
  tidings channels chat: --limit 1000")]
pub struct Channels {
    /// How the names begin.
    #[arg(default_value = "")]
    prefix: String,
    /// How many at most.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Print the answer as JSON, for programs.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// The flags of `tidings clients`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidings clients
  tidings clients --user alice --json")]
pub struct Clients {
    /// Those of this user alone.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// How many at most.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Print the answer as JSON, for programs.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Each as it describes itself.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    nodes: Vec<&'a RawValue>,
}

const WATCH_EVERY: Duration = Duration::from_secs(2);
/// Back to the first line, and nothing below it.
const CLEAR: &str = "\x1b[H\x1b[2J";

impl Nodes {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// A node that cannot be reached, or a key that may not administer.
    pub fn run(self) -> anyhow::Result<()> {
        let endpoint = self.target.endpoint()?;
        block_on(async {
            loop {
                let answer = get_text(&endpoint, &["v1", "nodes"], &[]).await?;
                let answer: Answer<'_> =
                    serde_json::from_str(&answer).context("the node's answer is no list")?;
                let values = answer.nodes.iter().filter_map(|node| serde_json::from_str(node.get()).ok());
                let shown = match self.json {
                    true => answer.nodes.iter().map(|node| format!("{node}\n")).collect(),
                    false => nodes(&values.collect::<Vec<_>>()),
                };
                let clear = self.watch && !self.json && std::io::stdout().is_terminal();
                let is_read = is_read(&format!("{}{shown}", if clear { CLEAR } else { "" }))?;
                if !self.watch || !is_read {
                    return Ok(());
                }
                tokio::time::sleep(WATCH_EVERY).await;
            }
        })
    }
}

impl Channels {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// A node that cannot be reached, or a key that may not administer.
    pub fn run(self) -> anyhow::Result<()> {
        let (endpoint, limit) = (self.target.endpoint()?, self.limit.to_string());
        let query = [("prefix", self.prefix.as_str()), ("limit", limit.as_str())];
        let answer = block_on(async { get(&endpoint, &["v1", "channels"], &query).await })?;
        if self.json {
            return print(&format!("{answer}\n"));
        }
        let rows: Vec<_> = list(&answer["channels"])
            .iter()
            .map(|one| {
                let nodes: Vec<_> = list(&one["nodes"]).iter().map(text).collect();
                vec![text(&one["channel"]), text(&one["readers"]), nodes.join(" ")]
            })
            .collect();
        let more =
            if answer["more"] == true { "and more: raise --limit, or say how they begin\n" } else { "" };
        print(&format!("{}{more}{}", table(&["CHANNEL", "READERS", "NODES"], &rows), silent(&answer)))
    }
}

impl Clients {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// A node that cannot be reached, or a key that may not administer.
    pub fn run(self) -> anyhow::Result<()> {
        let (endpoint, limit) = (self.target.endpoint()?, self.limit.to_string());
        let mut query = vec![("limit", limit.as_str())];
        query.extend(self.user.as_deref().map(|user| ("user", user)));
        let answer = block_on(async { get(&endpoint, &["v1", "clients"], &query).await })?;
        if self.json {
            return print(&format!("{answer}\n"));
        }
        let head = ["CONNECTION", "NODE", "USER", "TRANSPORT", "ADDRESS", "SINCE", ""];
        let rows: Vec<_> = list(&answer["clients"])
            .iter()
            .map(|one| {
                let keys = ["connection", "node", "user", "transport", "address", "since"];
                let mut row: Vec<_> = keys.iter().map(|key| text(&one[*key])).collect();
                row.push(if one["stuck"] == true { "stuck" } else { "" }.to_owned());
                row
            })
            .collect();
        let count = format!("{} of {}\n", rows.len(), text(&answer["count"]));
        print(&format!("{}{count}{}", table(&head, &rows), silent(&answer)))
    }
}

fn nodes(nodes: &[Value]) -> String {
    let head = ["NODE", "STATE", "BROKER", "CONNECTIONS", "CHANNELS", "IN", "OUT", "BEHIND", "MEMORY"];
    let rows: Vec<_> = nodes
        .iter()
        .map(|node| {
            let broker = match node["broker"]["ready"] == true {
                true => text(&node["broker"]["kind"]),
                false => format!("{} (away)", text(&node["broker"]["kind"])),
            };
            let memory = node["memory"].as_u64().map_or("-".into(), |bytes| format!("{} MiB", bytes >> 20));
            vec![
                text(&node["node"]),
                text(&node["state"]),
                broker,
                text(&node["connections"]["total"]),
                text(&node["channels"]),
                text(&node["messages"]["in"]),
                text(&node["messages"]["out"]),
                text(&node["behind"]["readers"]),
                memory,
            ]
        })
        .collect();
    table(&head, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_is_a_line() {
        let node = json!({"node":"web-1","state":"serving","broker":{"kind":"redis","ready":false},
            "connections":{"total":7},"channels":3,"messages":{"in":1,"out":2},"behind":{"readers":0},"memory":2097152});
        let shown = nodes(&[node]);
        let line = shown.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(line, "web-1 serving redis (away) 7 3 1 2 0 2 MiB");
    }
}
