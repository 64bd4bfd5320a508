//! What a broker of this kind is told.

use std::fmt;
use std::path::PathBuf;

/// The server, and how what is kept there is named.
#[derive(Clone)]
pub struct Options {
    /// `nats://host:port` or `tls://host:port`; several of one cluster with commas between them. It
    /// may hold a user and a password, or a token: `nats://user:password@host`.
    pub url: String,
    /// A file of credentials, as `nsc` makes it.
    pub credentials: Option<PathBuf>,
    /// Certificates (PEM) to trust besides those of the system.
    pub ca: Option<PathBuf>,
    /// What streams and subjects begin with: letters and digits. Two installations that share an
    /// account have two prefixes.
    pub prefix: String,
    /// Copies of each stream, 1 to 5. It counts for streams that are made from now on.
    pub replicas: u8,
}

impl Options {
    /// One server, the prefix `tidings`, one copy.
    pub fn new(url: impl Into<String>) -> Self {
        Options { url: url.into(), credentials: None, ca: None, prefix: "tidings".into(), replicas: 1 }
    }
}

/// Without the URL, which may hold a password.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("credentials", &self.credentials)
            .field("ca", &self.ca)
            .field("prefix", &self.prefix)
            .field("replicas", &self.replicas)
            .finish_non_exhaustive()
    }
}
