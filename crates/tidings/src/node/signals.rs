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

/// The wishes to stop (SIGTERM, SIGINT).
pub struct Stops {
    terminate: Signal,
    interrupt: Signal,
}

impl Stops {
    /// Listens from now on; without it the signals end the process.
    pub fn listen() -> anyhow::Result<Self> {
        Ok(Stops {
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
        })
    }

    /// Waits for the next, and says which it was.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
