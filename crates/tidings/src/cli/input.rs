//! Standard input, a line at a time, as the values of an NDJSON stream.

use std::io::{self, BufRead, Read as _};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use parking_lot::Mutex;
use serde::de::IgnoredAny;
use tokio::sync::mpsc;

use crate::client::ITEM_BYTES_MAX;

/// Lines that are read but not yet on their way. Past this, reading waits.
const LINES_MAX: usize = 64;

/// What the data is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// JSON, or it is an error.
    Json,
    /// Text, whatever it looks like.
    Text,
    /// JSON if it parses as JSON, else text.
    Either,
}

/// What is wrong with a line, once reading has stopped at it.
#[derive(Debug, Clone, Default)]
pub(super) struct Fault(Arc<Mutex<Option<String>>>);

impl Fault {
    /// Takes it, if there is one.
    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().take()
    }
}

/// The lines of standard input, each as JSON text. They end at the input's end, or before a line
/// that is at fault.
///
/// They are read on a thread of their own, for a read of a terminal or a pipe may last for ever;
/// the thread ends with the input, or at the first line that nobody takes any more.
pub(super) fn lines(kind: Kind) -> (Pin<Box<dyn Stream<Item = Bytes> + Send>>, Fault) {
    let (to, from) = mpsc::channel(LINES_MAX);
    let fault = Fault::default();
    let kept = fault.clone();
    std::thread::spawn(move || {
        if let Err(found) = read(io::stdin().lock(), kind, &to) {
            *kept.0.lock() = Some(found);
        }
    });
    let lines =
        futures_util::stream::unfold(from, |mut from| async { from.recv().await.map(|line| (line, from)) });
    (Box::pin(lines), fault)
}

fn read(mut input: impl BufRead, kind: Kind, to: &mpsc::Sender<Bytes>) -> Result<(), String> {
    let most = u64::try_from(ITEM_BYTES_MAX).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        let read = input.by_ref().take(most).read_until(b'\n', &mut line);
        if read.map_err(|error| format!("cannot read line {number}: {error}"))? == 0 {
            break;
        }
        if line.len() == ITEM_BYTES_MAX && !line.ends_with(b"\n") {
            return Err(format!("line {number} is longer than a message may be ({ITEM_BYTES_MAX} bytes)"));
        }
        let text = std::str::from_utf8(&line).map_err(|_| format!("line {number} is not UTF-8"))?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.trim().is_empty() {
            continue;
        }
        let value = value(text, kind).map_err(|error| format!("line {number} is not JSON: {error}"))?;
        if to.blocking_send(value).is_err() {
            break;
        }
    }
    Ok(())
}

/// The line as JSON text: itself, or a string.
fn value(line: &str, kind: Kind) -> serde_json::Result<Bytes> {
    let parsed = serde_json::from_str::<IgnoredAny>(line);
    match (kind, parsed) {
        (Kind::Json, Err(error)) => Err(error),
        // A carriage return in the middle is space in JSON, and would be a line break to others.
        (Kind::Json | Kind::Either, Ok(_)) => Ok(line.trim().replace('\r', " ").into()),
        (Kind::Text, _) | (Kind::Either, Err(_)) => serde_json::to_vec(line).map(Bytes::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(input: &str, kind: Kind) -> (Vec<String>, Result<(), String>) {
        let (to, mut from) = mpsc::channel(LINES_MAX);
        let result = read(input.as_bytes(), kind, &to);
        drop(to);
        let mut lines = Vec::new();
        while let Some(line) = from.blocking_recv() {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
        }
        (lines, result)
    }

    #[test]
    fn a_line_is_a_value() {
        let (lines, result) = read_all("{\"a\":1}\n\nplain \"text\"\r\n42", Kind::Either);
        assert_eq!(lines, ["{\"a\":1}", "\"plain \\\"text\\\"\"", "42"]);
        assert_eq!(result, Ok(()));
        assert_eq!(read_all("42\n", Kind::Text).0, ["\"42\""]);
    }

    #[test]
    fn reading_stops_before_a_line_at_fault_and_names_it() {
        let (lines, result) = read_all("1\n2\nx\n4\n", Kind::Json);
        assert_eq!(lines, ["1", "2"]);
        assert!(result.unwrap_err().starts_with("line 3 is not JSON"));
    }
}
