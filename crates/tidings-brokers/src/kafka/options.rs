//! What a broker of this kind is told.

use std::fmt;
use std::path::PathBuf;

/// The servers, and how what is kept there is named.
#[derive(Clone)]
pub struct Options {
    /// `host:port` of some servers of the cluster; the others are found through them.
    pub brokers: Vec<String>,
    /// As whom to connect; `None` where the servers ask nobody.
    pub login: Option<Login>,
    /// Whether the servers speak TLS.
    pub tls: bool,
    /// Certificates (PEM) to trust in place of those of the system.
    pub ca: Option<PathBuf>,
    /// What topics begin with: letters and digits. Two installations that share a cluster have two prefixes.
    pub prefix: String,
    /// Copies of each topic that is made from now on.
    pub replicas: u8,
    /// Partitions of each topic that is made from now on, 1 to 1,000.
    pub partitions: u16,
    /// Bytes of the newest messages that the broker may hold, so that who was away for a moment needs no scan.
    pub held_bytes: usize,
}

/// A user, and how the servers ask for its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The name of the user.
    pub user: String,
    /// Its password.
    pub password: String,
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub mechanism: &'static str,
}

impl Options {
    /// These servers, without password and TLS, the prefix `tidings`, one copy, 12 partitions.
    pub fn new(brokers: Vec<String>) -> Self {
        Options {
            brokers,
            login: None,
            tls: false,
            ca: None,
            prefix: "tidings".into(),
            replicas: 1,
            partitions: 12,
            held_bytes: 64 << 20,
        }
    }
}

/// Without the password.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("brokers", &self.brokers)
            .field("tls", &self.tls)
            .field("ca", &self.ca)
            .field("prefix", &self.prefix)
            .field("replicas", &self.replicas)
            .field("partitions", &self.partitions)
            .finish_non_exhaustive()
    }
}
