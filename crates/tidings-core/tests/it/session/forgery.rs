//! Every kind of wrong token, for every kind of key.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};
use tidings_core::{Code, Credentials, Error, Identity, Keys, PublicKey, Tokens};

use crate::node::BEGAN_MS;

const NOW: u64 = BEGAN_MS / 1_000;
const SECRET: &[u8] = b"a secret of thirty-two bytes, ok";

macro_rules! pem {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/", $name, ".pem"))
    };
}

/// Who signs tokens, and in which way.
#[derive(Clone)]
struct Signer {
    key: EncodingKey,
    alg: Algorithm,
}

/// A key that a node trusts: who signs for it, who signs as if, and its public half as it is written down.
struct Kind {
    name: &'static str,
    public: &'static str,
    right: Signer,
    other: Signer,
}

fn der(pem: &str) -> Vec<u8> {
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(text).unwrap()
}

fn rsa(pem: &str, alg: Algorithm) -> Signer {
    Signer { key: EncodingKey::from_rsa_der(&der(pem)), alg }
}

fn ec(pem: &str, alg: Algorithm) -> Signer {
    Signer { key: EncodingKey::from_ec_der(&der(pem)), alg }
}

fn ed(pem: &str) -> Signer {
    Signer { key: EncodingKey::from_ed_der(&der(pem)), alg: Algorithm::EdDSA }
}

fn hmac(secret: &[u8], alg: Algorithm) -> Signer {
    Signer { key: EncodingKey::from_secret(secret), alg }
}

fn kinds() -> [Kind; 3] {
    [
        Kind {
            name: "RSA",
            public: pem!("rsa.pub"),
            right: rsa(pem!("rsa"), Algorithm::RS256),
            other: rsa(pem!("other-rsa"), Algorithm::RS256),
        },
        Kind {
            name: "EC",
            public: pem!("p256.pub"),
            right: ec(pem!("p256"), Algorithm::ES256),
            other: ec(pem!("other-p256"), Algorithm::ES256),
        },
        Kind {
            name: "Ed25519",
            public: pem!("ed25519.pub"),
            right: ed(pem!("ed25519")),
            other: ed(pem!("other-ed25519")),
        },
    ]
}

impl Signer {
    /// A token with exactly this header.
    fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = crypto::sign(message.as_bytes(), &self.key, self.alg).unwrap();
        format!("{message}.{signature}")
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_as(&json!({ "alg": format!("{:?}", self.alg), "typ": "JWT" }), claims)
    }
}

fn claims() -> Value {
    json!({ "sub": "u1", "exp": NOW + 60, "nbf": NOW, "aud": "tidings", "iss": "https://issuer.example" })
}

/// The claims with one of them changed, or taken out.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

fn verify(keys: &Keys, text: &str) -> Result<Identity, Error> {
    keys.verify(&Credentials::Bearer(text.into()), BEGAN_MS)
}

/// Whom the tokens are for, and from whom.
fn strict(tokens: Tokens) -> Keys {
    let tokens = tokens.audience(Some("tidings".into())).issuer(Some("https://issuer.example".into()));
    Keys::of([], tokens)
}

/// What each node refuses, whatever key it trusts. `right` signs for it, and `other` looks as if.
fn refuses_all_forgeries(name: &str, keys: &Keys, right: &Signer, other: &Signer) {
    let refused = |text: &str, code: Code, about: &str| match verify(keys, text) {
        Ok(_) => panic!("{name} took {about}"),
        Err(error) => assert_eq!(error.code, code, "{name}, {about}: {error}"),
    };
    let bad = |text: &str, about: &str| refused(text, Code::BadToken, about);
    let good = right.sign(&claims());
    match verify(keys, &good) {
        Ok(Identity::Client(client)) => assert_eq!(client.user.as_deref(), Some("u1")),
        other => panic!("{name} refused a good token: {other:?}"),
    }
    // Signatures: none, another's, of something else.
    let parts: Vec<_> = good.split('.').collect();
    for alg in
        ["none", "None", "NONE", "nOnE", "", "HS256", "HS384", "RS256", "RS512", "ES256", "EdDSA", "PS256"]
    {
        let header = URL_SAFE_NO_PAD.encode(json!({ "alg": alg, "typ": "JWT" }).to_string());
        bad(&format!("{header}.{}.", parts[1]), alg);
        if alg != format!("{:?}", right.alg) {
            bad(&format!("{header}.{}.{}", parts[1], parts[2]), alg);
            // The right key, and a header that says otherwise.
            bad(&right.sign_as(&json!({ "alg": alg }), &claims()), alg);
        }
    }
    bad(&other.sign(&claims()), "another key of its kind");
    let admin = URL_SAFE_NO_PAD.encode(with("sub", json!("admin")).to_string());
    bad(&format!("{}.{admin}.{}", parts[0], parts[2]), "another payload");
    bad(&format!("{}.{}", parts[0], parts[1]), "no signature");
    bad(&format!("{}.{}.AAAA", parts[0], parts[1]), "a short signature");
    bad(&format!("{}.{}.{}", parts[0], parts[1], URL_SAFE_NO_PAD.encode([0; 64])), "a signature of zeros");
    let header = json!({ "alg": format!("{:?}", right.alg), "crit": ["x"], "x": 1 });
    bad(&right.sign_as(&header, &claims()), "an extension that it lacks");
    // Claims.
    refused(&right.sign(&with("exp", json!(NOW - 60))), Code::TokenExpired, "exp");
    bad(&right.sign(&with("exp", Value::Null)), "no exp");
    bad(&right.sign(&with("nbf", json!(NOW + 60))), "nbf");
    for aud in
        [Value::Null, json!("other"), json!(""), json!("Tidings"), json!(["a", "b"]), json!([]), json!(7)]
    {
        bad(&right.sign(&with("aud", aud.clone())), &format!("aud {aud}"));
    }
    for iss in [
        Value::Null,
        json!("other"),
        json!("https://issuer.example/"),
        json!(["https://issuer.example"]),
        json!(7),
    ] {
        bad(&right.sign(&with("iss", iss.clone())), &format!("iss {iss}"));
    }
    assert!(verify(keys, &right.sign(&with("aud", json!(["other", "tidings"])))).is_ok());
}

#[test]
fn a_public_key_takes_what_its_private_half_signed_and_nothing_else() {
    for kind in kinds() {
        let keys = strict(Tokens::of_key(PublicKey::from_pem(kind.public).unwrap()));
        refuses_all_forgeries(kind.name, &keys, &kind.right, &kind.other);
        let bad = |signer: &Signer, about: &str| {
            let error = verify(&keys, &signer.sign(&claims())).unwrap_err();
            assert_eq!(error.code, Code::BadToken, "{} took {about}", kind.name);
        };
        // Algorithm confusion: what everybody knows of the key, as a secret.
        let trimmed = kind.public.trim_end();
        for bytes in [kind.public.as_bytes(), trimmed.as_bytes(), &der(kind.public), b"", SECRET] {
            for alg in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                bad(&hmac(bytes, alg), "an HMAC with its own public half");
                let header = json!({ "alg": format!("{:?}", kind.right.alg) });
                let text = hmac(bytes, alg).sign_as(&header, &claims());
                assert_eq!(verify(&keys, &text).unwrap_err().code, Code::BadToken);
            }
        }
        // Keys of other kinds, and other algorithms of the same key.
        for other in kinds().iter().filter(|other| other.name != kind.name) {
            bad(&other.right, other.name);
        }
        bad(&ec(pem!("p384"), Algorithm::ES384), "another curve");
        for alg in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512]
        {
            bad(&rsa(pem!("rsa"), alg), "another algorithm");
        }
    }
}

#[test]
fn a_secret_takes_what_it_signed_and_nothing_else() {
    let keys = strict(Tokens::of_secret(SECRET));
    let right = hmac(SECRET, Algorithm::HS256);
    refuses_all_forgeries(
        "HMAC",
        &keys,
        &right,
        &hmac(b"another secret of enough bytes!!", Algorithm::HS256),
    );
    for kind in kinds() {
        let error = verify(&keys, &kind.right.sign(&claims())).unwrap_err();
        assert_eq!(error.code, Code::BadToken, "{}", kind.name);
    }
}

#[test]
fn without_an_audience_or_issuer_neither_is_looked_at() {
    for kind in kinds() {
        let keys = Keys::of([], Tokens::of_key(PublicKey::from_pem(kind.public).unwrap()));
        for claims in [claims(), with("aud", json!(7)), with("iss", json!([])), with("aud", Value::Null)] {
            assert!(verify(&keys, &kind.right.sign(&claims)).is_ok(), "{claims}");
        }
    }
}

#[test]
fn only_keys_of_the_three_kinds_are_keys() {
    for (pem, kind) in [
        (pem!("rsa.pub"), "RSA, 2048 bits (RS256)"),
        (pem!("rsa.pkcs1.pub"), "RSA, 2048 bits (RS256)"),
        (pem!("p256.pub"), "EC P-256 (ES256)"),
        (pem!("ed25519.pub"), "Ed25519 (EdDSA)"),
    ] {
        assert_eq!(PublicKey::from_pem(pem).unwrap().to_string(), kind);
        // A comment before it, as openssl writes with -text.
        assert!(PublicKey::from_pem(&format!("Public-Key: (256 bit)\n{pem}")).is_ok());
        // Cut, changed, and with something behind it.
        for at in 0..pem.len() {
            if pem.is_char_boundary(at) {
                let _ = PublicKey::from_pem(&pem[..at]);
                let _ = PublicKey::from_pem(&format!("{}A{}", &pem[..at], &pem[at + 1..]));
            }
        }
        assert!(PublicKey::from_pem(&pem.replace("PUBLIC KEY", "KEY")).is_err());
    }
    for (pem, why) in [
        (pem!("rsa"), "private key"),
        (pem!("p256"), "private key"),
        (pem!("ed25519"), "private key"),
        (pem!("p384.pub"), "another curve"),
        (pem!("short-rsa.pub"), "1024 bits"),
        (pem!("certificate"), "certificate"),
        ("", "no PEM of a key"),
        ("{\"keys\":[]}", "no PEM of a key"),
        ("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", ""),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no PEM of a key"),
    ] {
        let error = PublicKey::from_pem(pem).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}
