//! What a node is set to: all that can change while it runs, in one piece.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::error::{Code, Error, Result};
use crate::limit::Limits;
use crate::log::Channel;
use crate::policy::{Namespace, Policy, Publish, Subscribe};
use crate::session::{Identity, Keys};

/// What a node is set to. It never changes: others take its place, whole.
pub struct Settings {
    /// The declared namespaces.
    pub policy: Policy,
    /// The credentials that are accepted.
    pub keys: Keys,
    /// The bounds of the node.
    pub limits: Limits,
}

/// The settings in force, and their number: who judged by an older one judges again.
pub(crate) struct InForce {
    settings: watch::Sender<Arc<Settings>>,
    /// Read for each message, so it is no lock. Never behind what was judged by.
    number: AtomicU64,
}

impl Settings {
    /// The namespace of a channel that may be read, or why it may not be.
    pub(crate) fn may_subscribe(&self, identity: &Identity, channel: &Channel) -> Result<Arc<Namespace>> {
        let namespace = self.policy.of(channel)?;
        let allowed = match (identity, namespace.subscribe) {
            (_, Subscribe::Administer) => return Settings::may_administer(identity).map(|()| namespace),
            (_, Subscribe::Public) | (Identity::Client(_), Subscribe::User) => true,
            (Identity::Backend(backend), _) if !backend.rights.read => return Err(lacks("read")),
            (Identity::Backend(_), _) => true,
            (Identity::Anonymous, _) => {
                return Err(no_credentials(&format!("reading `{channel}` needs credentials")));
            }
            (Identity::Client(client), Subscribe::Token) => client.may_subscribe(channel),
        };
        match allowed {
            true => Ok(namespace),
            false => Err(forbidden(&format!("these credentials do not allow reading `{channel}`"))),
        }
    }

    /// The namespace of a channel that may be written to, or why it may not be.
    pub(crate) fn may_publish(&self, identity: &Identity, channel: &Channel) -> Result<Arc<Namespace>> {
        let namespace = self.policy.of(channel)?;
        let allowed = match (identity, namespace.publish) {
            (Identity::Anonymous, Publish::Nobody) => {
                return Err(no_credentials(&format!("publishing to `{channel}` needs credentials")));
            }
            (_, Publish::Nobody) => return Err(forbidden(&format!("nodes alone write `{channel}`"))),
            (Identity::Backend(backend), _) if !backend.rights.publish => return Err(lacks("publish")),
            (Identity::Backend(_), _) | (Identity::Client(_), Publish::User) => true,
            (Identity::Anonymous, _) => {
                return Err(no_credentials(&format!("publishing to `{channel}` needs credentials")));
            }
            (Identity::Client(_), Publish::Server) => false,
            (Identity::Client(client), Publish::Token) => client.may_publish(channel),
        };
        match allowed {
            true => Ok(namespace),
            false => Err(forbidden(&format!("these credentials do not allow publishing to `{channel}`"))),
        }
    }

    /// Checks the right to create a channel and to delete it, and gives its namespace.
    pub(crate) fn may_keep(&self, identity: &Identity, channel: &Channel) -> Result<Arc<Namespace>> {
        Settings::may_administer(identity)?;
        let namespace = self.policy.of(channel)?;
        match namespace.publish {
            Publish::Nobody => Err(forbidden(&format!("`{channel}` is the nodes' own"))),
            Publish::Server | Publish::User | Publish::Token => Ok(namespace),
        }
    }

    /// Checks the right to administer: an API key that has it.
    pub(crate) fn may_administer(identity: &Identity) -> Result<()> {
        match identity {
            Identity::Backend(backend) if backend.rights.administer => Ok(()),
            Identity::Backend(_) => Err(lacks("administer")),
            Identity::Anonymous => Err(no_credentials("this needs an API key")),
            Identity::Client(_) => Err(forbidden("this needs an API key; a client's token is not enough")),
        }
    }
}

impl InForce {
    pub(crate) fn new(settings: Settings) -> Self {
        InForce { settings: watch::Sender::new(Arc::new(settings)), number: AtomicU64::new(1) }
    }

    pub(crate) fn get(&self) -> Arc<Settings> {
        self.settings.borrow().clone()
    }

    /// Their number; 0 is of none.
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// The settings, and a number that is theirs, or older: then they are looked at once more.
    pub(crate) fn numbered(&self) -> (u64, Arc<Settings>) {
        let number = self.number();
        (number, self.get())
    }

    pub(crate) fn replace(&self, settings: Settings) {
        self.settings.send_replace(Arc::new(settings));
        self.number.fetch_add(1, Ordering::Release);
    }

    /// Waits until the credentials of a client are accepted no more.
    pub(crate) async fn refused(&self, identity: &Identity) {
        let mut settings = self.settings.subscribe();
        let refused = settings.wait_for(|settings| settings.keys.renew(identity).is_err());
        if refused.await.is_err() {
            // The node is gone, and nobody waits.
            std::future::pending().await
        }
    }
}

fn no_credentials(detail: &str) -> Error {
    Error::new(Code::NoCredentials, detail)
}

fn forbidden(detail: &str) -> Error {
    Error::new(Code::Forbidden, detail)
}

fn lacks(right: &str) -> Error {
    forbidden(&format!("this API key lacks the right `{right}`"))
}
