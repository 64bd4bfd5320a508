//! `tidings publish`: one message, or a line a message.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use bytes::Bytes;
use serde::de::IgnoredAny;

use super::error::Failure;
use super::input::{self, Kind};
use super::target::{Target, block_on};
use crate::client::{self, Body, Draft, Endpoint, ITEM_BYTES_MAX, Lines, Receipt};

/// The flags of `tidings publish`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What parses as JSON is published as JSON, anything else as text; --json and --text say it \
outright. The line break at the end of standard input is not part of a text, and what is not UTF-8 \
is published as bytes. With --lines the same rule holds for each line (a text becomes a JSON \
string), and blank lines are skipped.

A publish is tried again for a minute while the node is busy, and for 5 s while nothing answers \
at all; its id makes that safe.

Examples:
  tidings publish demo:hello '{\"text\":\"hi\"}'
  tidings publish demo:hello 'just text' --event note
  tail -f app.log | tidings publish demo:log --lines --text
  tidings publish demo:auction '' --close")]
pub struct Args {
    /// The channel.
    channel: String,
    /// The data; standard input if left out.
    data: Option<String>,
    /// Publish each line of standard input as a message, as it comes.
    #[arg(long, conflicts_with = "data")]
    lines: bool,
    /// The data is JSON; anything else is an error.
    #[arg(long, conflicts_with = "text")]
    json: bool,
    /// The data is text, even if it looks like JSON.
    #[arg(long)]
    text: bool,
    /// The event name, `message` by default.
    #[arg(long, value_name = "NAME")]
    event: Option<String>,
    /// The key for compaction.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// The idempotency key; a generated one if left out. The same one again is stored once.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Close the channel behind the message, or behind the last line. With DATA '' nothing but the end is stored.
    #[arg(long)]
    close: bool,
    #[command(flatten)]
    target: Target,
}

impl Args {
    fn kind(&self) -> Kind {
        match (self.json, self.text) {
            (true, _) => Kind::Json,
            (_, true) => Kind::Text,
            _ => Kind::Either,
        }
    }
}

/// Runs the command, and prints the node's reply.
///
/// # Errors
///
/// Data that is not what it is said to be, a refusal, or a node that is not to be reached.
pub fn run(args: Args) -> anyhow::Result<()> {
    let endpoint = args.target.endpoint()?;
    let id = args.id.clone().map_or_else(client::generated_id, Ok)?;
    let receipt = if args.lines {
        block_on(publish_lines(&endpoint, &args, id))?
    } else {
        let body = body(&args)?;
        let Args { channel, event, key, close, .. } = args;
        let draft = Draft { channel, event, key, id: Some(id), close, body };
        block_on(async { Ok(client::publish(&endpoint, &draft, tell_retry).await?) })?
    };
    print(&receipt).context("cannot write the reply")
}

async fn publish_lines(endpoint: &Endpoint, args: &Args, id: String) -> anyhow::Result<Receipt> {
    let Args { channel, event, key, .. } = args;
    let stream = Lines {
        channel: channel.clone(),
        event: event.clone(),
        key: key.clone(),
        id: Some(id.clone()),
        close: args.close,
    };
    let (lines, fault) = input::lines(args.kind());
    let published = client::publish_lines(endpoint, &stream, lines, tell_retry).await;
    let again = format!("mend the input and send all of it again with --id {id}: no line is stored twice");
    match (published, fault.take()) {
        (Ok(receipt), None) => Ok(receipt),
        (Ok(receipt), Some(fault)) => {
            let stored = receipt.published.unwrap_or_default();
            Err(Failure::new(format!("{fault}; stored before it: {stored}"), again).into())
        }
        (Err(client::Error::Refused(problem)), _) if problem.published.is_some() => {
            let stored = problem.published.unwrap_or_default();
            Err(Failure::new(format!("{problem}; stored before it: {stored}"), again).into())
        }
        (Err(error), _) => Err(error.into()),
    }
}

fn body(args: &Args) -> anyhow::Result<Body> {
    let bytes = match &args.data {
        Some(data) => data.clone().into_bytes(),
        None => {
            if io::stdin().is_terminal() {
                let _ = writeln!(anstream::stderr(), "reading the data from the terminal; Ctrl-D ends it");
            }
            let mut bytes = Vec::new();
            let most = u64::try_from(ITEM_BYTES_MAX).unwrap_or(u64::MAX);
            io::stdin()
                .lock()
                .take(most + 1)
                .read_to_end(&mut bytes)
                .context("cannot read standard input")?;
            if bytes.len() > ITEM_BYTES_MAX {
                let what = format!("standard input is larger than a message may be ({ITEM_BYTES_MAX} bytes)");
                return Err(Failure::new(what, "--lines, for a message a line").into());
            }
            bytes
        }
    };
    typed(bytes, args.kind(), args.data.is_none())
}

/// Decides what bytes are. `is_input`: a line break at their end is the shell's, not the text's.
fn typed(mut bytes: Vec<u8>, kind: Kind, is_input: bool) -> anyhow::Result<Body> {
    if kind != Kind::Text {
        match serde_json::from_slice::<IgnoredAny>(&bytes) {
            Ok(_) => return Ok(Body::Json(Bytes::copy_from_slice(bytes.trim_ascii()))),
            Err(error) if kind == Kind::Json => {
                let advice = "mend the JSON, or leave out --json to publish text";
                return Err(Failure::new(format!("the data is not JSON: {error}"), advice).into());
            }
            Err(_) => {}
        }
    }
    if std::str::from_utf8(&bytes).is_err() {
        if kind == Kind::Text {
            return Err(Failure::new("the data is not UTF-8", "leave out --text to publish bytes").into());
        }
        return Ok(Body::Bytes(bytes.into()));
    }
    if is_input && bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    Ok(Body::Text(bytes.into()))
}

fn tell_retry(why: &str, delay: Duration) {
    let _ = writeln!(anstream::stderr(), "{why}; trying again in {:.1} s", delay.as_secs_f32());
}

fn print(receipt: &Receipt) -> io::Result<()> {
    const GOOD: Style = AnsiColor::Green.on_default();
    const DIM: Style = Style::new().dimmed();
    if !io::stdout().is_terminal() {
        return writeln!(io::stdout(), "{}", receipt.text);
    }
    let what = match (receipt.published, receipt.duplicate) {
        (Some(count), _) => format!("published {count} messages"),
        (None, true) => "published before".to_owned(),
        (None, false) => "published".to_owned(),
    };
    let cursor = receipt.cursor.as_deref().unwrap_or("-");
    writeln!(anstream::stdout(), "{GOOD}{what}{GOOD:#} {DIM}cursor {cursor}{DIM:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_parses_as_json_is_json_and_flags_say_otherwise() {
        let typed = |data: &str, kind| typed(data.as_bytes().to_vec(), kind, true);
        assert!(matches!(typed("{\"a\": 1.0}\n", Kind::Either), Ok(Body::Json(b)) if b == "{\"a\": 1.0}"));
        assert!(matches!(typed("42", Kind::Either), Ok(Body::Json(_))));
        assert!(matches!(typed("42\n", Kind::Text), Ok(Body::Text(b)) if b == "42"));
        assert!(matches!(typed("hello\r\n", Kind::Either), Ok(Body::Text(b)) if b == "hello"));
        assert!(matches!(typed("", Kind::Either), Ok(Body::Text(b)) if b.is_empty()));
        assert!(typed("hello", Kind::Json).is_err());
    }

    #[test]
    fn bytes_are_bytes() {
        assert!(matches!(typed(vec![0xff, b'\n'], Kind::Either, true), Ok(Body::Bytes(b)) if b.len() == 2));
        assert!(typed(vec![0xff], Kind::Text, true).is_err());
    }
}
