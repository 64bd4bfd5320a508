//! Tokens: what is accepted, and every forgery that is not.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tidings_core::{Code, Credentials, Delivery, Identity, Keys, Result};

use crate::node::{API_KEY, BEGAN_MS, Node, SECRET, public};

/// The node's time in seconds.
const NOW: u64 = BEGAN_MS / 1_000;

/// A token of these claims, signed as the header says.
pub fn signed(header: &Header, claims: &Value, secret: &[u8]) -> String {
    encode(header, claims, &EncodingKey::from_secret(secret)).unwrap()
}

/// A good token of these claims.
pub fn token(claims: &Value) -> String {
    signed(&Header::new(Algorithm::HS256), claims, SECRET)
}

/// A token of a user, with patterns, that ends in an hour.
pub fn of_user(user: &str, subscribe: &[&str], publish: &[&str]) -> Credentials {
    let rights = json!({ "subscribe": subscribe, "publish": publish, "info": { "name": user } });
    Credentials::Bearer(token(&json!({ "sub": user, "exp": NOW + 3_600, "tidings": rights })))
}

/// Text of a token that nobody signed.
fn unsigned(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

fn verify(text: &str) -> Result<Identity> {
    Keys::new([API_KEY], Some(SECRET)).verify(&Credentials::Bearer(text.into()), BEGAN_MS)
}

fn refused(text: &str) -> Code {
    let shown = &text[..text.len().min(80)];
    match verify(text) {
        Ok(identity) => panic!("accepted {shown}: {identity:?}"),
        Err(error) => {
            assert!(text.len() < 3 || !error.detail.contains(text), "a credential in an error");
            error.code
        }
    }
}

#[test]
fn a_good_token_says_who_it_is() {
    let claims = json!({ "sub": "u1", "exp": NOW + 60, "nbf": NOW, "iss": "me", "aud": "you", "tidings":
        { "subscribe": ["orders:*", "exact"], "publish": ["orders:42"], "info": { "name": "\u{e4}" } } });
    let Ok(Identity::Client(client)) = verify(&token(&claims)) else { panic!("refused") };
    assert_eq!(client.user.as_deref(), Some("u1"));
    assert_eq!(client.expires_ms, (NOW + 60) * 1_000);
    assert_eq!(client.info.as_ref().unwrap().get(), "{\"name\":\"\u{e4}\"}");
}

#[test]
fn the_algorithm_is_ours_not_the_tokens() {
    let claims = json!({ "sub": "u1", "exp": NOW + 60 });
    let good = token(&claims);
    let signature = good.rsplit('.').next().unwrap();
    for alg in
        ["none", "None", "NONE", "nOnE", "", "RS256", "ES256", "PS256", "EdDSA", "HS384", "HS512", "hs256"]
    {
        let header = json!({ "alg": alg, "typ": "JWT" });
        for signature in ["", signature, "AAAA"] {
            assert_eq!(refused(&unsigned(&header, &claims, signature)), Code::BadToken, "{alg}");
        }
    }
    // Signed with the right secret, and another algorithm of the same family.
    for alg in [Algorithm::HS384, Algorithm::HS512] {
        assert_eq!(refused(&signed(&Header::new(alg), &claims, SECRET)), Code::BadToken);
    }
    // The signature is right, and the header says RS256: the confusion of a public key with a secret.
    let header = URL_SAFE_NO_PAD.encode(json!({ "alg": "RS256", "typ": "JWT" }).to_string());
    let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
    let message = format!("{header}.{payload}");
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &EncodingKey::from_secret(SECRET), Algorithm::HS256);
    assert_eq!(refused(&format!("{message}.{}", signature.unwrap())), Code::BadToken);
    assert!(verify(&good).is_ok());
}

#[test]
fn a_signature_is_of_our_secret_and_of_all_that_it_signs() {
    let claims = json!({ "sub": "u1", "exp": NOW + 60 });
    let header = Header::new(Algorithm::HS256);
    for secret in [&b"another secret of enough bytes!!!"[..], b"", &SECRET[1..]] {
        assert_eq!(refused(&signed(&header, &claims, secret)), Code::BadToken);
    }
    let good = token(&claims);
    let parts: Vec<_> = good.split('.').collect();
    let other = URL_SAFE_NO_PAD.encode(json!({ "sub": "admin", "exp": NOW + 60 }).to_string());
    assert_eq!(refused(&format!("{}.{other}.{}", parts[0], parts[2])), Code::BadToken);
    for at in 0..good.len() {
        let mut text = good.clone().into_bytes();
        text[at] = if text[at] == b'A' { b'B' } else { b'A' };
        let text = String::from_utf8(text).unwrap();
        // The last character of a part holds bits that are no part of it.
        if text != good {
            assert_eq!(refused(&text), Code::BadToken, "changed at {at}");
        }
    }
}

#[test]
fn a_token_ends_and_begins_with_a_little_leeway() {
    let at = |exp: Value, nbf: Value| verify(&token(&json!({ "sub": "u", "exp": exp, "nbf": nbf })));
    let code = |exp, nbf| at(exp, nbf).map(|_| ()).map_err(|error| error.code);
    let later = json!(NOW + 60);
    assert_eq!(code(json!(NOW - 3_600), json!(0)), Err(Code::TokenExpired));
    assert_eq!(code(json!(NOW - 60), json!(0)), Err(Code::TokenExpired), "libraries allow 60 s");
    assert_eq!(code(json!(NOW - 6), json!(0)), Err(Code::TokenExpired));
    assert_eq!(code(json!(NOW - 5), json!(0)), Err(Code::TokenExpired));
    assert_eq!(code(json!(NOW - 4), json!(0)), Ok(()));
    assert_eq!(code(later.clone(), json!(NOW + 5)), Ok(()));
    assert_eq!(code(later.clone(), json!(NOW + 6)), Err(Code::BadToken));
    assert_eq!(code(later.clone(), json!(NOW + 3_600)), Err(Code::BadToken));
    // RFC 7519: a number, which may have a fraction.
    assert_eq!(code(json!(NOW as f64 + 0.5), json!(NOW as f64 - 0.5)), Ok(()));
    assert_eq!(code(json!(NOW as f64 - 5.5), json!(0)), Err(Code::TokenExpired));
    assert_eq!(code(json!(1e300), json!(0)), Ok(()));
    for bad in [json!((NOW + 60).to_string()), json!(-1), json!(-1.5), json!(true), json!({}), json!([NOW])] {
        assert_eq!(code(bad.clone(), json!(0)), Err(Code::BadToken), "exp {bad}");
        assert_eq!(code(later.clone(), bad.clone()), Err(Code::BadToken), "nbf {bad}");
    }
    assert_eq!(code(Value::Null, json!(0)), Err(Code::BadToken));
    assert_eq!(code(later, Value::Null), Ok(()), "a null is an absence");
}

#[test]
fn a_token_must_end() {
    let error = verify(&token(&json!({ "sub": "u" }))).unwrap_err();
    assert_eq!(error.code, Code::BadToken);
    assert!(error.detail.contains("exp"), "{error}");
}

#[test]
fn claims_of_the_wrong_kind_are_refused() {
    let exp = NOW + 60;
    for claims in [
        json!({ "exp": exp, "sub": 7 }),
        json!({ "exp": exp, "tidings": "all" }),
        json!({ "exp": exp, "tidings": { "subscribe": "orders:*" } }),
        json!({ "exp": exp, "tidings": { "publish": [1] } }),
        json!([exp]),
        json!("exp"),
    ] {
        assert_eq!(refused(&token(&claims)), Code::BadToken, "{claims}");
    }
}

#[test]
fn what_the_header_calls_critical_must_be_understood() {
    // RFC 7515, 4.1.11: a recipient that does not understand a critical extension must refuse.
    let header = URL_SAFE_NO_PAD.encode(json!({ "alg": "HS256", "crit": ["exp2"], "exp2": 1 }).to_string());
    let payload = URL_SAFE_NO_PAD.encode(json!({ "sub": "u", "exp": NOW + 60 }).to_string());
    let message = format!("{header}.{payload}");
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &EncodingKey::from_secret(SECRET), Algorithm::HS256);
    assert_eq!(refused(&format!("{message}.{}", signature.unwrap())), Code::BadToken);
}

#[test]
fn garbage_is_refused() {
    let good = token(&json!({ "sub": "u", "exp": NOW + 60 }));
    for text in [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "Bearer x",
        "\0",
        "\u{1f4e3}",
        "sk_tes",
        "sk_testx",
        "SK_TEST",
        " sk_test",
        &format!("{good}."),
        &format!(".{good}"),
        &format!("{good} "),
        &good.replace('.', ""),
        &"a".repeat(16_384),
    ] {
        assert_eq!(refused(text), Code::BadToken, "{}", &text[..text.len().min(40)]);
    }
    assert_eq!(refused(&"x".repeat(1 << 20)), Code::BadToken);
    assert_eq!(refused(&format!("{good}{}", "A".repeat(1 << 20))), Code::BadToken);
    let long = token(&json!({ "sub": "u", "exp": NOW + 60, "more": "x".repeat(1 << 20) }));
    assert_eq!(refused(&long), Code::BadToken);
}

#[test]
fn an_api_key_does_not_belong_in_a_url() {
    let keys = Keys::new([API_KEY, "sk_second"], Some(SECRET));
    for key in [API_KEY, "sk_second"] {
        assert!(matches!(keys.verify(&Credentials::Bearer(key.into()), BEGAN_MS), Ok(Identity::Backend(_))));
        let error = keys.verify(&Credentials::Query(key.into()), BEGAN_MS).unwrap_err();
        assert_eq!(error.code, Code::BadToken);
        assert!(!error.detail.contains(key));
    }
    let token = token(&json!({ "sub": "u", "exp": NOW + 60 }));
    assert!(matches!(keys.verify(&Credentials::Query(token), BEGAN_MS), Ok(Identity::Client(_))));
}

#[test]
fn without_a_secret_no_token_is_good() {
    let keys = Keys::new([API_KEY], None);
    let claims = json!({ "sub": "u", "exp": NOW + 60 });
    for secret in [SECRET, b""] {
        let text = signed(&Header::new(Algorithm::HS256), &claims, secret);
        assert_eq!(keys.verify(&Credentials::Bearer(text), BEGAN_MS).unwrap_err().code, Code::BadToken);
    }
    assert!(matches!(keys.verify(&Credentials::None, BEGAN_MS), Ok(Identity::Anonymous)));
    assert!(matches!(keys.open().verify(&Credentials::None, BEGAN_MS), Ok(Identity::Backend(_))));
}

#[tokio::test(start_paused = true)]
async fn a_bad_token_is_refused_where_none_is_needed() {
    let node = Node::new([("default", public(Delivery::AtLeastOnce))]);
    let bad = Credentials::Bearer("x".into());
    assert_eq!(node.open(&bad).map(|_| ()).unwrap_err().code, Code::BadToken);
    // And the namespace is looked at before the credentials.
    let unknown = node.hub.open(&[crate::node::channel("nowhere:x")], &bad);
    assert_eq!(unknown.map(|_| ()).unwrap_err().code, Code::UnknownNamespace);
    assert_eq!(format!("{bad:?} {:?}", Credentials::Query("sk".into())), "Bearer(\u{2026}) Query(\u{2026})");
}
