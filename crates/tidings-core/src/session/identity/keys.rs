//! What a node accepts as credentials: API keys, known by their hashes, and tokens.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::{Code, Error, Result};

use super::{Backend, Credentials, Identity, KeySet, Tokens};

/// The keys that this node accepts.
pub struct Keys {
    api_keys: Vec<([u8; 32], Arc<Backend>)>,
    tokens: Tokens,
    /// Who a request without credentials comes from, if not from a stranger.
    open: Option<Arc<Backend>>,
}

/// A key of a backend, as its hash: whoever reads the configuration or the memory has no key.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// SHA-256 of the key.
    pub sha256: [u8; 32],
    /// What it may do.
    pub rights: Rights,
    /// What to call it.
    pub name: Option<String>,
}

/// What an API key may do, with every channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// Write.
    pub publish: bool,
    /// Read, and see who is present.
    pub read: bool,
    /// Ask for the measures, revoke tokens, see nodes and clients, end connections, drain nodes.
    pub administer: bool,
}

/// Longer credentials are refused unread.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

impl Rights {
    /// All of them.
    pub const ALL: Rights = Rights { publish: true, read: true, administer: true };
}

impl ApiKey {
    /// A key that may do everything, from its text.
    pub fn plain(text: &str) -> Self {
        ApiKey { sha256: digest(text), rights: Rights::ALL, name: None }
    }
}

/// Without the hash, of which a short key could be guessed.
impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("rights", &self.rights)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Keys {
    /// Accepts these API keys with all rights, and tokens signed with this secret (HS256).
    pub fn new<'a>(api_keys: impl IntoIterator<Item = &'a str>, hmac_secret: Option<&[u8]>) -> Self {
        let tokens = hmac_secret.map_or_else(Tokens::none, Tokens::of_secret);
        Keys::of(api_keys.into_iter().map(ApiKey::plain), tokens)
    }

    /// Accepts these API keys, and these tokens.
    pub fn of(api_keys: impl IntoIterator<Item = ApiKey>, tokens: Tokens) -> Self {
        let known = |ApiKey { sha256, rights, name }: ApiKey| {
            (sha256, Arc::new(Backend { name: name.map(Into::into), rights, key: Some(sha256) }))
        };
        Keys { api_keys: api_keys.into_iter().map(known).collect(), tokens, open: None }
    }

    /// The same keys, and a request without credentials counts as an API key. For development alone.
    #[must_use]
    pub fn open(mut self) -> Self {
        self.open = Some(Arc::new(Backend { name: None, rights: Rights::ALL, key: None }));
        self
    }

    /// Verifies credentials. What is sent must be valid, also where none are needed.
    pub fn verify(&self, credentials: &Credentials, now_ms: u64) -> Result<Identity> {
        let bad = |detail: &str| Err(Error::new(Code::BadToken, detail));
        let (text, in_url) = match credentials {
            Credentials::None => {
                return Ok(self.open.clone().map_or(Identity::Anonymous, Identity::Backend));
            }
            Credentials::Bearer(text) => (text, false),
            Credentials::Query(text) => (text, true),
        };
        if text.len() > TOKEN_BYTES_MAX {
            return bad("the token is longer than 16 KiB");
        }
        match self.backend(text) {
            Some(_) if in_url => {
                bad("an API key is not accepted in the URL: send it as Authorization: Bearer")
            }
            Some(backend) => Ok(Identity::Backend(backend)),
            None => self.tokens.verify(text, now_ms).map(|client| Identity::Client(Arc::new(client))),
        }
    }

    /// Whether they accept just the same tokens as others.
    pub fn accept_same_tokens(&self, others: &Keys) -> bool {
        self.tokens.mark() == others.tokens.mark()
    }

    /// Who a client is by these keys that others accepted: its rights may be others. A token is accepted
    /// if it would be verified in the same way.
    ///
    /// # Errors
    ///
    /// [`Code::TokenExpired`]: its credentials are accepted no more.
    pub(crate) fn renew(&self, identity: &Identity) -> Result<Identity> {
        let renewed = match identity {
            Identity::Anonymous => Some(Identity::Anonymous),
            Identity::Backend(backend) => match &backend.key {
                None => self.open.clone().map(Identity::Backend),
                Some(key) => {
                    let known = self.api_keys.iter().find(|(sha256, _)| sha256 == key);
                    known.map(|(_, backend)| Identity::Backend(backend.clone()))
                }
            },
            Identity::Client(client) => {
                (client.accepted_by == self.tokens.mark()).then(|| Identity::Client(client.clone()))
            }
        };
        renewed.ok_or_else(|| {
            Error::new(Code::TokenExpired, "these credentials are accepted no more: the node has other keys")
        })
    }

    /// The keys of tokens, where they change.
    pub(crate) fn set(&self) -> Option<&KeySet> {
        self.tokens.set()
    }

    fn backend(&self, text: &str) -> Option<Arc<Backend>> {
        let sent = digest(text);
        // Every key is compared, so that the time tells nothing.
        let found = self.api_keys.iter().fold(None, |found, (sha256, backend)| {
            if bool::from(sha256.ct_eq(&sent)) { Some(backend) } else { found }
        });
        found.cloned()
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}
