//! Which node a client command talks to, and as whom.

use std::path::PathBuf;

use clap::Args;
use url::Url;

use crate::client::{self, Endpoint};

/// The flags that every client command takes.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// The node's base URL.
    #[arg(long, env = "TIDINGS_URL", default_value = "http://127.0.0.1:8080")]
    pub url: Url,
    /// An API key or a client token.
    #[arg(long, env = "TIDINGS_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// A PEM file with the certificate of a private CA, trusted beside this system's, for https:// URLs.
    #[arg(long, env = "TIDINGS_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

impl Target {
    /// The endpoint that these flags name. An empty token counts as none.
    ///
    /// # Errors
    ///
    /// If the URL, the token or the CA cannot be used; nothing is connected yet.
    pub fn endpoint(&self) -> Result<Endpoint, client::Error> {
        let token = self.token.as_deref().filter(|token| !token.trim().is_empty());
        let ca = self.ca.as_ref().map(|file| {
            let cannot =
                |error| client::Error::Unsendable(format!("cannot read {}: {error}", file.display()));
            std::fs::read(file).map_err(cannot)
        });
        Endpoint::trusting(self.url.clone(), token, ca.transpose()?.as_deref())
    }
}

/// Runs the future of a client command, on this thread.
///
/// # Errors
///
/// The future's own, or that the system has no room for a runtime.
pub fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
