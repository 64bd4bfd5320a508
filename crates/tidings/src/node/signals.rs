//! What an operator asks of a node by a signal: to stop, and to read its configuration again.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The wishes to read the configuration again (SIGHUP). Those that come at once are one.
pub struct Hangups(Signal);

impl Hangups {
    /// Listens from now on; without it the signal ends the process.
    pub fn listen() -> anyhow::Result<Self> {
        Ok(Hangups(signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?))
    }

    /// Waits for the next.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            // No more can come.
            std::future::pending().await
        }
    }
}

/// Waits for SIGTERM or SIGINT, and says which.
pub async fn stop_signal() -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
