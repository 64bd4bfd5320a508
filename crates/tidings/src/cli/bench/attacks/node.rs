//! The node that is attacked: its configuration, its certificate, its keys.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::super::child::Child;
use super::super::failure;

/// What the broker may take: so that a flood of messages reaches its bound within an attack.
pub const BROKER_BYTES: u64 = 64 << 20;
/// The key of the well-behaved.
pub const KEY: &str = "sk_of_the_clients_beside";
/// The secret of tokens, of a node that is gone after the attack.
pub const SECRET: &str = "the secret of a node that lives for a minute";

/// A certificate for `localhost` and its key, in PEM.
#[derive(Debug, Clone)]
pub struct Certificate {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Certificate {
    /// Has `openssl` make one.
    pub fn make() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("tidings-bench-{}-keys", std::process::id()));
        fs::create_dir_all(&folder)?;
        let made = Self::make_in(&folder);
        let _ = fs::remove_dir_all(&folder);
        made
    }

    fn make_in(folder: &Path) -> anyhow::Result<Self> {
        let how = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
                   -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE \
                   -keyout key.pem -out cert.pem";
        let run = Command::new("openssl")
            .args(how.split_whitespace())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        match run {
            Ok(status) if status.success() => {}
            _ => {
                return Err(failure(
                    "`openssl` did not make a certificate".into(),
                    "install it, or leave the attacks on TLS out with --only",
                ));
            }
        }
        let read = |name: &str| fs::read(folder.join(name));
        Ok(Self { certificate: read("cert.pem")?, key: read("key.pem")? })
    }

    /// A client that trusts it, and speaks `protocol` where one is named.
    pub fn client(&self, protocol: Option<&str>) -> anyhow::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&self.certificate)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocol.into_iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(Arc::new(config))
    }
}

/// Starts a node: plain or with TLS, and with keys from a URL or by a secret.
pub fn start(certificate: Option<&Certificate>, jwks: Option<String>) -> anyhow::Result<Child> {
    let jwt = match jwks {
        Some(url) => format!("jwks_url = \"{url}\""),
        None => format!("hmac_secret = \"{SECRET}\""),
    };
    let tls = if certificate.is_some() { "certificate = \"cert.pem\"\nkey = \"key.pem\"\n" } else { "" };
    let tls = if tls.is_empty() { String::new() } else { format!("[tls]\n{tls}") };
    let configuration = format!(
        "max_lag = \"5s\"\n\
         [broker]\nkind = \"memory\"\nmemory_bytes = {BROKER_BYTES}\n\
         [auth]\napi_keys = [\"{KEY}\"]\n[auth.jwt]\n{jwt}\n\
         [limits]\nbody_idle = \"5s\"\n\
         [websocket]\ndeflate = true\n\
         [namespaces.beside]\ndelivery = \"at-least-once\"\nsubscribe = \"public\"\npublish = \"server\"\n\
         [namespaces.open]\ndelivery = \"at-least-once\"\nsubscribe = \"public\"\npublish = \"user\"\n{tls}"
    );
    let files =
        certificate.map(|made| vec![("cert.pem", made.certificate.clone()), ("key.pem", made.key.clone())]);
    Child::configured(&configuration, &files.unwrap_or_default())
}
