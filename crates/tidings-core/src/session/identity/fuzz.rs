//! Fuzz target of tokens: nothing is accepted that is not signed, and what is accepted says what it says.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::Value;

use crate::error::Code;
use crate::log::Channel;

use super::{Client, Credentials, Identity, KeySet, Keys, LEEWAY_MS, NamedKey, PublicKey, Tokens};

/// When tokens are judged.
const NOW_MS: u64 = 1_800_000_000_000;
const SECRET: &[u8] = b"a secret of thirty-two bytes, ok";
const API_KEY: &str = "sk_of_a_backend";
const PRIVATE: &str = include_str!("../../../tests/keys/ed25519.pem");
const PUBLIC: &str = include_str!("../../../tests/keys/ed25519.pub.pem");
const AUDIENCE: &str = "tidings";
const ISSUER: &str = "https://issuer.example";

/// Who signs tokens, and a node that accepts them.
struct Signer {
    key: EncodingKey,
    algorithm: Algorithm,
    keys: Keys,
}

/// A token as text, or the header and the claims of one, which is then signed. Of the first byte bit 0 says
/// which; bit 1, whether with a secret or with an Ed25519 key, which is known by itself or as `k` of a set
/// (bit 2); bit 3, whether for an audience and by an issuer; bit 4, whether it comes in a URL. Header and
/// claims have an empty line between them.
pub fn token(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let is_strict = how & 8 != 0;
    let Some(signer) = Signer::new(how & 2 != 0, how & 4 != 0, is_strict) else {
        panic!("the keys are good")
    };
    let text = match how & 1 {
        0 => text.to_owned(),
        _ => {
            let (header, claims) = text.split_once("\n\n").unwrap_or(("{\"alg\":\"HS256\"}", text));
            let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
            format!("{message}.{}", signer.sign(&message))
        }
    };
    let in_url = how & 16 != 0;
    let sent = if in_url { Credentials::Query(text.clone()) } else { Credentials::Bearer(text.clone()) };
    match signer.keys.verify(&sent, NOW_MS) {
        Ok(Identity::Client(client)) => {
            let claims = signer.has_signed(&text);
            says(&client, claims.as_ref(), is_strict);
        }
        Ok(Identity::Backend(_)) => assert_eq!((text.as_str(), in_url), (API_KEY, false)),
        Ok(Identity::Anonymous) => panic!("credentials were sent"),
        Err(error) => {
            let known = matches!(error.code, Code::BadToken | Code::TokenExpired | Code::KeysUnavailable);
            assert!(known, "refused as {}", error.code);
            assert!(!error.detail.chars().any(char::is_control), "{:?}", error.detail);
        }
    }
}

impl Signer {
    fn new(is_public: bool, is_of_set: bool, is_strict: bool) -> Option<Self> {
        let (key, algorithm, tokens) = match is_public {
            false => (EncodingKey::from_secret(SECRET), Algorithm::HS256, Tokens::of_secret(SECRET)),
            true => {
                let body: String = PRIVATE.lines().filter(|line| !line.starts_with('-')).collect();
                let key = EncodingKey::from_ed_der(&STANDARD.decode(body).ok()?);
                let public = PublicKey::from_pem(PUBLIC).ok()?;
                let tokens = match is_of_set {
                    false => Tokens::of_key(public),
                    true => {
                        let set = KeySet::default();
                        set.replace(vec![NamedKey { id: Some("k".into()), key: public }]);
                        Tokens::of_set(Arc::new(set))
                    }
                };
                (key, Algorithm::EdDSA, tokens)
            }
        };
        let tokens = match is_strict {
            false => tokens,
            true => tokens.audience(Some(AUDIENCE.into())).issuer(Some(ISSUER.into())),
        };
        Some(Signer { key, algorithm, keys: Keys::of([super::ApiKey::plain(API_KEY)], tokens) })
    }

    fn sign(&self, message: &str) -> String {
        crypto::sign(message.as_bytes(), &self.key, self.algorithm).unwrap_or_default()
    }

    /// Checks that an accepted token is signed as this signer does, by its header, too; gives its claims
    /// where any reader of JSON can read them.
    fn has_signed(&self, text: &str) -> Option<Value> {
        let parts: Vec<_> = text.split('.').collect();
        let [header, claims, signature] = parts[..] else { panic!("a token of {} parts", parts.len()) };
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
        // Both kinds of signature are a function of what is signed.
        let wanted = self.sign(&format!("{header}.{claims}"));
        assert!(!wanted.is_empty() && wanted == signature, "accepted, and not signed: {text}");
        if let Ok(header) = serde_json::from_slice::<Value>(&decode(header)) {
            assert_eq!(header["alg"], format!("{:?}", self.algorithm));
            assert!(header["crit"].is_null(), "{header}");
        }
        serde_json::from_slice(&decode(claims)).ok()
    }
}

/// The holder of an accepted token is who its claims say, and now is its time.
fn says(client: &Client, claims: Option<&Value>, is_strict: bool) {
    assert!(client.refused_ms() > NOW_MS);
    let Some(claims) = claims else { return };
    let ms = |name: &str| claims[name].as_f64().map(|seconds| seconds * 1_000.0);
    let near = |ms: u64, wanted: f64| (ms as f64 - wanted).abs() <= 1.0 + wanted * 1e-9;
    let Some(expires) = ms("exp") else { panic!("accepted without an end: {claims}") };
    assert!(near(client.expires_ms, expires.min(u64::MAX as f64)), "{claims}");
    assert!(ms("nbf").is_none_or(|from| from <= (NOW_MS + LEEWAY_MS) as f64 + 1.0), "{claims}");
    let text = |name: &str| claims[name].as_str().filter(|text| !text.is_empty());
    assert_eq!((client.user.as_deref(), client.id.as_deref()), (text("sub"), text("jti")));
    if is_strict {
        let audience = &claims["aud"];
        let many = audience.as_array().map(Vec::as_slice).unwrap_or_default();
        assert!(audience == AUDIENCE || many.iter().any(|one| one == AUDIENCE), "{claims}");
        assert_eq!(claims["iss"], ISSUER);
    }
    let rights = &claims["tidings"];
    for name in ["chat:lobby", "orders", "a"] {
        let Ok(channel) = Channel::parse(name) else { continue };
        let lists = |right: &str| {
            let patterns = rights[right].as_array().map(Vec::as_slice).unwrap_or_default();
            patterns.iter().filter_map(Value::as_str).any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == pattern,
            })
        };
        assert_eq!(client.may_subscribe(&channel), lists("subscribe"), "{claims}");
        assert_eq!(client.may_publish(&channel), lists("publish"), "{claims}");
    }
}
