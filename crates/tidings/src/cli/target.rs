//! Which node a client command talks to, and as whom.

use clap::Args;
use url::Url;

/// The flags that every client command takes.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// The node's base URL.
    #[arg(long, env = "TIDINGS_URL", default_value = "http://127.0.0.1:8080")]
    pub url: Url,
    /// An API key or a client token.
    #[arg(long, env = "TIDINGS_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}
