//! The ways to read and write a channel: one URL, and whichever door the request asks for.
//!
//! A door translates one wire protocol to and from a [`tidings_core::Session`].
//! It knows no other door, no broker and no feed; rights, limits and positions
//! are the session's.

mod census;
mod channel;
mod consumer;
mod entrance;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod http;
mod item;
mod operate;
mod orders;
mod poll;
mod presence;
mod publish;
mod receipt;
mod request;
mod revocation;
mod router;
mod sse;
mod stream;
mod websocket;
mod wire;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tidings_core::{Hub, Seats};

pub use crate::entrance::Entrance;
use crate::http::cors::Cors;
use crate::http::peer::Proxies;
pub use crate::http::takeover::serve;
pub use crate::http::tls::serve_tls;
pub(crate) use request::Request;
pub use router::{router, shared};

/// What every door needs. It never changes: an [`Entrance`] leads to others.
pub struct Doors {
    /// Opens sessions.
    pub hub: Hub,
    /// Which pages may use this node.
    pub cors: Cors,
    /// How long a stream may be idle before it is proved alive.
    pub heartbeat: Duration,
    /// How long a request's body may pause.
    pub body_idle: Duration,
    /// How long a body may take that is not streamed, and each message of one that is.
    pub body_time: Duration,
    /// The largest message, in bytes.
    pub message_bytes: usize,
    /// Most channels that one connection to `/v1/connect` reads.
    pub connection_channels: usize,
    /// Most messages of a batch.
    pub batch_messages: usize,
    /// The connections of each address, which the listener counts, and the live reads for which a proxy speaks.
    pub addresses: Arc<Seats<IpAddr>>,
    /// Most of them for one address.
    pub address_connections: usize,
    /// The proxies that are believed.
    pub proxies: Proxies,
    /// Whether WebSocket messages are compressed for clients that offer it.
    pub deflate: bool,
    /// Whether to serve `/dev/echo`.
    pub echo: bool,
}
