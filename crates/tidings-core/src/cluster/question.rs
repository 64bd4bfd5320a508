//! What one node asks the others, and what they answer, as it stands in the logs between them.

use serde::{Deserialize, Serialize};

use super::entry::{ClientEntry, ReaderPlace, Whose};

/// A question, and who asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Asked {
    /// The life of the node that asks.
    pub(super) from: String,
    /// Which of its questions this is.
    pub(super) id: String,
    /// On whose behalf.
    pub(super) by: String,
    pub(super) at_ms: u64,
    pub(super) question: Question,
}

/// A node that does not know a question does not answer it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Question {
    Readers { channel: String, limit: usize },
    Clients { user: Option<String>, limit: usize },
    Channels { prefix: String, after: Option<String>, limit: usize },
    Disconnect { whose: Whose, away: bool, reason: String },
    Drain { node: String },
}

/// An answer, and whose it is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answered {
    pub(super) id: String,
    pub(super) node: String,
    pub(super) incarnation: String,
    pub(super) answer: Answer,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    Readers {
        count: usize,
        stuck: usize,
        readers: Vec<ReaderPlace>,
    },
    Clients {
        count: usize,
        clients: Vec<ClientEntry>,
    },
    Channels {
        channels: Vec<(String, usize)>,
    },
    Disconnected {
        ended: usize,
    },
    /// Whether it was meant.
    Draining(bool),
}
