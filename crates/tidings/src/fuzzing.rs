//! Fuzz targets of the configuration, of what proxies say, and of what a server sends. See `tidings_core::fuzzing`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use bytes::Bytes;
use tidings_core::fuzzing::{Target, pieces};

pub use crate::node::fuzz::proxies;

use crate::client::{Block, Parser, TooLong};
use crate::config::{Config, ConfigError, Env, Flags, Loaded, Report};

/// The targets of this crate, by the name of their folder in the corpus.
pub const TARGETS: &[(&str, Target)] =
    &[("config", config), ("environment", environment), ("proxies", proxies), ("events", events)];

/// What a sentence may take on a terminal.
const SENTENCE_BYTES_MAX: usize = 4_096;

/// The text of a configuration file, by itself and under `--dev`.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for dev in [false, true] {
        let flags = Flags { dev, listen: None };
        judge(Config::load_text(Some(("tidings.toml", text)), &Env::default(), &flags));
    }
}

/// The environment, over a file: lines of `NAME=value`, without the `TIDINGS_` before each name; after an
/// empty line the text of the file.
pub fn environment(data: &[u8]) {
    let end = data.windows(2).position(|pair| pair == b"\n\n");
    let (variables, file) = data.split_at(end.unwrap_or(data.len()));
    let env: Env = variables.split(|byte| *byte == b'\n').filter_map(variable).collect();
    let Ok(file) = std::str::from_utf8(file) else { return };
    judge(Config::load_text(Some(("tidings.toml", file)), &env, &Flags::default()));
}

fn variable(line: &[u8]) -> Option<(String, OsString)> {
    let equals = line.iter().position(|byte| *byte == b'=')?;
    let name = std::str::from_utf8(&line[..equals]).ok()?;
    Some((format!("TIDINGS_{name}"), OsString::from_vec(line[equals + 1..].to_vec())))
}

/// What is loaded keeps its bounds; what is refused is refused in a sentence, with advice.
fn judge(loaded: Result<Loaded, ConfigError>) {
    match loaded {
        Ok(loaded) => {
            let config = &loaded.config;
            let within = |period: Duration, min: Duration, max: Duration| (min..=max).contains(&period);
            assert!(within(config.heartbeat.0, Duration::from_secs(1), Duration::from_secs(60)));
            assert!(within(config.max_lag.0, Duration::from_millis(100), Duration::from_secs(600)));
            assert!(within(config.shutdown_grace.0, Duration::ZERO, Duration::from_secs(600)));
            loaded.warnings.iter().for_each(|warning| sentence(warning));
            let _ = (config.policy(), Report::new(&loaded));
        }
        Err(error) => {
            sentence(error.sentence());
            sentence(error.advice());
            assert_eq!(error.to_string(), format!("{}\ntry: {}", error.sentence(), error.advice()));
        }
    }
}

/// An event stream of a server, as the client reads it. The first byte says how large a block may be; the
/// second, in which pieces it arrives.
pub fn events(data: &[u8]) {
    let [how, seed, stream @ ..] = data else { return };
    let max = [8, 40, 200, 4_000][usize::from(how & 3)];
    let whole = blocks(max, [stream]);
    assert_eq!(
        whole,
        blocks(max, pieces(stream, *seed)),
        "what a stream says is not for the network to choose"
    );
    let (blocks, ended) = whole;
    for Block { id, event, data, .. } in &blocks {
        let bytes = [id, data].into_iter().flatten().map(String::len).sum::<usize>() + event.len();
        // A byte that is no UTF-8 becomes a character of three.
        assert!(bytes <= 3 * max, "a block of {bytes} bytes, of at most {max}");
        assert!(id.as_ref().is_none_or(|id| !id.contains(['\0', '\r', '\n'])));
        assert!(!event.contains(['\r', '\n']));
        assert!(data.as_ref().is_none_or(|data| !data.contains('\r')));
    }
    if ended.is_ok() {
        assert_eq!(blocks, by_the_standard(stream));
    }
}

fn blocks<'a>(max: usize, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Block>, Result<(), TooLong>) {
    let (mut parser, mut blocks) = (Parser::new(max), Vec::new());
    for piece in pieces {
        parser.feed(Bytes::copy_from_slice(piece));
        loop {
            match parser.next_block() {
                Ok(Some(block)) => blocks.push(block),
                Ok(None) => break,
                Err(error) => return (blocks, Err(error)),
            }
        }
    }
    (blocks, Ok(()))
}

/// The same by the steps of WHATWG HTML section 9.2.6, for a stream that is whole and small.
fn by_the_standard(stream: &[u8]) -> Vec<Block> {
    // Line ends are ASCII: what they part is decoded alike, before or after.
    let text = String::from_utf8_lossy(stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream));
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let (mut blocks, mut block, mut any) = (Vec::new(), Block::default(), false);
    // What no line end ends is no line.
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        if line.is_empty() {
            let done = std::mem::take(&mut block);
            blocks.extend(std::mem::take(&mut any).then_some(done));
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                block.data = Some(block.data.map_or(value.to_owned(), |before| before + "\n" + value));
            }
            "event" => block.event = value.to_owned(),
            "id" if !value.contains('\0') => block.id = Some(value.to_owned()),
            // One without digits, or too large to be waited for, is none.
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                block.retry_ms = value.parse().ok().or(block.retry_ms);
            }
            _ => {}
        }
        any = block != Block::default();
    }
    blocks
}

/// One line that a terminal can show as it is.
fn sentence(text: &str) {
    assert!(!text.trim().is_empty(), "an error or a warning without a word");
    assert!(!text.chars().any(char::is_control), "control characters in {text:?}");
    assert!(text.len() <= SENTENCE_BYTES_MAX, "{} bytes", text.len());
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_kept_of_each_target_holds() {
        tidings_core::fuzzing::replay(super::TARGETS).unwrap();
    }
}
