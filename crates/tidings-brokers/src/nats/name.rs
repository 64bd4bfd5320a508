//! The names of streams and subjects.
//!
//! `PREFIX_NAMESPACE` is the stream of a namespace. In it, `PREFIX.log.NAMESPACE.c.CHANNEL` has the
//! records of a channel, and `PREFIX.log.NAMESPACE.k.CHANNEL.HASH` how far a streamed publish got.
//! `PREFIX.live.NAMESPACE.CHANNEL` is where the server says a channel's records again as they come.

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use tidings_core::log::Channel;

/// How the names of one installation begin.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
}

/// A server's limit is 255, and some of its files add to the name.
const STREAM_NAME_MAX: usize = 180;

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Names { prefix: prefix.to_owned() }
    }

    /// The stream of a namespace.
    pub(super) fn stream(&self, namespace: &str) -> String {
        let mut name = format!("{}_{}", self.prefix, token(namespace));
        if name.len() > STREAM_NAME_MAX {
            name.truncate(STREAM_NAME_MAX - 46);
            name.push_str("_h_");
            name.push_str(&hash(&[namespace]));
        }
        name
    }

    /// All that the stream of a namespace takes.
    pub(super) fn all(&self, namespace: &str) -> String {
        format!("{}.log.{}.>", self.prefix, token(namespace))
    }

    /// The channels of a namespace.
    pub(super) fn channels(&self, namespace: &str) -> String {
        format!("{}.log.{}.c.>", self.prefix, token(namespace))
    }

    /// Where they are said again.
    pub(super) fn lives(&self, namespace: &str) -> String {
        format!("{}.live.{}.>", self.prefix, token(namespace))
    }

    /// The records of a channel.
    pub(super) fn channel(&self, channel: &Channel) -> String {
        format!("{}.log.{}.c.{}", self.prefix, token(channel.namespace()), token(channel.as_str()))
    }

    /// Where they are said again.
    pub(super) fn live(&self, channel: &Channel) -> String {
        format!("{}.live.{}.{}", self.prefix, token(channel.namespace()), token(channel.as_str()))
    }

    /// How far a streamed publish got.
    pub(super) fn progress(&self, channel: &Channel, key: &str) -> String {
        let (namespace, name) = (token(channel.namespace()), token(channel.as_str()));
        format!("{}.log.{namespace}.k.{name}.{}", self.prefix, hash(&[key]))
    }
}

/// What stands for some texts, 43 characters of A-Z a-z 0-9 - _.
pub(super) fn hash(texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.len().to_be_bytes());
        hash.update(text.as_bytes());
    }
    BASE64_URL_SAFE_NO_PAD.encode(hash.finalize())
}

/// A name in letters that a subject takes within one token; no two names have the same.
fn token(name: &str) -> String {
    if name.is_empty() {
        return "_".into();
    }
    let mut token = String::with_capacity(name.len() + 8);
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            token.push(char::from(byte));
        } else {
            let _ = write!(token, "_{byte:02x}");
        }
    }
    token
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_one_token() {
        let names = Names::new("tidings");
        let channel = Channel::parse("chat:room.1@=_x").unwrap();
        assert_eq!(names.channel(&channel), "tidings.log.chat.c.chat_3aroom_2e1_40_3d_5fx");
        assert_eq!(names.stream(channel.namespace()), "tidings_chat");
        assert_eq!(names.stream(""), "tidings__");
    }

    #[test]
    fn no_two_names_are_one() {
        let names = ["a", "a.", "A", "a_2e", "_", "", "a-", "a=", "a_"];
        let tokens: std::collections::HashSet<_> = names.iter().map(|name| token(name)).collect();
        assert_eq!(tokens.len(), names.len());
        let long = Names::new("tidings").stream(&"x.".repeat(120));
        assert!(long.len() <= STREAM_NAME_MAX, "{}", long.len());
    }
}
