//! Credentials that attackers have: an ordinary user's, and all kinds of bad ones.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

/// Makes credentials.
#[derive(Debug, Clone)]
pub struct Tokens {
    good: String,
    expired: String,
    forged: String,
}

impl Tokens {
    /// Those of a node with this secret.
    pub fn new(secret: &str) -> anyhow::Result<Self> {
        let sign = |secret: &str, age: i64| {
            let exp = jsonwebtoken::get_current_timestamp().saturating_add_signed(age);
            let claims = json!({ "sub": "mallory", "exp": exp, "tidings": { "publish": ["open:*"] } });
            jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.as_bytes()))
        };
        let other = secret.chars().rev().collect::<String>();
        Ok(Self { good: sign(secret, 3_600)?, expired: sign(secret, -3_600)?, forged: sign(&other, 3_600)? })
    }

    /// An ordinary user's: it may publish to `open:*`.
    pub fn good(&self) -> &str {
        &self.good
    }

    /// One of the bad kinds, by number.
    pub fn bad(&self, number: usize) -> String {
        match number % 5 {
            0 => self.expired.clone(),
            1 => self.forged.clone(),
            2 => noise(),
            3 => unsigned(&json!({ "alg": "none" })),
            _ => format!("{}.{}.{}", noise(), noise(), noise()),
        }
    }

    /// A token of a key that no set has; each names another.
    pub fn of_unknown_key(&self) -> String {
        unsigned(&json!({ "alg": "RS256", "kid": noise() }))
    }
}

fn unsigned(header: &serde_json::Value) -> String {
    let claims = json!({ "sub": "mallory", "exp": jsonwebtoken::get_current_timestamp() + 3_600 });
    let part = |value: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(header), part(&claims), noise())
}

/// 32 random bytes as text.
fn noise() -> String {
    let mut bytes = [0; 32];
    // Without randomness all are alike, and no better.
    let _ = getrandom::fill(&mut bytes);
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
