//! `tidings bench attacks`: what attacks do to a node, and to the well-behaved clients beside them.
//!
//! Each attack (`list`) has a fresh node, a process of its own, and runs on a thread of the lowest
//! priority: attackers have machines of their own, and their work is not what is measured. The
//! well-behaved (`beside`) are those of the other benchmarks: each message once, in one order.

mod arena;
mod beside;
mod frames;
mod heads;
mod jwks;
mod list;
mod multiplex;
mod names;
mod node;
mod readers;
mod sockets;
mod table;
mod tokens;
mod trial;
mod wire;

use std::time::Duration;

use super::certificate::Certificate;
use super::{failure, limits};
use list::{ALL, Attack};
use table::Report;
use trial::Trial;

/// The flags of `tidings bench attacks`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    tidings bench attacks\n  \
    tidings bench attacks --only slow-head --only ping-flood --seconds 5\n  \
    tidings bench attacks --list")]
pub struct Args {
    /// How long each attack lasts; latency is measured for as long before it, and half as long after.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Well-behaved clients, half of them WebSockets, half event streams.
    #[arg(long, default_value_t = 1_000)]
    clients: usize,
    /// Only this attack; may be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Name the attacks, and start nothing.
    #[arg(long)]
    list: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// The most sockets that one attack opens at once.
const ATTACKERS_MAX: usize = 5_000;

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    if args.list {
        ALL.iter().for_each(|attack| anstream::println!("{:<18}{}", attack.name, attack.what));
        return Ok(());
    }
    let chosen = chosen(&args.only)?;
    limits::raise(args.clients + ATTACKERS_MAX)?;
    let attackers = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .on_thread_start(|| {
            // Where it is not allowed they are only more disturbing.
            let _ = rustix::process::nice(19);
        })
        .build()?;
    let certificate = match chosen.iter().any(|attack| matches!(attack.on, list::On::Tls)) {
        true => Some(Certificate::make()?),
        false => None,
    };
    let time = Duration::from_secs_f64(args.seconds.clamp(1.0, 3_600.0));
    let trial =
        Trial { attackers: &attackers, certificate: certificate.as_ref(), time, clients: args.clients };
    let rows = chosen.iter().map(|attack| trial.run(attack)).collect::<anyhow::Result<Vec<_>>>()?;
    let report = Report::new(args.clients, time, rows);
    report.print(args.json)?;
    if report.pass {
        return Ok(());
    }
    let failed = report.failed().join(", ");
    Err(failure(
        format!("not withstood: {failed}"),
        "a release build on an idle machine; then look at what the table says of each",
    ))
}

fn chosen(only: &[String]) -> anyhow::Result<Vec<&'static Attack>> {
    if let Some(unknown) = only.iter().find(|name| ALL.iter().all(|attack| attack.name != **name)) {
        return Err(failure(format!("no attack is called {unknown}"), "`tidings bench attacks --list`"));
    }
    Ok(ALL.iter().filter(|attack| only.is_empty() || only.iter().any(|name| name == attack.name)).collect())
}
