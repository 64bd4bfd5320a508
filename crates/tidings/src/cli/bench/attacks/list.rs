//! The attacks, by name.

use std::pin::Pin;

use super::arena::Arena;
use super::jwks::Mood;
use super::{frames, heads, multiplex, names, readers, sockets};

/// An attack.
pub struct Attack {
    /// What it is called.
    pub name: &'static str,
    /// What it does, in a few words.
    pub what: &'static str,
    /// The node that it is tried on.
    pub on: On,
    /// Does it, until it is over.
    pub run: fn(Arena) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// A kind of node.
#[derive(Debug, Clone, Copy)]
pub enum On {
    /// Plain HTTP, tokens by a secret.
    Plain,
    /// HTTPS.
    Tls,
    /// Plain HTTP, tokens by keys that are fetched from such an endpoint.
    Keys(Mood),
}

macro_rules! attacks {
    ($($name:literal, $on:expr, $run:path, $what:literal;)*) => {
        /// Every attack, in the order of the table.
        pub const ALL: &[Attack] = &[
            $(Attack { name: $name, what: $what, on: $on, run: |arena| Box::pin($run(arena)) },)*
        ];
    };
}

attacks! {
    "half-open", On::Plain, sockets::half_open, "5,000 sockets that say nothing";
    "slow-head", On::Plain, sockets::slow_head, "1,000 heads at a byte a second";
    "slow-body", On::Plain, sockets::slow_body, "1,000 bodies at a byte a second";
    "slow-pages", On::Plain, readers::slow_pages, "500 pages of 8 MiB, read at 4 KiB a second";
    "unread-streams", On::Plain, readers::unread_streams, "500 SSE readers of 100 KB a second that never read";
    "unread-sockets", On::Plain, readers::unread_sockets, "500 WebSockets on the same that never read";
    "pipeline", On::Plain, sockets::pipeline, "500 sockets of 200 requests a second for 100 KB each, no answer read";
    "reconnect-storm", On::Plain, readers::reconnect_storm, "5,000 readers who were cut off come back at once with their cursors";
    "connect-storm", On::Plain, sockets::connect_storm, "2,000 connections a second, closed at once";
    "huge-heads", On::Plain, heads::huge, "300 a second: heads of 1 MiB, 1,000 headers, targets of 100 KB";
    "header-injection", On::Plain, heads::injection, "500 a second: CR, LF and NUL in each value that may come back";
    "token-flood", On::Plain, heads::tokens, "2,000 a second: expired, forged, unsigned, random";
    "names-polled", On::Plain, names::polled, "40,000 distinct channels a second, polled";
    "names-streamed", On::Plain, names::streamed, "20,000 a second, as event streams left at once";
    "names-subscribed", On::Plain, names::subscribed, "20,000 a second over `/v1/connect`, each for two seconds";
    "names-published", On::Plain, names::published, "10,000 a second, each with a message";
    "oversized-frames", On::Plain, frames::oversized, "100 a second: frames that say to be 1 GiB";
    "endless-message", On::Plain, frames::endless, "50 a second: fragments of 16 KiB without an end";
    "tiny-fragments", On::Plain, frames::tiny, "200,000 fragments of a byte a second on 20 sockets";
    "empty-fragments", On::Plain, frames::empty, "200,000 empty fragments a second on 20 sockets";
    "compression-bomb", On::Plain, frames::bomb, "50 a second: 64 KiB that become 64 MiB";
    "ping-flood", On::Plain, frames::pings, "40,000 pings a second on 20 sockets";
    "handshakes-left", On::Tls, multiplex::handshakes, "1,000 TLS handshakes begun and left";
    "h2-rapid-reset", On::Tls, multiplex::rapid_reset, "10,000 requests a second that are reset at once";
    "h2-control-flood", On::Tls, multiplex::control, "50,000 SETTINGS and PING a second";
    "h2-continuation", On::Tls, multiplex::continuation, "heads over HTTP/2 that never end";
    "jwks-silent", On::Keys(Mood::Silent), heads::unknown_keys, "2,000 unknown keys a second, an endpoint that never answers";
    "jwks-endless", On::Keys(Mood::Endless), heads::unknown_keys, "the same, with an answer that never ends";
    "jwks-hostile", On::Keys(Mood::Hostile), heads::unknown_keys, "the same, with deep, huge, broken and redirected answers";
}
