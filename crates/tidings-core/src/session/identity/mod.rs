//! Who a client is: what it sends, and what is known of it once that is verified.

mod claims;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod key_set;
mod keys;
mod public_key;
mod tokens;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::value::RawValue;

use crate::log::Channel;

pub use key_set::{KeySet, NamedKey};
pub use keys::{ApiKey, Keys, Rights};
pub use public_key::{PublicKey, Unusable};
pub use tokens::Tokens;

/// What a client sends to say who it is. Never logged.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing.
    None,
    /// `Authorization: Bearer …`: an API key or a token.
    Bearer(String),
    /// `?token=…`: a token, never an API key, since URLs are written down in many places.
    Query(String),
}

/// Who a client is, once its credentials are verified.
#[derive(Debug, Clone)]
pub enum Identity {
    /// Nobody in particular.
    Anonymous,
    /// A backend, with an API key.
    Backend(Arc<Backend>),
    /// A holder of a valid token.
    Client(Arc<Client>),
}

/// What is known of the holder of an API key.
#[derive(Debug)]
pub struct Backend {
    /// What the configuration calls the key; for people.
    pub name: Option<Box<str>>,
    /// What it may do, with every channel.
    pub rights: Rights,
    /// The hash of its key; none where no key is needed.
    key: Option<[u8; 32]>,
}

/// What a valid token says.
#[derive(Debug)]
pub struct Client {
    /// The user id.
    pub user: Option<Arc<str>>,
    /// When the token ends, in milliseconds since the Unix epoch.
    pub expires_ms: u64,
    /// What others see of the user, as JSON.
    pub info: Option<Box<RawValue>>,
    /// What the token calls itself (`jti`).
    pub(crate) id: Option<Box<str>>,
    /// When it was made (`iat`), if it says so.
    pub(crate) issued_ms: Option<u64>,
    /// The [`Tokens::mark`] of those that accepted it.
    accepted_by: u64,
    revoked: AtomicBool,
    subscribe: Vec<Pattern>,
    publish: Vec<Pattern>,
}

/// A channel name, or a prefix that ends in `*`; elsewhere `*` is a character.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern(String);

/// Clocks of two machines may differ by this much.
const LEEWAY_MS: u64 = 5_000;

impl Backend {
    /// What to call the key in a log: its name, or how its hash begins.
    pub(crate) fn label(&self) -> String {
        match (&self.name, &self.key) {
            (Some(name), _) => name.to_string(),
            (None, Some([a, b, c, d, ..])) => format!("sha256:{a:02x}{b:02x}{c:02x}{d:02x}"),
            (None, None) => "--dev".to_owned(),
        }
    }
}

impl Client {
    /// When the token is accepted no more, in milliseconds since the Unix epoch.
    pub(super) fn refused_ms(&self) -> u64 {
        refused_ms(self.expires_ms)
    }

    /// Notes that the token was revoked while it was in use.
    pub(crate) fn revoke(&self) {
        self.revoked.store(true, Ordering::Release);
    }

    pub(crate) fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Acquire)
    }

    /// Whether the token lists the channel for reading.
    pub fn may_subscribe(&self, channel: &Channel) -> bool {
        self.subscribe.iter().any(|pattern| pattern.covers(channel))
    }

    /// Whether the token lists the channel for writing.
    pub fn may_publish(&self, channel: &Channel) -> bool {
        self.publish.iter().any(|pattern| pattern.covers(channel))
    }
}

impl Pattern {
    fn covers(&self, channel: &Channel) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => channel.as_str().starts_with(prefix),
            None => channel.as_str() == self.0,
        }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Credentials::None => "None",
            Credentials::Bearer(_) => "Bearer(…)",
            Credentials::Query(_) => "Query(…)",
        })
    }
}

fn refused_ms(expires_ms: u64) -> u64 {
    expires_ms.saturating_add(LEEWAY_MS)
}
