//! What a node says while it runs: lines for people, JSON for machines. Tokens and payloads are never among it.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry, reload};

use crate::config::{LogConfig, LogFormat};

/// The log, whose level can change.
pub struct Log(Box<dyn Fn(Targets) + Send + Sync>);

impl Log {
    /// Writes as much as `log.level` says from now on.
    pub fn set_level(&self, level: &str) {
        (self.0)(targets(level));
    }
}

/// Writes the log to standard error from now on. A second call changes nothing.
pub fn log_to_stderr(config: &LogConfig) -> Log {
    let people = stderr().is_terminal();
    let json = match config.format {
        LogFormat::Auto => !people,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let lines = fmt::layer().with_writer(stderr).with_ansi(people);
    let lines =
        if json { lines.json().flatten_event(true).boxed() } else { lines.with_target(false).boxed() };
    let (targets, level) = reload::Layer::new(targets(&config.level));
    // Fails where a log is set up already, as in tests.
    let _ = registry().with(lines.with_filter(targets)).try_init();
    Log(Box::new(move |targets| drop(level.reload(targets))))
}

fn targets(level: &str) -> Targets {
    level.parse().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO))
}
