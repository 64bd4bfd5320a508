//! What the claims of a token may be, and what is made of them.

use std::sync::atomic::AtomicBool;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::{Code, Error, Result};

use super::{Client, LEEWAY_MS, Pattern, refused_ms};

/// What is read of a token. A null is an absence.
#[derive(Deserialize)]
pub(super) struct Claims {
    sub: Option<String>,
    exp: serde_json::Number,
    nbf: Option<serde_json::Number>,
    iat: Option<serde_json::Number>,
    jti: Option<String>,
    /// Looked at where the configuration names an audience.
    aud: Option<Value>,
    /// Looked at where the configuration names an issuer.
    iss: Option<Value>,
    tidings: Option<Object<Rights>>,
}

#[derive(Deserialize, Default)]
struct Rights {
    subscribe: Option<Vec<String>>,
    publish: Option<Vec<String>>,
    info: Option<Box<RawValue>>,
}

/// A JSON object. A derived reader takes the fields from an array as well, by their order.
pub(super) struct Object<T>(pub(super) T);

impl Claims {
    /// Checks that the token was made for this audience: RFC 7519 section 4.1.3, a string or a list of them.
    pub(super) fn check_audience(&self, audience: &str) -> Result<()> {
        let named = match &self.aud {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(many)) => many.iter().any(|one| one == audience),
            _ => false,
        };
        if named { Ok(()) } else { bad("the token's `aud` is not the audience of this server") }
    }

    /// Checks that the token comes from this issuer.
    pub(super) fn check_issuer(&self, issuer: &str) -> Result<()> {
        match &self.iss {
            Some(Value::String(named)) if named == issuer => Ok(()),
            _ => bad("the token's `iss` is not the issuer that this server trusts"),
        }
    }

    /// The holder of the token, if it is good now.
    pub(super) fn client(self, now_ms: u64, accepted_by: u64) -> Result<Client> {
        let expires_ms = milliseconds(&self.exp)
            .ok_or_else(|| Error::new(Code::BadToken, "the token's `exp` is not a time"))?;
        if refused_ms(expires_ms) <= now_ms {
            return Err(Error::new(Code::TokenExpired, "the token has expired"));
        }
        match self.nbf.as_ref().map_or(Some(0), milliseconds) {
            None => return bad("the token's `nbf` is not a time"),
            Some(ms) if ms > now_ms.saturating_add(LEEWAY_MS) => {
                return bad("the token is not valid yet (`nbf`)");
            }
            Some(_) => {}
        }
        let rights = self.tidings.map(|Object(rights)| rights).unwrap_or_default();
        let patterns = |texts: Option<Vec<String>>| texts.into_iter().flatten().map(Pattern).collect();
        Ok(Client {
            user: self.sub.filter(|sub| !sub.is_empty()).map(Into::into),
            expires_ms,
            info: rights.info,
            id: self.jti.filter(|id| !id.is_empty()).map(Into::into),
            issued_ms: self.iat.as_ref().and_then(milliseconds),
            accepted_by,
            revoked: AtomicBool::new(false),
            subscribe: patterns(rights.subscribe),
            publish: patterns(rights.publish),
        })
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

fn bad<T>(detail: &str) -> Result<T> {
    Err(Error::new(Code::BadToken, detail))
}

/// RFC 7519 `NumericDate`: seconds, which may have a fraction.
fn milliseconds(seconds: &serde_json::Number) -> Option<u64> {
    if let Some(whole) = seconds.as_u64() {
        return Some(whole.saturating_mul(1_000));
    }
    let fraction = seconds.as_f64().filter(|s| s.is_finite() && *s >= 0.0)?;
    Some((fraction * 1_000.0) as u64)
}
