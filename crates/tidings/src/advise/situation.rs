//! What is asked.

use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What an application needs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Situation {
    /// Whether the client sends, or only receives.
    pub sends: Sends,
    /// How old news may be when it is shown, in seconds; at least 0.01.
    pub fresh_s: f64,
    /// How often something changes for one user, in seconds; at least 0.001.
    pub every_s: f64,
    /// Users who are there at the same time.
    pub users: u64,
    /// Bytes of a message's data.
    pub bytes: u64,
    /// Whether a message may be lost.
    pub loss: Loss,
    /// What lies between.
    pub network: Network,
}

/// How often a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sends {
    /// It only receives: news, prices, notifications
    Never,
    /// Now and then, when a person acts: chat, orders, bids
    Sometimes,
    /// Once a second or more: typing, cursors, games
    Often,
}

/// Whether a message may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Each counts: orders, chat, what a page builds its state from
    Never,
    /// The next one makes up for it: positions, prices, presence
    Allowed,
}

/// What lies between the node and its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// Proxies of your own alone, set up as docs/proxies.md says, or none
    Direct,
    /// Offices, hotels, mobile networks: anything
    Unknown,
    /// Something that lets no WebSocket through
    NoUpgrades,
    /// Something that holds responses back until they are whole
    Buffering,
}

impl Situation {
    /// Within its bounds, whatever was given.
    #[must_use]
    pub fn clamped(self) -> Self {
        let within = |seconds: f64, least: f64| {
            if seconds.is_finite() { seconds.clamp(least, 604_800.0) } else { least }
        };
        Self {
            fresh_s: within(self.fresh_s, 0.01),
            every_s: within(self.every_s, 0.001),
            users: self.users.clamp(1, 1_000_000_000),
            bytes: self.bytes.min(1 << 20),
            ..self
        }
    }

    /// Between two polls, in seconds: no more often than is fresh enough, and not more than once a second.
    pub(super) fn poll_every_s(&self) -> f64 {
        self.fresh_s.max(1.0)
    }
}

/// Seconds in words: `250ms`, `10s`, `5m`.
pub(super) fn seconds(seconds: f64) -> String {
    let whole = Duration::from_millis((seconds * 1_000.0).round() as u64);
    humantime::format_duration(whole).to_string()
}
