//! The name of a log.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A parsed channel name: 1–255 bytes of `A-Z a-z 0-9 _ - . : @ =`, not `.` or `..`.
///
/// Cloning shares the name. Internal channels (see [`Channel::internal`]) begin
/// with `$`, which no parsed name can hold.
#[derive(Clone)]
pub struct Channel(Arc<str>);

/// Why a name is not a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// The name has no bytes.
    #[error("a channel name needs at least one character")]
    Empty,
    /// The name has more than 255 bytes.
    #[error("a channel name has at most 255 bytes, this one has {0}")]
    TooLong(usize),
    /// The name holds a byte outside the alphabet.
    #[error("a channel name is made of A-Z a-z 0-9 _ - . : @ =")]
    Alphabet,
    /// The name is `.` or `..`, which URLs swallow.
    #[error("`.` and `..` are not channel names, since URLs swallow them")]
    Dots,
}

impl Channel {
    /// Most bytes a name may have.
    pub const BYTES_MAX: usize = 255;

    /// Parses a name as it comes from outside.
    pub fn parse(name: &str) -> Result<Self, ChannelError> {
        if name.is_empty() {
            return Err(ChannelError::Empty);
        }
        if name.len() > Self::BYTES_MAX {
            return Err(ChannelError::TooLong(name.len()));
        }
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:@=".contains(&b)) {
            return Err(ChannelError::Alphabet);
        }
        if name == "." || name == ".." {
            return Err(ChannelError::Dots);
        }
        Ok(Channel(name.into()))
    }

    /// A name as a broker kept it: one of the server's own channels, too.
    pub fn kept(name: &str) -> Result<Self, ChannelError> {
        if name.starts_with('$') && name.len() <= 2 * Self::BYTES_MAX {
            return Ok(Channel(name.into()));
        }
        Channel::parse(name)
    }

    /// The namespace of the server's own channels that can be read from outside.
    pub const OWN: &'static str = "@tidings";

    /// What nodes say of themselves.
    pub fn nodes() -> Self {
        Channel("@tidings:nodes".into())
    }

    /// A channel of the server's own, which nobody can name from outside.
    pub(crate) fn internal(purpose: &str, of: &str) -> Self {
        Channel(format!("${purpose}:{of}").into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first `:`, or `default` where there is none.
    pub fn namespace(&self) -> &str {
        self.0.split_once(':').map_or("default", |(namespace, _)| namespace)
    }

    /// A hash of the name that is the same on every node and in every version:
    /// FNV-1a, 64 bits. It stands for the channel in a cursor.
    pub fn tag(&self) -> u64 {
        self.0.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }
}

impl PartialEq for Channel {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Channel {}

impl PartialOrd for Channel {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Channel {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl Hash for Channel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Channel({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_contract_parse() {
        for name in ["orders:42", "a", "lobby", "chat:room.1", "u:a@b.c", "x=1", "...", ":", "a:b:c"] {
            assert!(Channel::parse(name).is_ok(), "{name}");
        }
        assert_eq!(Channel::parse("orders:42").unwrap().namespace(), "orders");
        assert_eq!(Channel::parse("a:b:c").unwrap().namespace(), "a");
        assert_eq!(Channel::parse("lobby").unwrap().namespace(), "default");
        assert!(Channel::parse(&"x".repeat(255)).is_ok());
    }

    #[test]
    fn other_names_do_not() {
        for name in ["", ".", "..", "a b", "a/b", "ä", "$presence:x", "a\n", "a*", "a%"] {
            assert!(Channel::parse(name).is_err(), "{name}");
        }
        assert_eq!(Channel::parse(&"x".repeat(256)).unwrap_err(), ChannelError::TooLong(256));
    }

    #[test]
    fn the_tag_never_changes() {
        assert_eq!(Channel::parse("orders:42").unwrap().tag(), 0x4bfe_1af6_adb6_ae50);
    }
}
