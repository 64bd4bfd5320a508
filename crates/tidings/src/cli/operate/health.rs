//! `tidings healthcheck`: whether a node is ready, as an exit code.

use std::time::Duration;

use super::super::Failure;
use super::super::target::{Target, block_on};

/// The flags of `tidings healthcheck`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exits with 0 where the node answers /readyz with 200, else with 1. With --live it asks /healthz: a node \
whose broker is away is not ready, and yet starting it anew would help nobody.

Example:
  tidings healthcheck --url http://127.0.0.1:9090")]
pub struct Healthcheck {
    /// Ask whether it is alive (/healthz), not whether it is ready.
    #[arg(long)]
    live: bool,
    /// How long the node may take.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    target: Target,
}

impl Healthcheck {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// A node that is not ready, or does not say so in time.
    pub fn run(self) -> anyhow::Result<()> {
        let endpoint = self.target.endpoint()?;
        block_on(async {
            let asked = endpoint.get_json(endpoint.url(&[if self.live { "healthz" } else { "readyz" }]));
            match tokio::time::timeout(self.timeout, asked).await {
                Ok(answer) => Ok(answer.map(drop)?),
                Err(_late) => {
                    let what = format!("the node does not answer within {:?}", self.timeout);
                    Err(Failure::new(what, "look at its log").into())
                }
            }
        })
    }
}
