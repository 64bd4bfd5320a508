//! `tidings verify`: the guarantees of a node, proved under faults.
//!
//! ```text
//! publishers ─► proxy ─► node ─► proxy ─► readers on every transport ─► lanes ─┐
//!     │           ▲        ▲       ▲                                           ▼
//!   ledger      storm ── seed ── storm                       ledger ─────► judge ─► report
//! ```
//!
//! Numbered messages, each published until it has its 200, are read by clients that come back with their
//! cursors, while a storm of faults goes over all of them. What counts is what each reader was given, held
//! against what was acknowledged. docs/verify.md says how to read the table.

mod fault;
mod heard;
mod judge;
mod ledger;
mod node;
mod plan;
mod publisher;
mod reader;
mod report;
mod schedule;
mod storm;
mod trial;
mod truth;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use url::Url;

use super::Failure;
use super::progress::Progress;
use super::target::Target;
use crate::client::Transport;
use crate::proxy::Break;
use fault::Fault;
use node::{Broker, Kept};
use plan::Plan;
use report::Report;
use trial::Place;

/// The flags of `tidings verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without --url it starts a node of its own, in a folder that it removes. Faults happen in a proxy inside \
this command, and to its own node; a node that was running is asked, and never touched.

Examples:
  tidings verify                                   a node of its own, all faults, one minute
  tidings verify --duration 10s --json | jq .pass
  tidings verify --faults cut,freeze --transports ws,sse --seed 42
  tidings verify --url https://tidings.example.com --token sk_… --namespace orders --namespace chat
  tidings verify --nodes 3 --broker redis          three nodes, of which one at a time is killed, restarted, stopped
  tidings verify --break drop                      must fail: a message is dropped on the way

Exits with 0 if all guarantees held. docs/verify.md says what each column means.")]
pub struct Args {
    /// For how long there are faults, as `10s` or `5m`. Then it waits until every reader has caught up.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Begins the same faults again [default: a new one, which is printed].
    #[arg(long)]
    seed: Option<u64>,
    /// What keeps the messages of the node that it starts.
    #[arg(long, value_enum, default_value = "memory", conflicts_with = "url")]
    broker: Broker,
    /// The server of `--broker redis`, as `redis://HOST:PORT` [default: one is started for the run].
    #[arg(long, value_name = "URL", env = "TIDINGS_REDIS", hide_env_values = true, conflicts_with = "url")]
    redis: Option<String>,
    /// The server that `--broker nats` starts for the run.
    #[arg(long, value_name = "PATH", default_value = "nats-server")]
    nats_server: PathBuf,
    /// How many nodes it starts, which share a broker. Each connection goes to the next of them.
    #[arg(long, default_value_t = 1, conflicts_with = "url", value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,
    /// The faults [default: all; with --url those that are not of the node].
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FAULT,…")]
    faults: Option<Vec<Fault>>,
    /// How it is read.
    #[arg(long, value_delimiter = ',', value_name = "TRANSPORT,…", value_parser = transport(),
        default_value = "ws,sse,long-poll,poll,session")]
    transports: Vec<Transport>,
    /// Messages a second in each channel.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Use a path that is faulty on purpose, which must be caught.
    #[arg(long = "break", value_enum, value_name = "MODE")]
    breaks: Option<Break>,
    /// Without a byte, after which a connection counts as dead: more than the node's `heartbeat`
    /// [default: 3s for its own node, whose heartbeat is 1s; else 20s].
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    silence: Option<Duration>,
    /// A node that runs already [default: one is started for the run].
    #[arg(long)]
    url: Option<Url>,
    /// An API key that may publish and read, where that node wants one.
    #[arg(long, env = "TIDINGS_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// A PEM file with the certificate of a private CA, for an https:// URL.
    #[arg(long, env = "TIDINGS_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A namespace of that node, to be used with new channels `verify-…` in it. May be given again
    /// [default: durable and default, as under `serve --dev`].
    #[arg(long, value_name = "NAME", requires = "url")]
    namespace: Vec<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

fn transport() -> impl clap::builder::TypedValueParser<Value = Transport> {
    PossibleValuesParser::new(Transport::ALL.map(Transport::name)).map(|name| {
        let named = Transport::ALL.into_iter().find(|transport| transport.name() == name);
        named.expect("the parser lets no other name through")
    })
}

/// Runs the command.
///
/// # Errors
///
/// If a guarantee broke, or the run could not be made.
pub fn run(args: Args) -> anyhow::Result<()> {
    let plan = args.plan()?;
    plan.check()?;
    let (broker, place) = args.place()?;
    let mut progress = Progress::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let findings = runtime.block_on(async {
        tokio::select! {
            findings = trial::run(&plan, place, &mut progress) => findings,
            interrupt = tokio::signal::ctrl_c() => {
                interrupt?;
                let advice = format!("--seed {} to begin the same run again", plan.seed);
                Err(Failure::new("interrupted, so nothing was proved", advice).into())
            }
        }
    });
    progress.clear();
    let report = Report::new(&plan, broker, &findings?);
    report.print(args.json)?;
    report.verdict()
}

impl Args {
    fn plan(&self) -> anyhow::Result<Plan> {
        let is_own = self.url.is_none();
        let faults = match &self.faults {
            Some(faults) => faults.clone(),
            None => Fault::ALL.into_iter().filter(|fault| is_own || !fault.is_own()).collect(),
        };
        if let Some(fault) = faults.iter().find(|fault| !is_own && fault.is_own()) {
            let what =
                format!("`{}` happens to what a run starts, and that of --url is not ours", fault.name());
            return Err(Failure::new(what, "leave it out, or leave --url out").into());
        }
        let own_silence = Duration::from_secs(if is_own { 3 } else { 20 });
        let mut transports = self.transports.clone();
        transports.dedup();
        Ok(Plan {
            seed: match self.seed {
                Some(seed) => seed,
                // Short enough to be typed.
                None => u64::from(getrandom::u32()?),
            },
            duration: self.duration,
            rate: self.rate,
            faults,
            transports,
            breaks: self.breaks,
            silence: self.silence.unwrap_or(own_silence).max(Duration::from_millis(100)),
        })
    }

    fn place(&self) -> anyhow::Result<(Option<Broker>, Place)> {
        let Some(url) = &self.url else {
            let nodes = usize::from(self.nodes);
            if nodes > 1 && !self.broker.is_shared() {
                let what = "several nodes need a broker that they can share";
                return Err(
                    Failure::new(what, "add --broker redis or --broker nats, or leave --nodes out").into()
                );
            }
            let kept = Kept {
                broker: self.broker,
                nodes,
                redis: self.redis.clone(),
                nats_server: self.nats_server.clone(),
            };
            return Ok((Some(self.broker), Place::Own(kept)));
        };
        let target = Target { url: url.clone(), token: self.token.clone(), ca: self.ca.clone() };
        let namespaces = match self.namespace.is_empty() {
            true => vec!["durable".to_owned(), "default".to_owned()],
            false => self.namespace.clone(),
        };
        Ok((None, Place::Found { endpoint: Box::new(target.endpoint()?), namespaces }))
    }
}
