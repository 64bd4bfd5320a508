//! `tidings disconnect`, `tidings drain`, `tidings revoke`: what is done to clients and nodes.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::output::print;
use super::super::target::{Target, block_on};
use super::{post, silent, text};

/// The flags of `tidings disconnect`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The clients come back with their cursors, and miss nothing. With --away those on a WebSocket do not \
come back by themselves; to keep a user out, use `tidings revoke`.

Examples:
  tidings disconnect 9f3a51c07d2e8b44.812        one of those that `tidings clients` lists
  tidings disconnect --user mallory --away --reason 'a flood'")]
pub struct Disconnect {
    /// The connection, as `tidings clients` names it.
    #[arg(required_unless_present = "user", conflicts_with = "user")]
    connection: Option<String>,
    /// All connections of this user.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// Tell the client to stay away.
    #[arg(long)]
    away: bool,
    /// Why, for the logs of the nodes.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// The flags of `tidings drain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The node stops as on SIGTERM: it is not ready, its clients are told to come back, spread out, and it \
exits with 0. What runs it may start it again.

Example:
  tidings drain web-2")]
pub struct Drain {
    /// The node, as `tidings nodes` names it.
    node: String,
    #[command(flatten)]
    target: Target,
}

/// The flags of `tidings revoke`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Tokens of the user that were made before now are refused, on every node, and the connections that \
they opened end at once. A new token of the same user is good.

Examples:
  tidings revoke --user mallory
  tidings revoke --jti 7d1a5412 --for 8h")]
pub struct Revoke {
    /// The user whose tokens end.
    #[arg(long, value_name = "ID", required_unless_present = "jti", conflicts_with = "jti")]
    user: Option<String>,
    /// The one token that ends, by its `jti`.
    #[arg(long, value_name = "JTI")]
    jti: Option<String>,
    /// For how long, as `8h` or `7days`: until the last of these tokens ends by itself.
    #[arg(long = "for", value_name = "TIME", default_value = "30days", value_parser = humantime::parse_duration)]
    time: Duration,
    #[command(flatten)]
    target: Target,
}

impl Disconnect {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// A node that cannot be reached, or a key that may not administer.
    pub fn run(self) -> anyhow::Result<()> {
        let mut body = match (&self.connection, &self.user) {
            (Some(connection), _) => json!({ "connection": connection }),
            (None, user) => json!({ "user": user }),
        };
        body["away"] = self.away.into();
        if let Some(reason) = &self.reason {
            body["reason"] = reason.as_str().into();
        }
        let answer = tell(&self.target, &["v1", "clients", "disconnect"], &body)?;
        print(&format!("{} ended\n{}", text(&answer["ended"]), silent(&answer)))
    }
}

impl Drain {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// A node that cannot be reached, one that nobody knows, or a key that may not administer.
    pub fn run(self) -> anyhow::Result<()> {
        tell(&self.target, &["v1", "nodes", &self.node, "drain"], &Value::Null)?;
        print(&format!("{} drains\n", self.node))
    }
}

impl Revoke {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// A node that cannot be reached, or a key that may not administer.
    pub fn run(self) -> anyhow::Result<()> {
        let mut body = match (&self.user, &self.jti) {
            (Some(user), _) => json!({ "user": user }),
            (None, jti) => json!({ "jti": jti }),
        };
        // A token's own unit.
        let until_s = jsonwebtoken::get_current_timestamp().saturating_add(self.time.as_secs());
        body["until"] = until_s.into();
        let answer = tell(&self.target, &["v1", "revocations"], &body)?;
        let until = text(&answer["until"]);
        print(&format!(
            "revoked until {until}; {} ended on the node that was asked\n",
            text(&answer["ended"])
        ))
    }
}

fn tell(target: &Target, path: &[&str], body: &Value) -> anyhow::Result<Value> {
    let endpoint = target.endpoint()?;
    block_on(async { post(&endpoint, path, body).await })
}
