//! Which tokens (JWT, RFC 7519) a node accepts: whose signature they must have, for whom and from whom they must be.

use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Validation, decode, decode_header};
use sha2::{Digest, Sha256};

use crate::error::{Code, Error, Result};

use super::claims::{Claims, Object};
use super::{Client, KeySet, PublicKey};

/// The tokens that a node accepts.
pub struct Tokens {
    trust: Trust,
    audience: Option<String>,
    issuer: Option<String>,
    /// See [`Tokens::mark`].
    mark: u64,
}

/// Whose signature counts. One kind at a time: what is public must never be taken for a secret.
enum Trust {
    Nobody,
    Secret(DecodingKey),
    Key(PublicKey),
    Set(Arc<KeySet>),
}

impl Tokens {
    /// No token is accepted.
    pub fn none() -> Self {
        Tokens::by(Trust::Nobody)
    }

    /// Tokens signed with this secret (HS256).
    pub fn of_secret(secret: &[u8]) -> Self {
        Tokens::by(Trust::Secret(DecodingKey::from_secret(secret)))
    }

    /// Tokens signed with the private half of this key, by the algorithm of its kind.
    pub fn of_key(key: PublicKey) -> Self {
        Tokens::by(Trust::Key(key))
    }

    /// Tokens signed with a key of this set, by the algorithm of its kind.
    pub fn of_set(keys: Arc<KeySet>) -> Self {
        Tokens::by(Trust::Set(keys))
    }

    /// The set that tokens are verified with, where it is one.
    pub(crate) fn set(&self) -> Option<&KeySet> {
        match &self.trust {
            Trust::Set(keys) => Some(keys),
            Trust::Nobody | Trust::Secret(_) | Trust::Key(_) => None,
        }
    }

    fn by(trust: Trust) -> Self {
        Tokens { trust, audience: None, issuer: None, mark: 0 }.marked()
    }

    /// A number that others have, too, which accept just the same tokens: by the same key or set of keys, for
    /// the same audience and of the same issuer.
    pub(super) fn mark(&self) -> u64 {
        self.mark
    }

    fn marked(mut self) -> Self {
        let number;
        let (kind, key): (_, [&[u8]; 2]) = match &self.trust {
            Trust::Nobody => (0, [&[], &[]]),
            Trust::Secret(secret) => (1, parts(secret)),
            Trust::Key(key) => (2, parts(key.key())),
            Trust::Set(keys) => {
                number = keys.number().to_be_bytes();
                (3, [&number, &[]])
            }
        };
        let claims = [&self.audience, &self.issuer];
        let mut hash =
            Sha256::new_with_prefix([kind, u8::from(claims[0].is_some()), u8::from(claims[1].is_some())]);
        // Each part with its length, so that no two can be taken for another two.
        for part in key.into_iter().chain(claims.map(|claim| claim.as_deref().unwrap_or_default().as_bytes()))
        {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        self.mark = hash.finalize().iter().take(8).fold(0, |mark, byte| mark << 8 | u64::from(*byte));
        self
    }

    /// The same, for this audience alone, if there is one.
    #[must_use]
    pub fn audience(mut self, audience: Option<String>) -> Self {
        self.audience = audience;
        self.marked()
    }

    /// The same, of this issuer alone, if there is one.
    #[must_use]
    pub fn issuer(mut self, issuer: Option<String>) -> Self {
        self.issuer = issuer;
        self.marked()
    }

    /// The holder of a token, if it is a good one.
    pub(super) fn verify(&self, text: &str, now_ms: u64) -> Result<Client> {
        let claims = match &self.trust {
            Trust::Nobody => {
                return Err(Error::new(
                    Code::BadToken,
                    "this is no API key, and this node accepts no tokens",
                ));
            }
            Trust::Secret(secret) => claims(text, secret, Algorithm::HS256)?,
            Trust::Key(key) => claims(text, key.key(), key.algorithm())?,
            Trust::Set(keys) => claims_by_set(text, keys)?,
        };
        if let Some(audience) = &self.audience {
            claims.check_audience(audience)?;
        }
        if let Some(issuer) = &self.issuer {
            claims.check_issuer(issuer)?;
        }
        claims.client(now_ms, self.mark)
    }
}

/// What a key is made of.
fn parts(key: &DecodingKey) -> [&[u8]; 2] {
    match key.kind() {
        DecodingKeyKind::SecretOrDer(bytes) => [bytes, &[]],
        DecodingKeyKind::RsaModulusExponent { n, e } => [n, e],
    }
}

/// The claims of a token that one of these keys signed. Its header says which to try, and nothing else.
fn claims_by_set(text: &str, keys: &KeySet) -> Result<Claims> {
    let header = decode_header(text).map_err(|error| refused(error.kind(), "RS256, ES256 or EdDSA"))?;
    let mut last = Error::new(Code::BadToken, "the token is signed with no key of the JWKS");
    for key in keys.find(header.kid.as_deref(), header.alg)? {
        match claims(text, key.key(), key.algorithm()) {
            Ok(claims) => return Ok(claims),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The claims of a token that this key signed. The algorithm follows from the kind of key, never from the token.
fn claims(text: &str, key: &DecodingKey, algorithm: Algorithm) -> Result<Claims> {
    let mut validation = Validation::new(algorithm);
    // Times are checked by our clock; audience and issuer with words of our own.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let token = decode::<Object<Claims>>(text, key, &validation)
        .map_err(|error| refused(error.kind(), &format!("{algorithm:?}")))?;
    if token.header.crit.is_some() {
        // RFC 7515, 4.1.11. The library does not look at it.
        return Err(Error::new(Code::BadToken, "the token's header has a `crit` that this server lacks"));
    }
    let Object(claims) = token.claims;
    Ok(claims)
}

fn refused(kind: &ErrorKind, algorithm: &str) -> Error {
    let detail = match kind {
        ErrorKind::InvalidSignature => "the token's signature is not of this server's key",
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => {
            return Error::new(Code::BadToken, format!("the token's algorithm is not {algorithm}"));
        }
        ErrorKind::MissingRequiredClaim(_) => "the token lacks a claim",
        ErrorKind::Json(error) if error.to_string().contains("`exp`") => "the token has no `exp`",
        ErrorKind::Json(_) => "the token's claims are not what this server reads",
        _ => "neither an API key of this server nor a token that it can read",
    };
    Error::new(Code::BadToken, detail)
}
