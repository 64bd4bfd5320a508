//! Who a client is: API keys and signed tokens.

use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::{Code, Error, Result};
use crate::log::Channel;

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
    Backend,
    /// A holder of a valid token.
    Client(Arc<Client>),
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
    subscribe: Vec<Pattern>,
    publish: Vec<Pattern>,
}

/// A channel name, or a prefix that ends in `*`; elsewhere `*` is a character.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern(String);

/// The keys that this node accepts.
pub struct Keys {
    api_keys: Vec<[u8; 32]>,
    secret: Option<DecodingKey>,
    open: bool,
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: serde_json::Number,
    nbf: Option<serde_json::Number>,
    tidings: Option<Object<Rights>>,
}

/// A null is an absence, as in the other claims.
#[derive(Deserialize, Default)]
struct Rights {
    subscribe: Option<Vec<String>>,
    publish: Option<Vec<String>>,
    info: Option<Box<RawValue>>,
}

/// A JSON object. A derived reader takes the fields from an array as well, by their order.
struct Object<T>(T);

/// Clocks of two machines may differ by this much.
const LEEWAY_MS: u64 = 5_000;
/// Longer credentials are refused unread.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

impl Keys {
    /// Accepts these API keys, and tokens signed with this secret (HS256).
    pub fn new<'a>(api_keys: impl IntoIterator<Item = &'a str>, hmac_secret: Option<&[u8]>) -> Self {
        Keys {
            api_keys: api_keys.into_iter().map(digest).collect(),
            secret: hmac_secret.map(DecodingKey::from_secret),
            open: false,
        }
    }

    /// The same keys, and a request without credentials counts as an API key. For development alone.
    #[must_use]
    pub fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// Verifies credentials. What is sent must be valid, also where none are needed.
    pub fn verify(&self, credentials: &Credentials, now_ms: u64) -> Result<Identity> {
        let bad = |detail: &str| Err(Error::new(Code::BadToken, detail));
        match credentials {
            Credentials::None if self.open => Ok(Identity::Backend),
            Credentials::None => Ok(Identity::Anonymous),
            Credentials::Bearer(text) | Credentials::Query(text) if text.len() > TOKEN_BYTES_MAX => {
                bad("the token is longer than 16 KiB")
            }
            Credentials::Bearer(text) if self.is_api_key(text) => Ok(Identity::Backend),
            Credentials::Query(text) if self.is_api_key(text) => {
                bad("an API key is not accepted in the URL: send it as Authorization: Bearer")
            }
            Credentials::Bearer(text) | Credentials::Query(text) => {
                self.verify_token(text, now_ms).map(|client| Identity::Client(Arc::new(client)))
            }
        }
    }

    fn is_api_key(&self, text: &str) -> bool {
        let sent = digest(text);
        // Every key is compared, so that the time tells nothing.
        self.api_keys.iter().fold(false, |found, key| found | bool::from(key.ct_eq(&sent)))
    }

    fn verify_token(&self, text: &str, now_ms: u64) -> Result<Client> {
        let Some(secret) = &self.secret else {
            return Err(Error::new(Code::BadToken, "this is no API key, and this node accepts no tokens"));
        };
        // The algorithm follows from the kind of key, never from the token. Times are checked below, by our clock.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let token =
            decode::<Object<Claims>>(text, secret, &validation).map_err(|error| refused(error.kind()))?;
        if token.header.crit.is_some() {
            // RFC 7515, 4.1.11. The library does not look at it.
            return Err(Error::new(Code::BadToken, "the token's header has a `crit` that this server lacks"));
        }
        let Object(claims) = token.claims;
        let expires_ms = milliseconds(&claims.exp)
            .ok_or_else(|| Error::new(Code::BadToken, "the token's `exp` is not a time"))?;
        if refused_ms(expires_ms) <= now_ms {
            return Err(Error::new(Code::TokenExpired, "the token has expired"));
        }
        let begins_ms = claims.nbf.as_ref().map_or(Some(0), milliseconds);
        match begins_ms {
            None => return Err(Error::new(Code::BadToken, "the token's `nbf` is not a time")),
            Some(ms) if ms > now_ms.saturating_add(LEEWAY_MS) => {
                return Err(Error::new(Code::BadToken, "the token is not valid yet (`nbf`)"));
            }
            Some(_) => {}
        }
        let rights = claims.tidings.map(|Object(rights)| rights).unwrap_or_default();
        let patterns = |texts: Option<Vec<String>>| texts.into_iter().flatten().map(Pattern).collect();
        Ok(Client {
            user: claims.sub.filter(|sub| !sub.is_empty()).map(Arc::from),
            expires_ms,
            info: rights.info,
            subscribe: patterns(rights.subscribe),
            publish: patterns(rights.publish),
        })
    }
}

impl Client {
    /// When the token is accepted no more, in milliseconds since the Unix epoch.
    pub(super) fn refused_ms(&self) -> u64 {
        refused_ms(self.expires_ms)
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

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        if !text.get().starts_with('{') {
            return Err(D::Error::custom("not an object"));
        }
        serde_json::from_str(text.get()).map(Object).map_err(D::Error::custom)
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

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// RFC 7519 `NumericDate`: seconds, which may have a fraction.
fn milliseconds(seconds: &serde_json::Number) -> Option<u64> {
    if let Some(whole) = seconds.as_u64() {
        return Some(whole.saturating_mul(1_000));
    }
    let fraction = seconds.as_f64().filter(|s| s.is_finite() && *s >= 0.0)?;
    Some((fraction * 1_000.0) as u64)
}

fn refused(kind: &ErrorKind) -> Error {
    let detail = match kind {
        ErrorKind::InvalidSignature => "the token's signature is not of this server's secret",
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => "the token's algorithm is not HS256",
        ErrorKind::MissingRequiredClaim(_) => "the token lacks a claim",
        ErrorKind::Json(error) if error.to_string().contains("`exp`") => "the token has no `exp`",
        ErrorKind::Json(_) => "the token's claims are not what this server reads",
        _ => "neither an API key of this server nor a token that it can read",
    };
    Error::new(Code::BadToken, detail)
}
