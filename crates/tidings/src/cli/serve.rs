//! `tidings serve`: runs a node.

use std::path::PathBuf;

use anyhow::Context;

use crate::config::{Address, Config, Env, Flags, Loaded};
use crate::node::{self, Node};

use super::Failure;

/// The flags of `tidings serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidings serve --dev                          a node for this machine, with a page to look at
  tidings serve --config tidings.toml          a node as the file says
  TIDINGS_LOG__LEVEL=debug tidings serve ...   any key can be set by a variable")]
pub struct Args {
    /// The configuration file (TOML). See `tidings check --reference`.
    #[arg(long, env = "TIDINGS_CONFIG")]
    config: Option<PathBuf>,
    /// The address to listen on; beats file and environment.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<Address>,
    /// Development: this machine alone, no credentials needed, namespaces `default`, `demo` and `durable`, a page at /.
    #[arg(long)]
    dev: bool,
}

/// Runs a node until SIGTERM or Ctrl-C.
pub fn run(args: Args) -> anyhow::Result<()> {
    let flags = Flags { dev: args.dev, listen: args.listen };
    let Loaded { config, warnings, .. } = Config::load(args.config.as_deref(), &Env::read(), &flags)?;
    node::log_to_stderr(&config.log);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    if config.namespaces.is_empty() {
        return Err(Failure::new(
            "no namespace is declared, so no channel could exist",
            "declare one in a file, e.g. [namespaces.default] with delivery = \"at-least-once\", or use --dev",
        )
        .into());
    }
    rlimit::increase_nofile_limit(u64::MAX).context("cannot raise the limit of open files")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(serve(&config))
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    let node = Node::start(config).await.map_err(|error| {
        Failure::new(format!("{error:#}"), "stop what uses the address, or choose another with --listen")
    })?;
    let address = node.address();
    tracing::info!(%address, connections_max = node.connections_max(), broker = "memory", "listening");
    if config.dev {
        let scheme = if config.tls.files().is_some() { "https" } else { "http" };
        say_where(&format!("{scheme}://{address}/"));
    }
    let signal = node::stop_signal().await?;
    tracing::info!(signal, "shutting down: clients are told to come back with their cursors");
    tokio::select! {
        () = node.stop() => {}
        again = node::stop_signal() => tracing::warn!(signal = again?, "a second signal: not waiting for clients"),
    }
    Ok(())
}

fn say_where(url: &str) {
    anstream::eprintln!(
        "\n  Tidings is running for development, on this machine alone.\n\n  \
         See a channel on all four transports:  \x1b[1;4m{url}\x1b[0m\n  \
         Publish:    curl {url}v1/channels/demo:lobby -H 'Content-Type: text/plain' -d hello\n  \
         Follow:     curl -N {url}v1/channels/demo:lobby -H 'Accept: text/event-stream'\n"
    );
}
