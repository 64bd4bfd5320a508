//! The command line: one file a command.

mod acks;
mod advise;
mod bench;
mod check;
mod error;
mod input;
mod key;
mod operate;
mod output;
mod progress;
mod publish;
mod serve;
mod server;
mod subscribe;
mod target;
mod token;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use error::Failure;
pub use target::Target;

/// Real-time delivery: one channel, every transport, nothing lost silently.
#[derive(Debug, Parser)]
#[command(name = "tidings", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node.
    Serve(serve::Args),
    /// Publish a message, or a line a message from standard input.
    Publish(publish::Args),
    /// Print the messages of channels as JSON lines; resumes by itself.
    Subscribe(subscribe::Args),
    /// Make a token for a client.
    Token(token::Args),
    /// Make an API key for a backend.
    Key(key::Args),
    /// Show the nodes of a cluster, and how each is.
    Nodes(operate::Nodes),
    /// List the channels that are read.
    Channels(operate::Channels),
    /// Show one channel: its bounds, its readers and how far each is, and who is present.
    Channel(operate::Channel),
    /// List the live connections.
    Clients(operate::Clients),
    /// End live connections.
    Disconnect(operate::Disconnect),
    /// Stop a node as a signal would.
    Drain(operate::Drain),
    /// End the tokens of a user, or one token, before their time.
    Revoke(operate::Revoke),
    /// Say by the exit code whether a node is ready.
    Healthcheck(operate::Healthcheck),
    /// Validate a configuration and say what it means.
    Check(check::Args),
    /// Measure a node under load.
    Bench(bench::Args),
    /// Prove the guarantees of a node, under faults.
    Verify(verify::Args),
    /// Choose a transport and a guarantee, and see what they cost.
    Advise(advise::Args),
}

/// Runs the command that the arguments name. A failure is a line on standard error that says what
/// is the matter, and one that says what to try.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Publish(args) => publish::run(args),
        Command::Subscribe(args) => subscribe::run(args),
        Command::Token(args) => token::run(args),
        Command::Key(args) => key::run(args),
        Command::Nodes(args) => args.run(),
        Command::Channels(args) => args.run(),
        Command::Channel(args) => args.run(),
        Command::Clients(args) => args.run(),
        Command::Disconnect(args) => args.run(),
        Command::Drain(args) => args.run(),
        Command::Revoke(args) => args.run(),
        Command::Healthcheck(args) => args.run(),
        Command::Check(args) => check::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Advise(args) => advise::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error::report(&error);
            ExitCode::FAILURE
        }
    }
}
