//! A connection that was accepted, and how it is to be served.

use std::any::Any;
use std::time::Duration;

use axum::Router;
use tokio::sync::watch;

use super::peer::Peer;

/// How a connection is served.
pub struct Accepted {
    /// What answers its requests.
    pub router: Router,
    /// Who is at its other end.
    pub peer: Peer,
    /// How long it may take for what.
    pub times: Times,
    /// Held while it lives.
    pub hold: Hold,
}

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// For a handshake of TLS, and for the head of a request from its first byte on.
    pub head: Duration,
    /// Between its requests.
    pub idle: Duration,
    /// Without taking anything of an answer, where no namespace says so.
    pub max_lag: Duration,
}

/// What lives as long as a connection: the node knows by it when the last has ended.
pub struct Hold {
    /// Turns true when the connection is to end with its answers under way.
    pub drain: watch::Receiver<bool>,
    /// Its places among those that the node counts.
    pub places: Box<dyn Any + Send>,
}
