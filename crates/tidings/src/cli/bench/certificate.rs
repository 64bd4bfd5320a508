//! A certificate for the nodes that a benchmark starts.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::failure;

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
                    "install openssl, or measure without TLS",
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

    /// The lines that give it to a node, and the files that they name.
    pub fn files(&self) -> (&'static str, Vec<(&'static str, Vec<u8>)>) {
        let lines = "[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n";
        (lines, vec![("cert.pem", self.certificate.clone()), ("key.pem", self.key.clone())])
    }
}
