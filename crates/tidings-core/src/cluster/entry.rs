//! What an operator is told of the nodes, and of their clients.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::live::Described;
use crate::log::Position;

/// An answer of all nodes that could be asked.
#[derive(Debug)]
pub struct Report<T> {
    /// What they said.
    pub found: T,
    /// The names of those that answered.
    pub answered: Vec<String>,
    /// The names of those that were heard lately, and did not.
    pub silent: Vec<String>,
}

/// One live read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClientEntry {
    /// The node that it is on.
    pub node: String,
    /// Its name: the life of the node, and a number.
    pub connection: String,
    /// The user of its token.
    pub user: Option<String>,
    /// The name of its transport.
    pub transport: String,
    /// The address of its client.
    pub address: Option<IpAddr>,
    /// When it began, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// Whether its socket has taken nothing for over a second.
    pub stuck: bool,
}

/// A reader of a channel, as it crosses between nodes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ReaderPlace {
    pub(super) client: ClientEntry,
    pub(super) epoch: u64,
    pub(super) offset: u64,
    pub(super) behind: Option<usize>,
}

/// A reader of a channel.
#[derive(Debug, Clone)]
pub struct ReaderEntry {
    /// Whose it is.
    pub client: ClientEntry,
    /// Its place: just after the last message that began to go out to it.
    pub at: Position,
    /// Messages after that, where its node has them at hand.
    pub behind: Option<usize>,
    /// Whether its place is at the cursor asked for, or after it; `None` where that cannot be said.
    pub passed: Option<bool>,
}

/// Who reads a channel.
#[derive(Debug)]
pub struct Roll {
    /// The end of the channel; `None` where the broker does not say.
    pub end: Option<Position>,
    /// All live reads of it.
    pub count: usize,
    /// Those that did not answer.
    pub stuck: usize,
    /// The others: so many of them as were asked for.
    pub readers: Vec<ReaderEntry>,
}

/// A channel that is in use.
#[derive(Debug, PartialEq, Eq)]
pub struct InUse {
    /// Its name.
    pub channel: String,
    /// Live reads of it, on all nodes.
    pub readers: usize,
    /// The nodes that follow it.
    pub nodes: Vec<String>,
}

/// Which live reads something is to be done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Whose {
    /// One.
    Connection(String),
    /// All of a user.
    User(String),
}

/// Bytes of a user's name that are shown.
const NAME_BYTES_MAX: usize = 255;

impl ClientEntry {
    pub(super) fn of(read: &Described, node: &str, incarnation: &str) -> Self {
        ClientEntry {
            node: node.to_owned(),
            connection: format!("{incarnation}.{}", read.number),
            user: read.user.as_deref().map(|user| cut(user).to_owned()),
            transport: read.via.as_str().to_owned(),
            address: read.address,
            since_ms: read.since_ms,
            stuck: read.stuck,
        }
    }
}

impl ReaderPlace {
    pub(super) fn entry(self, passing: Option<Position>) -> ReaderEntry {
        let at = Position { epoch: self.epoch, offset: self.offset };
        let passed = passing.filter(|place| place.epoch == at.epoch).map(|place| at.offset >= place.offset);
        ReaderEntry { client: self.client, at, behind: self.behind, passed }
    }
}

impl Whose {
    /// Whether a live read of a node is meant.
    pub(super) fn is(&self, read: &Described, incarnation: &str) -> bool {
        match self {
            Whose::User(user) => read.user.as_deref() == Some(user),
            Whose::Connection(name) => {
                let number = name.strip_prefix(incarnation).and_then(|rest| rest.strip_prefix('.'));
                number.and_then(|number| number.parse::<u64>().ok()) == Some(read.number)
            }
        }
    }
}

/// The beginning of a name that is too long to be shown.
fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Via;

    fn read(number: u64, user: Option<&str>) -> Described {
        let user = user.map(Into::into);
        Described { number, since_ms: 0, user, address: None, via: Via::Sse, stuck: false }
    }

    #[test]
    fn a_connection_is_one_of_one_life_of_a_node() {
        let is = |name: &str| Whose::Connection(name.to_owned()).is(&read(12, Some("a")), "00ff");
        assert!(is("00ff.12"));
        for name in ["00ff.1", "00ff.120", "00fe.12", "00ff12", "", ".12", "00ff.", "00ff.x"] {
            assert!(!is(name), "{name}");
        }
        assert!(Whose::User("a".into()).is(&read(12, Some("a")), "00ff"));
        assert!(!Whose::User("a".into()).is(&read(12, None), "00ff"));
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let entry = ClientEntry::of(&read(1, Some(&"ä".repeat(1_000))), "n", "1");
        assert_eq!(entry.user.unwrap(), "ä".repeat(127));
    }

    #[test]
    fn a_place_is_compared_within_one_life_of_a_log() {
        let place = |epoch, offset| ReaderPlace {
            client: ClientEntry::of(&read(1, None), "n", "1"),
            epoch,
            offset,
            behind: None,
        };
        let cursor = Some(Position { epoch: 2, offset: 5 });
        assert_eq!(place(2, 5).entry(cursor).passed, Some(true));
        assert_eq!(place(2, 4).entry(cursor).passed, Some(false));
        assert_eq!(place(3, 9).entry(cursor).passed, None);
        assert_eq!(place(2, 5).entry(None).passed, None);
    }
}
