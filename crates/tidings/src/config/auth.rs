//! `[auth]`: who is who.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use tidings_core::{ApiKey, PublicKey, Rights};

use super::value::Secret;

/// `[auth]`: who is who.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// The keys of your own backends, which send them as `Authorization: Bearer`. Each is a string,
    /// which may do everything, or a table that has the key as its hash and says what it may do:
    /// `{ sha256 = "…", rights = ["publish"], name = "billing" }`. The rights are `publish` and
    /// `read` (every channel), and `administer` (`/metrics`, revoking tokens, watching and steering
    /// the cluster); the name is for people. `tidings key` makes a key and its table. Several keys let you replace one
    /// without a pause. A node keeps the hash alone, also of a string.
    pub api_keys: Vec<ApiKeyConfig>,

    /// How the tokens (JWT) of clients are verified. Without it there are no tokens: clients
    /// can only read what is public.
    pub jwt: JwtConfig,
}

/// `[auth.jwt]`: how the tokens of clients are verified. One of `hmac_secret`, `public_key_file`
/// and `jwks_url`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JwtConfig {
    /// The secret of tokens signed with HS256, taken as UTF-8 text. At least 32 bytes, else it
    /// can be guessed from a token. `tidings token` makes tokens with it.
    pub hmac_secret: Option<Secret>,

    /// A PEM file with the public key of who signs the tokens. The kind of key says which algorithm
    /// they must have: RSA of 2,048 to 4,096 bits RS256, EC on the curve P-256 ES256, Ed25519 EdDSA.
    /// It is read when the node starts, and on SIGHUP.
    pub public_key_file: Option<String>,

    /// Where the public keys of who signs the tokens are fetched (JWKS): RS256, ES256 or EdDSA, by the
    /// kind of each key. They are fetched again every 10 minutes, or after the `max-age` of its
    /// `Cache-Control` (1 minute to 1 hour), and when a token names a key (`kid`) that is not there, at
    /// most once in 10 s. While it does not answer, the keys that are known stay good.
    pub jwks_url: Option<String>,

    /// For whom tokens must be made: their `aud` is this, or a list that holds it. Without it `aud`
    /// is not looked at. Set it where the same keys sign tokens for other services as well.
    pub audience: Option<String>,

    /// From whom tokens must be: their `iss` is exactly this. Without it `iss` is not looked at.
    pub issuer: Option<String>,
}

/// One of `api_keys`.
#[derive(Debug, Clone)]
pub struct ApiKeyConfig {
    /// The key as the core knows it.
    pub key: ApiKey,
    /// What was to be seen of a key that was given as it is.
    pub plain: Option<Plain>,
}

/// What one may know of a key after its text is gone.
#[derive(Debug, Clone, Copy)]
pub struct Plain {
    /// Its length.
    pub bytes: usize,
    /// Whether a header can carry it.
    pub printable: bool,
}

/// How a key is written is no part of it.
impl PartialEq for ApiKeyConfig {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

/// A key that is given by its hash.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Hashed {
    /// The SHA-256 of the key, in hexadecimal.
    sha256: String,
    /// What the key may do.
    rights: Vec<Right>,
    /// What to call it.
    name: Option<String>,
}

/// What an API key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// Write to every channel.
    Publish,
    /// Read every channel.
    Read,
    /// `/metrics`, and `POST /v1/revocations`.
    Administer,
}

/// A larger file is no key.
const PEM_BYTES_MAX: u64 = 64 * 1024;

impl JwtConfig {
    /// The names of the keys that say how tokens are verified, of those that are set.
    pub(super) fn ways(&self) -> Vec<&'static str> {
        let ways = [
            ("hmac_secret", self.hmac_secret.is_some()),
            ("public_key_file", self.public_key_file.is_some()),
            ("jwks_url", self.jwks_url.is_some()),
        ];
        ways.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect()
    }
}

/// The public key of a file.
///
/// # Errors
///
/// What is wrong with it, as the end of a sentence that begins with its name.
pub fn public_key(file: &str) -> Result<PublicKey, String> {
    let read = || {
        let metadata = std::fs::metadata(file)?;
        if metadata.len() > PEM_BYTES_MAX || !metadata.is_file() {
            return Err(std::io::Error::other("this is no file of a key"));
        }
        std::fs::read_to_string(file)
    };
    let text = read().map_err(|error| format!("names {file}, which cannot be read: {error}"))?;
    PublicKey::from_pem(&text).map_err(|why| format!("names {file}, which {why}"))
}

impl Right {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Right::Publish => "publish",
            Right::Read => "read",
            Right::Administer => "administer",
        }
    }

    /// What rights come to.
    fn all(of: &[Right]) -> Rights {
        let has = |right| of.contains(&right);
        Rights { publish: has(Right::Publish), read: has(Right::Read), administer: has(Right::Administer) }
    }

    /// The names of what a key may do.
    pub(super) fn names(rights: Rights) -> Vec<&'static str> {
        let all = [
            (Right::Publish, rights.publish),
            (Right::Read, rights.read),
            (Right::Administer, rights.administer),
        ];
        all.into_iter().filter(|(_, has)| *has).map(|(right, _)| right.as_str()).collect()
    }
}

impl Hashed {
    fn key(self) -> Result<ApiKey, &'static str> {
        let digits = self.sha256.as_bytes();
        let mut sha256 = [0; 32];
        let pairs = digits.chunks_exact(2).zip(&mut sha256);
        let right = digits.len() == 64 && digits.iter().all(u8::is_ascii_hexdigit);
        for (pair, byte) in pairs {
            let pair = std::str::from_utf8(pair).unwrap_or_default();
            *byte = u8::from_str_radix(pair, 16).unwrap_or_default();
        }
        if !right {
            return Err(
                "has a `sha256` that is not 64 hexadecimal digits: `tidings key` prints it as it should be",
            );
        }
        if self.rights.is_empty() {
            return Err(
                "has a key without `rights`: give it some of \"publish\", \"read\" and \"administer\"",
            );
        }
        Ok(ApiKey { sha256, rights: Right::all(&self.rights), name: self.name })
    }
}

impl<'de> Deserialize<'de> for ApiKeyConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

/// Reads a string or a table.
struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = ApiKeyConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string in quotes, or a table with `sha256` and `rights`")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ApiKeyConfig, E> {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        let plain = Plain { bytes: text.trim().len(), printable };
        Ok(ApiKeyConfig { key: ApiKey::plain(text), plain: Some(plain) })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ApiKeyConfig, A::Error> {
        let hashed = Hashed::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
        let key = hashed.key().map_err(A::Error::custom)?;
        Ok(ApiKeyConfig { key, plain: None })
    }
}

impl JsonSchema for ApiKeyConfig {
    fn schema_name() -> Cow<'static, str> {
        "ApiKey".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [Secret::json_schema(generator), Hashed::json_schema(generator)] })
    }
}
