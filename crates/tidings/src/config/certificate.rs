//! The certificate and key of `[tls]`: read, matched, and dated.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{self, Ticketer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::error::Problem;
use super::place::shown;

/// A certificate chain with its key, ready to serve with.
#[derive(Clone)]
pub struct Pair {
    /// What new connections are made with. ALPN is for whoever serves to add.
    pub server: ServerConfig,
    /// The first moment at which the certificate is valid, in milliseconds since the Unix epoch.
    pub valid_from_ms: u64,
    /// The moment at which it ends.
    pub expires_ms: u64,
}

/// Why a pair cannot be used: which of the two keys of `[tls]` names the culprit, and what is wrong with it.
#[derive(Debug)]
pub struct BadPair {
    /// `certificate` or `key`.
    pub(super) key: &'static str,
    pub(super) problem: Problem,
}

/// A week before its end somebody should look why it was not renewed.
const SOON_MS: u64 = 7 * 86_400_000;
/// A chain of a few certificates has a few KiB.
const FILE_BYTES_MAX: u64 = 1 << 20;

impl Pair {
    /// Reads both files, and proves that they belong together.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is not PEM, or holds no certificate or no
    /// key; a key that is not the certificate's. One sentence, which names the file.
    pub fn load(certificate: &str, key: &str) -> Result<Pair, BadPair> {
        let (cert_file, key_file) = (certificate, key);
        let cert_pem = read("certificate", cert_file)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&cert_pem).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| {
            let what = format!("names {}, which holds no certificate in PEM", shown(cert_file));
            bad(
                "certificate",
                what,
                "name a file with -----BEGIN CERTIFICATE-----, your own first, then those that signed it",
            )
        })?;
        let dates = chain.first().and_then(|first| Certificate::from_der(first).ok()).map(|first| {
            let validity = first.tbs_certificate.validity;
            (validity.not_before.to_unix_duration(), validity.not_after.to_unix_duration())
        });
        let (from, until) = dates.ok_or_else(|| {
            let what = format!("names {}, whose first certificate cannot be read", shown(cert_file));
            bad("certificate", what, "make the file again: openssl x509 -in FILE -noout must read it")
        })?;
        let key_pem = read("key", key_file)?;
        let key = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|_| {
            let what = format!("names {}, which holds no private key in PEM without a passphrase", shown(key_file));
            bad("key", what, "name a file with -----BEGIN PRIVATE KEY-----; openssl pkey -in FILE -out NEW takes a passphrase off")
        })?;
        let mut server = config(chain, key).map_err(|error| {
            let (key, certificate) = (shown(key_file), shown(cert_file));
            let what = match error {
                rustls::Error::InconsistentKeys(_) => {
                    format!("names {key}, which is not the key of {certificate}")
                }
                error => format!("names {key}, which cannot be used with {certificate}: {error}"),
            };
            bad("key", what, "name the key that the certificate was made with")
        })?;
        server.ticketer = Ticketer::new().map_err(|error| {
            bad("key", format!("cannot be used: {error}"), "look whether this system gives random numbers")
        })?;
        Ok(Pair { server, valid_from_ms: ms(from), expires_ms: ms(until) })
    }
}

impl Pair {
    /// When the certificate ends, for people: `2027-01-31T12:00:00Z`.
    pub fn expires(&self) -> impl fmt::Display + use<> {
        time(self.expires_ms)
    }

    /// What clients will not like about its dates, or soon will not.
    pub fn warning(&self, now_ms: u64) -> Option<String> {
        if now_ms >= self.expires_ms {
            return Some(format!(
                "expired at {}: no client connects; put a new one in its place",
                self.expires()
            ));
        }
        if now_ms < self.valid_from_ms {
            let from = time(self.valid_from_ms);
            return Some(format!(
                "is valid from {from} only: look at its dates, and at this machine's clock"
            ));
        }
        let soon = now_ms + SOON_MS >= self.expires_ms;
        soon.then(|| format!("expires at {}: put a new one in its place", self.expires()))
    }
}

/// A clock beyond the year 9999 is no clock.
fn time(ms: u64) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ms.min(253_402_300_799_000)))
}

fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let provider: Arc<CryptoProvider> = ring::default_provider().into();
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    builder.with_no_client_auth().with_single_cert(chain, key)
}

fn read(key: &'static str, file: &str) -> Result<Vec<u8>, BadPair> {
    let cannot = |why: String| {
        let advice = "check the path, which begins at the folder that the node is started in, and the file's permissions";
        bad(key, format!("names {}, which cannot be read: {why}", shown(file)), advice)
    };
    let length = std::fs::metadata(file).map_err(|error| cannot(error.to_string()))?.len();
    if length > FILE_BYTES_MAX {
        return Err(cannot("it is larger than 1 MiB".to_owned()));
    }
    std::fs::read(file).map_err(|error| cannot(error.to_string()))
}

fn bad(key: &'static str, what: String, advice: &str) -> BadPair {
    BadPair { key, problem: Problem::new(what, advice) }
}

fn ms(since: Duration) -> u64 {
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for BadPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tls.{} {}: {}", self.key, self.problem.what, self.problem.advice)
    }
}

impl std::error::Error for BadPair {}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("expires_ms", &self.expires_ms).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_date_is_said() {
        let day = 86_400_000;
        let (folder, key) = (tempfile::tempdir().unwrap(), rcgen::KeyPair::generate().unwrap());
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 3, 1);
        let [certificate, secret] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
        std::fs::write(&certificate, params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(&secret, key.serialize_pem()).unwrap();
        let pair = Pair::load(certificate.to_str().unwrap(), secret.to_str().unwrap()).unwrap();
        assert_eq!(pair.expires().to_string(), "2026-03-01T00:00:00Z");
        assert_eq!(pair.expires_ms - pair.valid_from_ms, 59 * day);
        let warning = |days: u64| pair.warning(pair.valid_from_ms + days * day);
        assert!(pair.warning(pair.valid_from_ms - 1).unwrap().contains("valid from 2026-01-01"));
        assert_eq!(warning(51), None);
        assert!(warning(52).unwrap().starts_with("expires at 2026-03-01"));
        assert!(warning(59).unwrap().starts_with("expired at 2026-03-01"));
    }
}
