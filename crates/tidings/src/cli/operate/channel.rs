//! `tidings channel`: what is in one channel, and who reads it.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::client::{self, Endpoint};

use super::super::output::print;
use super::super::target::{Target, block_on};
use super::table::table;
use super::{get, list, silent, text};

/// The flags of `tidings channel`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --cursor, each reader is shown with whether the message before that cursor went out to it.

Examples:
  tidings channel orders:42
  tidings channel orders:42 --cursor S_4a9q22rlAAAAAAAAAAAQAAAAAAAAAF")]
pub struct Channel {
    /// The channel.
    channel: String,
    /// The cursor of a message to follow to its readers.
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    /// Print one JSON object, for programs.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl Channel {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// A node that cannot be reached, a channel that cannot be, or a key that may not administer.
    pub fn run(self) -> anyhow::Result<()> {
        let endpoint = self.target.endpoint()?;
        let found = block_on(async { self.look(&endpoint).await })?;
        match self.json {
            true => print(&format!("{found}\n")),
            false => print(&shown(&found, self.cursor.is_some())),
        }
    }

    async fn look(&self, endpoint: &Endpoint) -> anyhow::Result<Value> {
        let path = ["v1", "channels", self.channel.as_str()];
        let query: Vec<_> = self.cursor.as_deref().map(|cursor| ("cursor", cursor)).into_iter().collect();
        let readers = get(endpoint, &[&path[..], &["readers"]].concat(), &query).await?;
        let oldest = get(endpoint, &path, &[("after", "earliest"), ("limit", "1")]);
        let oldest = unless_refused(oldest.await)?;
        let newest = unless_refused(get(endpoint, &path, &[("last", "1")]).await)?;
        let presence = unless_refused(get(endpoint, &[&path[..], &["presence"]].concat(), &[]).await)?;
        let first = |page: &Value| page["messages"].get(0).cloned().unwrap_or(Value::Null);
        Ok(json!({
            "channel": self.channel,
            "delivery": newest["delivery"],
            "oldest": first(&oldest),
            "newest": first(&newest),
            "presence": presence,
            "readers": readers,
        }))
    }
}

/// Null where a node refuses: a key that may not read, or a channel without presence.
fn unless_refused(answer: anyhow::Result<Value>) -> anyhow::Result<Value> {
    match answer {
        Err(error) => match error.downcast_ref::<client::Error>() {
            Some(client::Error::Refused(_)) => Ok(Value::Null),
            _ => Err(error).context("cannot look into the channel"),
        },
        answer => answer,
    }
}

fn shown(found: &Value, asked: bool) -> String {
    let readers = &found["readers"];
    let bound = |name: &str| match &found[name] {
        Value::Null => "-".to_owned(),
        message => format!("{}  {}", text(&message["time"]), text(&message["cursor"])),
    };
    let present: Vec<_> = list(&found["presence"]["members"]).iter().map(|one| text(&one["user"])).collect();
    let mut all = String::new();
    for (label, value) in [
        ("delivery", text(&found["delivery"])),
        ("oldest", bound("oldest")),
        ("newest", bound("newest")),
        ("cursor", text(&readers["cursor"])),
        ("readers", format!("{}, {} stuck", text(&readers["count"]), text(&readers["stuck"]))),
        ("present", if found["presence"].is_null() { "-".to_owned() } else { present.join(" ") }),
    ] {
        all += &format!("{label:10}{value}\n");
    }
    if asked {
        all += &format!("{:10}{} of those below\n", "passed", text(&readers["passed"]));
    }
    let mut head = vec!["NODE", "CONNECTION", "USER", "TRANSPORT", "ADDRESS", "BEHIND"];
    let mut keys = vec!["node", "connection", "user", "transport", "address", "behind"];
    if asked {
        head.push("PASSED");
        keys.push("passed");
    }
    let row = |reader: &Value| keys.iter().map(|key| text(&reader[*key])).collect();
    let rows: Vec<Vec<String>> = list(&readers["readers"]).iter().map(row).collect();
    if !rows.is_empty() {
        all += &format!("\n{}", table(&head, &rows));
    }
    all + &silent(readers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_and_its_readers() {
        let reader = json!({"node":"a","connection":"1.0","user":null,"transport":"sse","address":"::1","behind":0,"passed":true});
        let found = json!({"delivery":"at-least-once","oldest":null,"newest":{"time":"T","cursor":"C"},"presence":null,
            "readers":{"cursor":"C","count":2,"stuck":1,"passed":1,"readers":[reader],"nodes":{"silent":["b"]}}});
        let text = shown(&found, true);
        for part in
            ["readers   2, 1 stuck", "newest    T  C", "oldest    -", "passed    1 of", "without b", "true"]
        {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!shown(&found, false).contains("PASSED"));
    }
}
