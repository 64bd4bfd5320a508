//! What a node says while it runs: lines for people, JSON for machines. Tokens and payloads are never among it.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// The log, whose level can change.
pub struct Log(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl Log {
    /// Writes as much as `log.level` says from now on.
    pub fn set_level(&self, level: &str) {
        (self.0)(filter(level));
    }
}

/// Writes the log to standard error from now on. A second call changes nothing.
pub fn log_to_stderr(config: &LogConfig) -> Log {
    let people = std::io::stderr().is_terminal();
    let json = match config.format {
        LogFormat::Auto => !people,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter(&config.level))
        .with_writer(std::io::stderr)
        .with_ansi(people);
    // Both fail where a log is set up already, as in tests.
    if json {
        let log = log.json().flatten_event(true).with_filter_reloading();
        let level = log.reload_handle();
        let _ = log.try_init();
        Log(Box::new(move |filter| drop(level.reload(filter))))
    } else {
        let log = log.with_target(false).with_filter_reloading();
        let level = log.reload_handle();
        let _ = log.try_init();
        Log(Box::new(move |filter| drop(level.reload(filter))))
    }
}

fn filter(level: &str) -> EnvFilter {
    EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"))
}
