//! A public key that verifies tokens. Its kind says which algorithm they must have.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::Value;
use spki::der::Document;
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::NamedKey;

/// An RSA key of 2,048 to 4,096 bits (RS256), one on the curve P-256 (ES256), or an Ed25519 key (EdDSA).
#[derive(Clone)]
pub struct PublicKey {
    key: DecodingKey,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa { bits: usize },
    P256,
    Ed25519,
}

/// Why a key cannot be used, as the end of a sentence that names it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(String);

/// RFC 7518 section 3.3 asks for this much; the library takes no more than 4,096.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=4_096;

// RFC 3279 section 2.3.1, RFC 5480 section 2.1.1, RFC 8410 section 3.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

impl PublicKey {
    /// The key of a PEM file: `PUBLIC KEY` (RFC 5280), or `RSA PUBLIC KEY` (RFC 8017).
    ///
    /// # Errors
    ///
    /// What the file is instead, and what to do about it.
    pub fn from_pem(pem: &str) -> Result<Self, Unusable> {
        // openssl may write words for people before it, which the parser does not expect.
        let pem = pem.find("-----BEGIN ").and_then(|at| pem.get(at..)).unwrap_or("");
        let (label, document) = Document::from_pem(pem).map_err(|_| {
            unusable("holds no PEM of a key: it has to begin with -----BEGIN PUBLIC KEY----- and to hold one")
        })?;
        match label {
            "PUBLIC KEY" => PublicKey::from_spki(&document),
            "RSA PUBLIC KEY" => PublicKey::rsa(DecodingKey::from_rsa_der(document.as_bytes())),
            "CERTIFICATE" => Err(unusable(
                "holds a certificate: take its key out, with openssl x509 -pubkey -noout -in FILE",
            )),
            private if private.ends_with("PRIVATE KEY") => Err(unusable(
                "holds a private key, which belongs to who signs tokens: take its public half, with openssl pkey \
                 -pubout -in FILE",
            )),
            other => Err(unusable(format!("holds a {other}, and should hold a PUBLIC KEY"))),
        }
    }

    fn from_spki(document: &Document) -> Result<Self, Unusable> {
        let broken = || unusable("holds a PUBLIC KEY that cannot be read");
        let info: SubjectPublicKeyInfoRef<'_> = document.decode_msg().map_err(|_| broken())?;
        let bytes = info.subject_public_key.as_bytes().ok_or_else(broken)?;
        match info.algorithm.oid {
            RSA => PublicKey::rsa(DecodingKey::from_rsa_der(bytes)),
            EC => match info.algorithm.parameters_oid() {
                Ok(P256) => PublicKey::checked(DecodingKey::from_ec_der(bytes), Kind::P256),
                _ => Err(unusable("is an EC key of another curve than P-256, which ES256 needs")),
            },
            // The library cuts a longer one, and panics at a shorter one.
            ED25519 if bytes.len() == 32 => {
                PublicKey::checked(DecodingKey::from_ed_der(bytes), Kind::Ed25519)
            }
            ED25519 => Err(broken()),
            other => Err(unusable(format!(
                "is a key of another kind (OID {other}) than RSA, EC P-256 and Ed25519"
            ))),
        }
    }

    /// A key of a JWKS (RFC 7517), and what tokens call it.
    ///
    /// # Errors
    ///
    /// Why no token can be of it.
    pub fn from_jwk(jwk: &Value) -> Result<NamedKey, Unusable> {
        let text = |name: &str| jwk[name].as_str();
        let bytes = |name: &str| {
            let bytes = text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
            bytes.ok_or_else(|| unusable(format!("has no `{name}` in base64url")))
        };
        // What the library does not check, and would make of too few bytes, is checked here.
        let point = |name: &str| {
            let bytes = bytes(name)?;
            if bytes.len() == 32 {
                Ok(bytes)
            } else {
                Err(unusable(format!("has a `{name}` of other than 32 bytes")))
            }
        };
        if text("use").is_some_and(|usage| usage != "sig")
            || jwk["key_ops"].as_array().is_some_and(|ops| !ops.iter().any(|op| op == "verify"))
        {
            return Err(unusable("is not for signatures"));
        }
        let key = match (text("kty"), text("crv")) {
            (Some("RSA"), _) => {
                PublicKey::rsa(DecodingKey::from_rsa_raw_components(&bytes("n")?, &bytes("e")?))?
            }
            (Some("EC"), Some("P-256")) => {
                let point = [&[4], &*point("x")?, &*point("y")?].concat();
                PublicKey::checked(DecodingKey::from_ec_der(&point), Kind::P256)?
            }
            (Some("OKP"), Some("Ed25519")) => {
                PublicKey::checked(DecodingKey::from_ed_der(&point("x")?), Kind::Ed25519)?
            }
            _ => return Err(unusable("is neither RSA, EC P-256 nor Ed25519")),
        };
        if text("alg").is_some_and(|alg| alg != format!("{:?}", key.algorithm())) {
            return Err(unusable(format!("is for another algorithm than {:?}", key.algorithm())));
        }
        Ok(NamedKey { id: text("kid").map(str::to_owned), key })
    }

    fn rsa(key: DecodingKey) -> Result<Self, Unusable> {
        let broken = || unusable("is an RSA key that cannot be read");
        let jwk = Jwk::from_decoding_key(&key, None).map_err(|_| broken())?;
        let AlgorithmParameters::RSA(numbers) = jwk.algorithm else { return Err(broken()) };
        let modulus = URL_SAFE_NO_PAD.decode(numbers.n).map_err(|_| broken())?;
        let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
        let bits = modulus
            .get(zeros)
            .map_or(0, |first| (modulus.len() - zeros) * 8 - first.leading_zeros() as usize);
        if !RSA_BITS.contains(&bits) {
            return Err(unusable(format!("is an RSA key of {bits} bits, and should have 2,048 to 4,096")));
        }
        PublicKey::checked(key, Kind::Rsa { bits })
    }

    /// The key, if it is a point of its curve.
    fn checked(key: DecodingKey, kind: Kind) -> Result<Self, Unusable> {
        let key = PublicKey { key, kind };
        // A signature of nothing is bad, which is an answer; a bad key is an error.
        crypto::verify("", b"", &key.key, key.algorithm())
            .map_err(|_| unusable("is a key that is not on its curve"))?;
        Ok(key)
    }

    /// The algorithm of the tokens that it verifies.
    pub(super) fn algorithm(&self) -> Algorithm {
        match self.kind {
            Kind::Rsa { .. } => Algorithm::RS256,
            Kind::P256 => Algorithm::ES256,
            Kind::Ed25519 => Algorithm::EdDSA,
        }
    }

    pub(super) fn key(&self) -> &DecodingKey {
        &self.key
    }
}

/// The kind of key and its algorithm, for people.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Rsa { bits } => write!(f, "RSA, {bits} bits (RS256)"),
            Kind::P256 => f.write_str("EC P-256 (ES256)"),
            Kind::Ed25519 => f.write_str("Ed25519 (EdDSA)"),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

fn unusable(why: impl Into<String>) -> Unusable {
    Unusable(why.into())
}
