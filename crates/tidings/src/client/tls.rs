//! Whom a client trusts: the roots of this system, and one of the caller's.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::Error;

/// A client's side of TLS. `ca` is PEM, trusted beside the system's roots, which
/// are looked up only if TLS `is_needed`: a small container has none.
///
/// # Errors
///
/// [`Error::Unsendable`] if `ca` holds no certificate.
pub(super) fn config(ca: Option<&[u8]>, is_needed: bool) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    if is_needed {
        // Those that cannot be read or understood are as good as absent: then no server is trusted for them.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if let Some(pem) = ca {
        let bad = |why: String| Error::Unsendable(format!("the CA file holds no certificate in PEM{why}"));
        let mut found = false;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| bad(format!(" ({error})")))?;
            roots.add(certificate).map_err(|error| bad(format!(" ({error})")))?;
            found = true;
        }
        if !found {
            return Err(bad(String::new()));
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Error::Unsendable(format!("no TLS: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
