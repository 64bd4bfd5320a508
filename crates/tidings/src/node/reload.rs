//! Another configuration while a node runs: all of it, or nothing.

use std::fmt;
use std::sync::Arc;

use tidings_core::{Control, Hub};
use tidings_doors::Entrance;
use tokio::sync::watch;

use crate::config::{BadPair, Changes, Config};

use super::certificates::Certificates;
use super::gauge;
use super::jwks::Kept;
use super::keys::{self, Accepted};
use super::settings::{connections_max, doors, settings};

/// The parts of a node that a configuration can change.
pub(super) struct Live {
    /// The configuration in force.
    pub(super) config: watch::Sender<Arc<Config>>,
    /// Where it listens.
    pub(super) port: u16,
    pub(super) hub: Hub,
    pub(super) control: Arc<Control>,
    pub(super) entrance: Entrance,
    pub(super) certificates: Certificates,
    pub(super) jwks: Option<Arc<Kept>>,
}

/// Why a node goes on with the configuration that it has.
#[derive(Debug)]
pub enum Refused {
    /// Keys that only a start can change.
    Fixed(Changes),
    /// A certificate that cannot be used.
    Certificate(BadPair),
    /// Keys of tokens that cannot be used.
    Keys(anyhow::Error),
}

impl Live {
    /// Puts a configuration into force, or says why it changes nothing at all. Gives what has changed.
    pub(super) fn reload(&mut self, config: Config) -> Result<Changes, Refused> {
        let before = self.config.borrow().clone();
        let mut changes = Changes::between(&before, &config);
        let fixed = changes.fixed();
        if !fixed.is_empty() {
            return Err(Refused::Fixed(fixed));
        }
        // All that can fail comes first.
        let pair = Certificates::load(config.tls.files()).map_err(Refused::Certificate)?;
        let Accepted { keys, jwks } = keys::of(&config.auth, self.jwks.as_ref()).map_err(Refused::Keys)?;
        if !changes.touch("auth.jwt") && !self.control.settings().keys.accept_same_tokens(&keys) {
            changes.add("auth.jwt.public_key_file (its content)");
        }
        if self.certificates.replace(pair) && !changes.touch("tls") {
            changes.add("tls.certificate (its content)");
        }
        self.jwks = jwks;
        let addresses = self.entrance.doors().addresses.clone();
        self.entrance.replace(doors(&config, self.port, self.hub.clone(), addresses));
        self.control.replace(settings(&config, keys));
        self.hub.metrics().connections_max.set(gauge(connections_max(&config)));
        self.config.send_replace(Arc::new(config));
        Ok(changes)
    }
}

impl Refused {
    /// What to do about it: one sentence in the imperative.
    pub fn advice(&self) -> &'static str {
        match self {
            Refused::Fixed(_) => "restart the node, or put these keys back and send SIGHUP again",
            Refused::Certificate(_) | Refused::Keys(_) => "mend the file, and send SIGHUP again",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Fixed(keys) => write!(f, "these keys cannot change while a node runs: {keys}"),
            Refused::Certificate(error) => error.fmt(f),
            Refused::Keys(error) => write!(f, "{error:#}"),
        }
    }
}

impl std::error::Error for Refused {}
