//! Fuzz targets of the configuration. See `tidings_core::fuzzing`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use tidings_core::fuzzing::Target;

use crate::config::{Config, ConfigError, Env, Flags, Loaded, Report};

/// The targets of this crate, by the name of their folder in the corpus.
pub const TARGETS: &[(&str, Target)] = &[("config", config), ("environment", environment)];

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
