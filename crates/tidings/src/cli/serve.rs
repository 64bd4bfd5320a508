//! `tidings serve`: runs a node.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::pin::pin;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use sd_notify::NotifyState;
use tidings_core::broker::BrokerError;

use crate::config::{Address, BrokerConfig, BrokerKind, Changes, Config, ConfigError, Env, Flags, Loaded};
use crate::node::{self, Hangups, Log, Node, Refused, Stops};

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
    #[arg(long, value_name = "ADDRESS:PORT", overrides_with = "listen")]
    listen: Option<Address>,
    /// Development: this machine alone, no credentials needed, namespaces `default`, `demo` and `durable`, a page at /.
    #[arg(long)]
    dev: bool,
}

/// Where `--dev` keeps its channels, unless a broker is configured.
const DEV_STATE: &str = ".tidings";
/// How long what the node still does by itself is waited for at its end.
const LAST_MAX: Duration = Duration::from_millis(500);
/// How long the files of a configuration may take to be read again.
const READ_MAX: Duration = Duration::from_secs(10);

/// How long a restart waits for clients.
const RESTART_MAX: Duration = Duration::from_secs(3);

/// Why a node no longer runs.
enum Ended {
    /// It was told to stop.
    Stopped,
    /// It was told to start again, on the address that it had.
    Restarting(SocketAddr),
}

/// Where the configuration comes from: at the start, and when it is read again.
#[derive(Clone)]
struct Origin {
    file: Option<PathBuf>,
    flags: Flags,
}

/// Runs a node until SIGTERM or Ctrl-C.
pub fn run(args: Args) -> anyhow::Result<()> {
    let origin = Origin { file: args.config, flags: Flags { dev: args.dev, listen: args.listen } };
    let Loaded { config, warnings, .. } = origin.load()?;
    let log = node::log_to_stderr(&config.log);
    warn(&warnings);
    rlimit::increase_nofile_limit(u64::MAX).context("cannot raise the limit of open files")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let ended = runtime.block_on(serve(&origin, &config, &log));
    // A thread that reads the past of a broker is not waited for.
    runtime.shutdown_timeout(LAST_MAX);
    let ended = ended?;
    // All that the node held is gone by now, its runtime included.
    match ended {
        Ended::Stopped => Ok(()),
        Ended::Restarting(address) => Err(start_again(address)),
    }
}

/// Executes this program in the place of this process, on the same address. Returns only if that fails.
fn start_again(address: SocketAddr) -> anyhow::Error {
    let program = std::env::current_exe();
    let error = match program {
        Ok(program) => Command::new(program)
            .args(std::env::args_os().skip(1))
            .args(["--listen", &address.to_string()])
            .exec(),
        Err(error) => error,
    };
    Failure::new(format!("the node cannot start again: {error}"), "start it by hand").into()
}

impl Origin {
    fn load(&self) -> anyhow::Result<Loaded> {
        let mut loaded = Config::load(self.file.as_deref(), &Env::read(), &self.flags)?;
        if self.flags.dev && !loaded.names_broker {
            loaded.config.broker = BrokerConfig {
                kind: BrokerKind::Disk,
                path: Some(DEV_STATE.to_owned()),
                ..BrokerConfig::default()
            };
        }
        if loaded.config.namespaces.is_empty() {
            return Err(Failure::new(
                "no namespace is declared, so no channel could exist",
                "declare one in a file, e.g. [namespaces.default] with delivery = \"at-least-once\", or use --dev",
            )
            .into());
        }
        Ok(loaded)
    }
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

async fn serve(origin: &Origin, config: &Config, log: &Log) -> anyhow::Result<Ended> {
    // Before anybody is told that it is ready: who is told may stop it at once.
    let (mut hangups, mut stops) = (Hangups::listen()?, Stops::listen()?);
    let mut node = Node::start(config).await.map_err(|error| {
        let advice = match error.downcast_ref::<BrokerError>() {
            Some(_) => "choose another folder with broker.path or TIDINGS_BROKER__PATH",
            None => "stop what uses the address, or choose another with --listen",
        };
        Failure::new(format!("{error:#}"), advice)
    })?;
    let address = node.address();
    tracing::info!(%address, connections_max = node.connections_max(), broker = config.broker.kind.as_str(), "listening");
    tell_systemd(NotifyState::Ready);
    if config.dev {
        let scheme = if config.tls.files().is_some() { "https" } else { "http" };
        say_where(&format!("{scheme}://{address}/"));
    }
    let mut told = pin!(node.told_to_stop());
    let cause = loop {
        tokio::select! {
            signal = stops.next() => break signal.to_owned(),
            by = &mut told => break format!("drained by {by}"),
            () = hangups.next() => reload(&mut node, origin, log).await,
            () = node.restart_wanted() => {
                tracing::info!("restarting: clients are told to come back with their cursors");
                // Who is cut off from the network cannot leave, and need not be waited for.
                let _ = tokio::time::timeout(RESTART_MAX, node.stop()).await;
                return Ok(Ended::Restarting(address));
            }
        }
    };
    tell_systemd(NotifyState::Stopping);
    tracing::info!(cause, "shutting down: clients are told to come back with their cursors");
    tokio::select! {
        () = node.stop() => {}
        again = stops.next() => tracing::warn!(signal = again, "a second signal: not waiting for clients"),
    }
    Ok(Ended::Stopped)
}

/// Says how it is to what started it, if that is systemd and wants to know (`Type=notify`).
fn tell_systemd(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd cannot be told how this node is");
    }
}

/// Reads the configuration again and puts it into force, or says why nothing has changed.
async fn reload(node: &mut Node, origin: &Origin, log: &Log) {
    match try_reload(node, origin, log).await {
        Ok(changes) if changes.is_empty() => {
            tracing::info!("the configuration was read again: nothing has changed")
        }
        Ok(changes) => tracing::info!(%changes, "the configuration was read again, and is in force"),
        Err(error) => {
            let (error, advice) = in_words(&error);
            tracing::error!(%error, "try" = %advice, "the new configuration is refused, and nothing has changed");
        }
    }
}

/// What is wrong with a configuration, and what to do about it.
fn in_words(error: &anyhow::Error) -> (String, String) {
    if let Some(error) = error.downcast_ref::<ConfigError>() {
        return (error.sentence().to_owned(), error.advice().to_owned());
    }
    let advice = match (error.downcast_ref::<Refused>(), error.downcast_ref::<Failure>()) {
        (Some(refused), _) => refused.advice(),
        (None, Some(failure)) => failure.advice(),
        (None, None) => "mend it, and send SIGHUP again",
    };
    (format!("{error:#}"), advice.to_owned())
}

async fn try_reload(node: &mut Node, origin: &Origin, log: &Log) -> anyhow::Result<Changes> {
    let origin = origin.clone();
    // Files may be on a disk that does not answer.
    let read = tokio::task::spawn_blocking(move || origin.load());
    let read =
        tokio::time::timeout(READ_MAX, read).await.context("its files cannot be read within 10 seconds")?;
    let Loaded { config, warnings, .. } = read.context("it cannot be read")??;
    let level = config.log.level.clone();
    let changes = node.reload(config)?;
    log.set_level(&level);
    warn(&warnings);
    Ok(changes)
}

fn say_where(url: &str) {
    anstream::eprintln!(
        "\n  Tidings is running for development, on this machine alone.\n\n  \
         See a channel on all four transports:  \x1b[1;4m{url}\x1b[0m\n  \
         Publish:    curl {url}v1/channels/demo:lobby -H 'Content-Type: text/plain' -d hello\n  \
         Follow:     curl -N {url}v1/channels/demo:lobby -H 'Accept: text/event-stream'\n"
    );
}
