//! What a node says while it runs: lines for people, JSON for machines. Tokens and payloads are never among it.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// Writes the log to standard error from now on. A second call changes nothing.
pub fn log_to_stderr(config: &LogConfig) {
    let people = std::io::stderr().is_terminal();
    let json = match config.format {
        LogFormat::Auto => !people,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let filter = EnvFilter::try_new(&config.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(people);
    // Fails where a log is set up already, as in tests.
    let _ = match json {
        true => log.json().flatten_event(true).try_init(),
        false => log.with_target(false).try_init(),
    };
}
