//! `tidings subscribe`: the messages of channels, as they come.

use std::io::{self, IsTerminal as _, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;

use super::acks::Acks;
use super::error::Failure;
use super::target::{Target, block_on};
use crate::client::{self, Gap, Item, Message, Rate, Reader, Start, Status, Subscription, Timing, Transport};

/// The flags of `tidings subscribe`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints one JSON line a message; what cannot be delivered is a line {\"gap\":{…}}. On a terminal a \
line is TIME CHANNEL EVENT DATA.

Examples:
  tidings subscribe demo:hello
  tidings subscribe orders:42 orders:43 --after earliest --limit 10 | jq .data
  tidings subscribe chat:lobby --last 20 --transport sse --url https://tidings.example.com
  tidings subscribe prices:all --max-rate 10 --conflate
  tidings subscribe jobs:mail --consumer mailer | ./send
  tidings subscribe orders:{1..500} --transport session")]
pub struct Args {
    /// The channels, all on one connection: at most 100, but with `--transport session` as many as
    /// the node allows (1,000 by default).
    #[arg(required = true, value_name = "CHANNEL", num_args = 1..)]
    channels: Vec<String>,
    /// How to read. `auto` takes the first of ws, sse, long-poll and poll that works; `session` is
    /// the session protocol on /v1/connect.
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    transport: Choice,
    /// Where to begin: `earliest`, `latest` or a cursor. Those of several channels may be joined
    /// by writing one after the other.
    #[arg(long, value_name = "CURSOR", default_value = "latest")]
    after: String,
    /// Begin with the N newest messages of each channel.
    #[arg(long, value_name = "N", conflicts_with = "after")]
    last: Option<u32>,
    /// Read as a durable consumer: go on after what this one was given before, and acknowledge what is printed.
    /// One that is new begins where `--after` or `--last` says.
    #[arg(long, value_name = "NAME")]
    consumer: Option<String>,
    /// End after N messages, counted over all reconnects.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Take at most N messages a second, of all channels together; over `--transport session` of each. 0.1 is
    /// one each ten seconds, 1000 the most.
    #[arg(long, value_name = "N", value_parser = rate)]
    max_rate: Option<f64>,
    /// Between two messages keep the newest of each key alone.
    #[arg(long, requires = "max_rate")]
    conflate: bool,
    /// Say on standard error how the connection is, even if that is no terminal.
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    target: Target,
}

/// Channels on one connection, on every transport but a session.
const CHANNELS_MAX: usize = 100;

/// How often to look whether anybody still reads the output, while there is nothing to write.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Choice {
    Auto,
    Ws,
    Sse,
    LongPoll,
    Poll,
    Session,
}

/// Runs the command until the limit, an interrupt, or the end of who reads its output.
///
/// # Errors
///
/// Too many channels for the transport, a refusal, or an output that cannot be written.
pub fn run(args: Args) -> anyhow::Result<()> {
    let endpoint = args.target.endpoint()?;
    check_count(args.channels.len(), args.transport)?;
    let start = match (args.last, args.after.as_str()) {
        (Some(count), _) => Start::Last(count),
        (None, "latest") => Start::Latest,
        (None, "earliest") => Start::Earliest,
        (None, _) => Start::After(args.after),
    };
    let transport = match args.transport {
        Choice::Auto => None,
        Choice::Ws => Some(Transport::Ws),
        Choice::Sse => Some(Transport::Sse),
        Choice::LongPoll => Some(Transport::LongPoll),
        Choice::Poll => Some(Transport::Poll),
        Choice::Session => Some(Transport::Session),
    };
    let subscription = Subscription {
        channels: args.channels,
        start,
        consumer: args.consumer.clone(),
        transport,
        limit: args.limit,
        rate: args.max_rate.map(|per_second| Rate { per_second, conflate: args.conflate }),
        timing: Timing::default(),
    };
    let mut printer = Printer::new(args.verbose);
    block_on(async {
        let mut acks = args.consumer.map(|consumer| Acks::new(endpoint.clone(), consumer));
        let mut reader = Reader::new(endpoint, subscription);
        follow(&mut reader, &mut printer, acks.as_mut()).await?;
        reader.close().await;
        match acks {
            Some(acks) => Ok(acks.finish().await?),
            None => Ok(()),
        }
    })
}

/// Prints all that comes, until there is a reason to end.
async fn follow(
    reader: &mut Reader,
    printer: &mut Printer,
    mut acks: Option<&mut Acks>,
) -> anyhow::Result<()> {
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(interrupt);
    loop {
        let refused = async {
            match &mut acks {
                Some(acks) => acks.refused().await,
                None => std::future::pending().await,
            }
        };
        let item = tokio::select! {
            biased;
            interrupt = &mut interrupt => return Ok(interrupt?),
            error = refused => return Err(error.into()),
            item = next(reader) => match item? {
                Some(item) => item,
                None => return Ok(()),
            },
        };
        match printer.print(&item) {
            Ok(()) if matches!(item, Item::End) => return Ok(()),
            Ok(()) => acks.iter().for_each(|acks| acks.printed(&item)),
            // Who reads has had enough: `| head` is no failure.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(anyhow::Error::new(error).context("cannot write the messages")),
        }
    }
}

/// A rate that the server takes.
fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| *rate > 0.0 && *rate <= 1_000.0);
    rate.ok_or_else(|| "it is a number of messages a second over 0, at most 1000".to_owned())
}

/// Refuses what the server would refuse, with the way out.
fn check_count(channels: usize, transport: Choice) -> Result<(), Failure> {
    if channels <= CHANNELS_MAX || matches!(transport, Choice::Session) {
        return Ok(());
    }
    let what =
        format!("{channels} channels are too many: all transports but a session take at most {CHANNELS_MAX}");
    let advice = "use --transport session, which takes as many as the node allows \
                  (limits.connection_channels, 1000 by default)";
    Err(Failure::new(what, advice))
}

/// The next item; `None` if nobody reads the output any more.
async fn next(reader: &mut Reader) -> Result<Option<Item>, client::Error> {
    let item = reader.next();
    tokio::pin!(item);
    loop {
        match tokio::time::timeout(LOOK_EVERY, &mut item).await {
            Ok(item) => return item.map(Some),
            Err(_) if is_abandoned() => return Ok(None),
            Err(_) => {}
        }
    }
}

/// Whether standard output is a pipe that nobody reads. A write would tell, but on a quiet channel
/// there may be none for hours.
fn is_abandoned() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stdout = io::stdout();
    let mut look = [PollFd::new(&stdout, PollFlags::empty())];
    poll(&mut look, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok()
        && look[0].revents().contains(PollFlags::ERR)
}

/// Writes items, for a program or for a person.
struct Printer {
    is_pretty: bool,
    is_telling: bool,
}

const DIM: Style = Style::new().dimmed();
const CHANNEL: Style = AnsiColor::Cyan.on_default();
const EVENT: Style = AnsiColor::Green.on_default();
const WARN: Style = AnsiColor::Yellow.on_default();

impl Printer {
    fn new(is_verbose: bool) -> Self {
        Self { is_pretty: io::stdout().is_terminal(), is_telling: is_verbose || io::stderr().is_terminal() }
    }

    /// Writes one item and flushes it.
    fn print(&mut self, item: &Item) -> io::Result<()> {
        match item {
            Item::Status(status) => {
                if self.is_telling {
                    // Where standard error is gone, the messages still count.
                    let _ = writeln!(anstream::stderr(), "{DIM}{}{DIM:#}", plain(&told(status)));
                }
                Ok(())
            }
            Item::End => Ok(()),
            _ if self.is_pretty => write_pretty(&mut anstream::stdout().lock(), item),
            _ => write_json(&mut io::stdout().lock(), item),
        }
    }
}

fn write_json(out: &mut impl Write, item: &Item) -> io::Result<()> {
    match item {
        Item::Message(message) => writeln!(out, "{}", message.json())?,
        Item::Gap(gap) => writeln!(out, "{{\"gap\":{}}}", gap.text)?,
        Item::Closed(end) => writeln!(out, "{{\"end\":{end}}}")?,
        Item::Status(_) | Item::End => {}
    }
    out.flush()
}

fn write_pretty(out: &mut impl Write, item: &Item) -> io::Result<()> {
    match item {
        Item::Message(message) => write_message(out, message)?,
        Item::Gap(gap) => writeln!(out, "{WARN}{}{WARN:#}", plain(&missing(gap)))?,
        Item::Closed(end) => writeln!(out, "{WARN}closed: {}{WARN:#}", plain(end))?,
        Item::Status(_) | Item::End => {}
    }
    out.flush()
}

fn write_message(out: &mut impl Write, message: &Message) -> io::Result<()> {
    let Ok(parts) = message.parts() else { return writeln!(out, "{}", plain(message.json())) };
    let time = parts.time.as_deref().unwrap_or("-");
    let (channel, event, data) = (plain(&parts.channel), plain(&parts.event), plain(parts.data.get()));
    writeln!(out, "{DIM}{}{DIM:#} {CHANNEL}{channel}{CHANNEL:#} {EVENT}{event}{EVENT:#} {data}", plain(time))
}

/// What a gap means, for a person.
fn missing(gap: &Gap) -> String {
    let count = gap.missed.map_or_else(|| "some".to_owned(), |missed| missed.to_string());
    let why = match gap.why.as_str() {
        "expired" => "they are no longer retained",
        "epoch" => "the channel was begun anew",
        "lagged" => "this reader was too slow",
        why => why,
    };
    format!("gap in {}: {count} messages are missing ({why})", gap.channel)
}

fn told(status: &Status) -> String {
    match status {
        Status::Connected { transport, delivery: Some(delivery) } => {
            format!("connected over {transport}, {delivery}")
        }
        Status::Connected { transport, delivery: None } => format!("connected over {transport}"),
        Status::Waiting { transport, why, delay } => {
            let delay = Duration::from_millis(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
            format!("{why}; trying {transport} again in {}", humantime::format_duration(delay))
        }
    }
}

/// Text without control characters, with which a publisher could steer the reader's terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap() -> Gap {
        let text = r#"{"channel":"a","after":"x","until":"y","why":"expired","missed":3}"#;
        Gap {
            text: text.into(),
            channel: "a".into(),
            until: Some("y".into()),
            why: "expired".into(),
            missed: Some(3),
        }
    }

    #[test]
    fn a_gap_is_a_line_of_its_own() {
        let mut out = Vec::new();
        write_json(&mut out, &Item::Gap(gap())).unwrap();
        let line = String::from_utf8(out).unwrap();
        assert!(line.starts_with("{\"gap\":{\"channel\":\"a\"") && line.ends_with("}}\n"), "{line}");
        assert_eq!(missing(&gap()), "gap in a: 3 messages are missing (they are no longer retained)");
    }

    #[test]
    fn more_than_a_hundred_channels_need_a_session() {
        assert!(check_count(100, Choice::Auto).is_ok());
        assert!(check_count(1000, Choice::Session).is_ok());
        for choice in [Choice::Auto, Choice::Ws, Choice::Sse, Choice::LongPoll, Choice::Poll] {
            let why = check_count(101, choice).unwrap_err().to_string();
            assert!(why.starts_with("101 channels are too many") && why.contains("at most 100"), "{why}");
        }
    }

    #[test]
    fn a_message_cannot_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\u{9b}"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
