//! `tidings bench memory`: what an idle subscriber keeps resident.

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use super::certificate::Certificate;
use super::child::Child;
use super::load::{Goal, Load};
use super::plan::{Plan, Server};
use super::process::resident_bytes;
use super::progress::Progress;
use super::stream::Transport;
use super::{failure, limits, report};

/// The flags of `tidings bench memory`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    tidings bench memory\n  \
    tidings bench memory --connections 5000 --transport sse --idle 10 --json\n  \
    tidings bench memory --deflate")]
pub struct Args {
    /// Subscribers of one channel.
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// How they read; `both` is one kind after the other, each on a fresh node.
    #[arg(long, value_enum, default_value = "both")]
    transport: Kinds,
    /// Messages that each must get before it idles.
    #[arg(long, default_value_t = 100)]
    messages: u64,
    /// Length of a message's data.
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    /// Seconds without a message before memory is read.
    #[arg(long, default_value_t = 60.0)]
    idle: f64,
    /// Fail if a connection keeps more bytes resident than this.
    #[arg(long, default_value_t = 4096, value_name = "BYTES")]
    at_most: u64,
    /// The channel.
    #[arg(long, default_value = "durable:bench")]
    channel: String,
    /// Over TLS, with a certificate for the occasion (needs `openssl`).
    #[arg(long, conflicts_with = "floor")]
    tls: bool,
    /// WebSockets alone, whose messages are compressed (`websocket.deflate`).
    #[arg(long, conflicts_with = "floor")]
    deflate: bool,
    /// Measure the bare epoll loop instead of a node.
    #[arg(long)]
    floor: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Which transports to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kinds {
    /// WebSocket.
    Ws,
    /// Server-sent events over HTTP/1.1.
    Sse,
    /// One, then the other.
    Both,
}

/// What `--dev` has, which neither speaks TLS of itself nor compresses.
const NAMESPACE: &str = "[auth]\napi_keys = [\"sk_bench\"]\n[namespaces.durable]\ndelivery = \"at-least-once\"\n\
    subscribe = \"public\"\n";
const KEY: &str = "sk_bench";
const DEFLATE: &str = "[websocket]\ndeflate = true\n";

/// Everything that was found, as `--json` prints it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `memory`.
    pub scenario: &'static str,
    /// `tidings`, or `floor` for the bare loop.
    pub server: &'static str,
    /// Subscribers.
    pub connections: usize,
    /// Messages that each got.
    pub messages: u64,
    /// Whether over TLS.
    pub tls: bool,
    /// Whether messages were compressed.
    pub deflate: bool,
    /// Seconds that they idled.
    pub idle_s: f64,
    /// One for each transport.
    pub kinds: Vec<Kind>,
    /// The most that passes.
    pub at_most_bytes: u64,
    /// Whether all pass.
    pub pass: bool,
}

/// The memory of one kind of subscriber.
#[derive(Debug, Serialize)]
pub struct Kind {
    /// How they read.
    pub transport: Transport,
    /// Resident before the first connected.
    pub before_bytes: u64,
    /// Resident when all had connected.
    pub connected_bytes: u64,
    /// Resident when all had got their messages.
    pub busy_bytes: u64,
    /// Resident after the idle time.
    pub idle_bytes: u64,
    /// Growth from before to idle, for each connection.
    pub per_connection_bytes: u64,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<()> {
    limits::raise(args.connections)?;
    let transports: &[Transport] = match args.transport {
        Kinds::Sse if args.deflate => {
            return Err(failure("no event stream is compressed".into(), "--deflate with --transport ws"));
        }
        Kinds::Both if args.deflate => &[Transport::Ws],
        Kinds::Ws => &[Transport::Ws],
        Kinds::Sse => &[Transport::Sse],
        Kinds::Both => &[Transport::Ws, Transport::Sse],
    };
    let kinds =
        transports.iter().map(|transport| measure(args, *transport)).collect::<anyhow::Result<Vec<_>>>()?;
    let worst = kinds.iter().map(|kind| kind.per_connection_bytes).max().unwrap_or(0);
    let report = Report {
        scenario: "memory",
        server: if args.floor { "floor" } else { "tidings" },
        connections: args.connections,
        messages: args.messages,
        tls: args.tls,
        deflate: args.deflate,
        idle_s: args.idle,
        kinds,
        at_most_bytes: args.at_most,
        pass: worst <= args.at_most,
    };
    report::print_memory(&report, args.json)?;
    if report.pass {
        return Ok(());
    }
    Err(failure(
        format!("an idle connection keeps {worst} bytes resident, over the {} allowed", args.at_most),
        "a release build, and enough --connections that the node's own growth is spread thin",
    ))
}

fn measure(args: &Args, transport: Transport) -> anyhow::Result<Kind> {
    let mut progress = Progress::new();
    progress.title(format!("{transport:?}").to_lowercase());
    let certificate = args.tls.then(Certificate::make).transpose()?;
    let is_configured = args.tls || args.deflate;
    let child = if is_configured {
        let (tls, files) = certificate.as_ref().map(Certificate::files).unwrap_or_default();
        let deflate = if args.deflate { DEFLATE } else { "" };
        Child::configured(&format!("{NAMESPACE}{deflate}{tls}"), &files)?
    } else if args.floor {
        Child::floor(300, false)?
    } else {
        Child::tidings()?
    };
    let mut server = Server::local(child.address(), is_configured.then(|| KEY.to_owned()));
    server.tls = certificate.map(|made| made.client(None)).transpose()?;
    let plan = Plan {
        server,
        channels: vec![args.channel.clone()],
        subscribers: args.connections,
        window: 1,
        bytes: args.bytes,
        transport,
        deflate: args.deflate,
        paced: None,
    };
    let before_bytes = resident_bytes(child.pid())?;
    let mut load = Load::connect(plan, &mut progress)?;
    let connected_bytes = resident_bytes(child.pid())?;
    for sent in 0..args.messages {
        progress.show(format_args!("{sent} of {} messages received by all", args.messages));
        load.run(Goal::Messages(1))?;
    }
    let busy_bytes = resident_bytes(child.pid())?;
    let idle = Duration::from_secs_f64(args.idle.clamp(0.0, 86_400.0));
    progress.show(format_args!("idle for {} s", idle.as_secs_f64()));
    load.run(Goal::Idle(idle))?;
    let idle_bytes = resident_bytes(child.pid())?;
    load.finish()?;
    Ok(Kind {
        transport,
        before_bytes,
        connected_bytes,
        busy_bytes,
        idle_bytes,
        per_connection_bytes: idle_bytes
            .saturating_sub(before_bytes)
            .div_ceil(args.connections.max(1) as u64),
    })
}
