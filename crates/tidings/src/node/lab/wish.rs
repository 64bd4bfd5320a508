//! What a lab is asked for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidings_core::{Code, Error, Result};

/// A lane, by the transport that a page reads it with first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Lane {
    /// Asks at an interval.
    Poll,
    /// Asks, and waits where there is nothing.
    LongPoll,
    /// Server-Sent Events.
    Sse,
    /// A WebSocket.
    Ws,
}

/// A lab that begins, or goes on after a restart of the node.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Opening {
    /// The lab that goes on: 8 characters of `0-9 a-f`. Without it a new one begins.
    pub id: Option<String>,
    /// On which ports its lanes were, so that their clients find them again.
    pub ports: BTreeMap<Lane, u16>,
    /// What is published from the beginning on.
    pub publish: Option<Publishing>,
}

/// What is to change.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Changes {
    /// Which lanes are meant; without it all.
    pub lanes: Option<Vec<Lane>>,
    /// Cuts every connection of them, by an RST.
    #[serde(default)]
    pub cut: bool,
    /// Whether nothing passes, as without a network.
    pub offline: Option<bool>,
    /// Whether upgrades are refused. A WebSocket that is open is cut then.
    pub block_upgrades: Option<bool>,
    /// Whether event streams are held back.
    pub buffer_streams: Option<bool>,
    /// What is published.
    pub publish: Option<Publishing>,
}

/// How much is published.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Publishing {
    /// Messages a second; 0 for none.
    pub rate: f64,
    /// Bytes of each, at least; a number and a time take some sixty.
    pub bytes: usize,
}

/// Messages a second, at most.
const RATE_MAX: f64 = 200.0;
/// Bytes of a message, at most.
const BYTES_MAX: usize = 64 << 10;
/// Bytes a second, at most: all of it is kept for two minutes.
const BYTES_A_SECOND_MAX: f64 = 2_097_152.0;

impl Lane {
    /// All of them.
    pub(super) const ALL: [Lane; 4] = [Lane::Poll, Lane::LongPoll, Lane::Sse, Lane::Ws];
}

impl Publishing {
    /// What a lab publishes unless it is told otherwise.
    pub(super) const USUAL: Publishing = Publishing { rate: 2.0, bytes: 128 };

    /// Checks the bounds.
    pub(super) fn checked(self) -> Result<Self> {
        let bad = |detail: String| Err(Error::new(Code::BadJson, detail));
        if !(0.0..=RATE_MAX).contains(&self.rate) {
            return bad(format!("`rate` is not between 0 and {RATE_MAX} messages a second"));
        }
        if self.bytes > BYTES_MAX {
            return bad(format!("`bytes` is more than {BYTES_MAX}"));
        }
        let each_second = self.rate * self.bytes as f64;
        if each_second > BYTES_A_SECOND_MAX {
            return bad(format!(
                "{each_second:.0} bytes a second are more than 2 MiB; lower `rate` or `bytes`"
            ));
        }
        Ok(self)
    }
}
