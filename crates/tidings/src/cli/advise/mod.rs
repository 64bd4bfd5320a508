//! `tidings advise`: which transport, which guarantee, and what it costs.

mod ask;
mod probe;
mod words;

use std::io::{self, IsTerminal as _, Write as _};

use super::Failure;
use super::output::print;
use super::target::{Target, block_on};
use crate::advise::{Loss, Network, Sends, Situation, advise, choosing};
use ask::Asker;
use probe::{Idle, Probe};

/// The flags of `tidings advise`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What no flag answers it asks, on a terminal; elsewhere it takes the default.

Examples:
  tidings advise
  tidings advise --sends never --fresh 2s --every 10m --users 50000 --loss never
  tidings advise --fresh 1m --users 2000 --json | jq .decision.ladder
  tidings advise --probe --url https://tidings.example.com --channel news:probe --idle 60s")]
pub struct Args {
    /// Does a client send, or only receive? [default: never]
    #[arg(long, value_enum)]
    sends: Option<Sends>,
    /// How old may news be when it is shown? [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    fresh: Option<f64>,
    /// How often does something change, for one user? [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    every: Option<f64>,
    /// How many users are there at the same time? [default: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    users: Option<u64>,
    /// How many bytes has a message?
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(..=1 << 20))]
    bytes: u64,
    /// May a message be lost? [default: never]
    #[arg(long, value_enum)]
    loss: Option<Loss>,
    /// What lies between? [default: unknown, or what `--probe` finds]
    #[arg(long, value_enum)]
    network: Option<Network>,
    /// Ask a node over this network what gets through, first.
    #[arg(long)]
    probe: bool,
    /// The channel that the probe reads; it publishes nothing.
    #[arg(long, default_value = "demo:probe", requires = "probe")]
    channel: String,
    /// Hold a stream for so long, to see whether something on the way cuts it.
    #[arg(long, value_name = "TIME", requires = "probe", value_parser = seconds)]
    idle: Option<f64>,
    #[command(flatten)]
    target: Target,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Print docs/choosing.md, a table of usual applications, and ask nothing.
    #[arg(long, exclusive = true)]
    table: bool,
}

/// A time as seconds.
fn seconds(text: &str) -> Result<f64, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match time.is_zero() {
        true => Err("it is more than nothing, as `500ms` or `10s`".into()),
        false => Ok(time.as_secs_f64()),
    }
}

/// Runs the command.
///
/// # Errors
///
/// Answers that cannot be read, or a node that cannot be reached at all.
pub fn run(args: Args) -> anyhow::Result<()> {
    if args.table {
        return print(&choosing());
    }
    let found = match args.probe {
        true => Some(block_on(probe(&args))?),
        false => None,
    };
    let situation = args.situation(found.as_ref().map(Probe::network))?;
    let advice = advise(situation);
    if args.json {
        let mut object = serde_json::to_value(&advice)?;
        object["probe"] = serde_json::to_value(&found)?;
        return print(&format!("{object:#}\n"));
    }
    print(&words::words(&advice, found.as_ref()))
}

async fn probe(args: &Args) -> anyhow::Result<Probe> {
    let idle = args.idle.map(Idle::of);
    if !args.json {
        let held = idle.as_ref().map(|idle| format!(", which takes {}", idle.words())).unwrap_or_default();
        writeln!(io::stderr(), "asking {} what gets through{held}", args.target.url)?;
    }
    Probe::run(&args.target.endpoint()?, &args.channel, idle).await
}

impl Args {
    /// The answers: of flags, of a person, of the defaults.
    fn situation(&self, probed: Option<Network>) -> anyhow::Result<Situation> {
        let asks = !self.json && io::stdin().is_terminal() && io::stdout().is_terminal();
        let mut asker = Asker::new(asks);
        let situation = Situation {
            sends: asker.choice("Does a client send, or only receive?", self.sends, Sends::Never)?,
            fresh_s: asker.time("How old may news be when it is shown?", self.fresh, 1.0)?,
            every_s: asker.time("How often does something change, for one user?", self.every, 30.0)?,
            users: asker.number("How many users are there at the same time?", self.users, 1_000)?,
            bytes: self.bytes,
            loss: asker.choice("May a message be lost?", self.loss, Loss::Never)?,
            network: match probed {
                Some(found) => self.network.unwrap_or(found),
                None => asker.choice("What lies between?", self.network, Network::Unknown)?,
            },
        };
        Ok(situation.clamped())
    }
}

/// The name of a value on the command line.
fn name(value: &impl clap::ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// An answer that nobody could use.
fn unusable(question: &str) -> Failure {
    Failure::new(format!("no usable answer to `{question}`"), "answer by a flag: see tidings advise --help")
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_value_has_a_name_and_a_time_is_more_than_nothing() {
        let names: Vec<_> = Network::value_variants().iter().map(name).collect();
        assert_eq!(names, ["direct", "unknown", "no-upgrades", "buffering"]);
        assert_eq!(Loss::from_str("allowed", false), Ok(Loss::Allowed));
        assert_eq!(seconds("1m 30s"), Ok(90.0));
        assert!(seconds("0s").is_err() && seconds("soon").is_err());
    }
}
