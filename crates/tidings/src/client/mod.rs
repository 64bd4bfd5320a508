//! The wire from outside: what a stranger to the server sees of it.
//!
//! A [`Reader`] follows channels over any transport and is asked [`next`](Reader::next);
//! [`publish`](publish()) and [`publish_lines`] write. Nothing here names the server's own
//! crates, so that a test with these clients proves what any client may rely on.
//!
//! ```text
//!   Reader ── Ladder (which transport) ── Backoff (when)
//!     │  └─── Position (from where)   └── Seen (what was had already)
//!     ▼
//!   Link = ws | sse | poll (and long-poll), all on the one URL `/v1/subscribe`
//!        | session, on `/v1/connect`
//! ```
//!
//! Every buffer is bounded: one item, one page of a poll, what comes while a session subscribes,
//! and the cursors of what has come since the place to resume from. How fast a caller asks is how fast the wire is read.

mod backoff;
mod consumer;
mod endpoint;
mod error;
mod event_stream;
mod frames;
mod handshake;
mod item;
mod ladder;
mod link;
mod page;
mod poll;
mod position;
mod publish;
mod reader;
mod seen;
mod session;
mod silence;
mod sse;
#[cfg(test)]
mod tests;
#[cfg(feature = "client-tls")]
mod tls;
mod ws;

use std::time::Duration;

pub use backoff::Backoff;
pub use consumer::acknowledge;
pub use endpoint::Endpoint;
pub(crate) use endpoint::with_roots;
pub(crate) use error::Cut;
pub use error::{Error, Problem};
pub use event_stream::{Block, Parser, TooLong};
pub(crate) use item::Greeting;
pub use item::{Gap, Item, Message, Parts, Status};
pub(crate) use link::{Event, Link};
pub(crate) use position::Position;
pub use position::{Rate, Start};
pub use publish::{Body, Draft, Lines, Receipt, generated_id, publish, publish_lines};
pub use reader::{Reader, Subscription};

/// The most bytes of one item: a frame, an event, an error's body.
///
/// Far above a server's default limit for a message (1 MiB), and the bound of what a reader
/// holds at a time.
pub const ITEM_BYTES_MAX: usize = 16 << 20;

/// How a channel is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// One WebSocket.
    Ws,
    /// One response that never ends, `text/event-stream`.
    Sse,
    /// Requests that the server holds until there is something.
    LongPoll,
    /// Requests that are answered at once, as often as the server says.
    Poll,
    /// One WebSocket of the session protocol `tidings.v1`, on which each channel is subscribed to
    /// by itself: the one that takes more than 100.
    Session,
}

impl Transport {
    /// The transports that are tried where none is chosen, the best first.
    pub const LADDER: [Self; 4] = [Self::Ws, Self::Sse, Self::LongPoll, Self::Poll];

    /// Every transport.
    pub const ALL: [Self; 5] = [Self::Ws, Self::Sse, Self::LongPoll, Self::Poll, Self::Session];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Sse => "sse",
            Self::LongPoll => "long-poll",
            Self::Poll => "poll",
            Self::Session => "session",
        }
    }
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How long a reader waits for what.
#[derive(Debug, Clone)]
pub struct Timing {
    /// For a connection, and again for the server's first words on it.
    pub connect: Duration,
    /// Without a byte, after which a connection counts as dead. Servers speak every 15 s.
    pub silence: Duration,
    /// For the first bytes of an event stream; later than that, something holds it back, and
    /// a reader that may choose goes on to the next transport.
    pub first_byte: Duration,
    /// That a long-poll asks to be held for, at most 60 s.
    pub hold: Duration,
    /// For the answer to a poll, and again for its body; a held one has its hold on top.
    pub answer: Duration,
    /// The first delay of the backoff, before jitter; it doubles from here.
    pub backoff_min: Duration,
    /// The longest delay of the backoff.
    pub backoff_max: Duration,
    /// That a connection must last for the backoff to start anew.
    pub uptime_min: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(20),
            first_byte: Duration::from_secs(4),
            hold: Duration::from_secs(25),
            answer: endpoint::ANSWER_MAX,
            backoff_min: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            uptime_min: Duration::from_secs(10),
        }
    }
}
