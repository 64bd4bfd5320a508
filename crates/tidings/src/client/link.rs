//! One connection, whatever it is made of.

use super::error::Cut;
use super::item::{Frame, Gap, Greeting, Message};
use super::position::Position;
use super::{Endpoint, Timing, Transport, poll, sse, ws};

/// What comes over a connection, in its order.
#[derive(Debug)]
pub(super) enum Event {
    Message(Message),
    /// A gap, and the cursor beside it: of the gap's channel, or of all.
    Gap(Gap, Option<String>),
    /// A cursor for all channels, after everything before it.
    Covers(String),
    /// A channel's end record.
    Closed(Box<str>),
}

impl Event {
    /// The event of a frame, if it is one that a reader is told of.
    pub(super) fn from_frame(frame: Frame) -> Option<Self> {
        match frame {
            Frame::Message(message) => Some(Self::Message(message)),
            Frame::Gap { gap, cursor } => Some(Self::Gap(gap, cursor)),
            Frame::Cursor(cursor) => Some(Self::Covers(cursor)),
            Frame::Closed(end) => Some(Self::Closed(end)),
            Frame::Subscribed(_) | Frame::Error(_) | Frame::Other => None,
        }
    }
}

/// An open connection. Dropping it closes it.
#[derive(Debug)]
pub(super) enum Link {
    Ws(Box<ws::Link>),
    Sse(Box<sse::Link>),
    Poll(Box<poll::Link>),
}

impl Link {
    /// Connects, and waits for the server's first words. `is_wary` is set where there is another
    /// transport to go to: then one that seems to be held back on the way is given up early.
    pub(super) async fn open(
        transport: Transport,
        endpoint: &Endpoint,
        position: &Position,
        timing: &Timing,
        is_wary: bool,
    ) -> Result<(Self, Greeting), Cut> {
        let url = position.url(endpoint);
        Ok(match transport {
            Transport::Ws => {
                let (link, greeting) = ws::Link::open(endpoint, url, timing).await?;
                (Self::Ws(Box::new(link)), greeting)
            }
            Transport::Sse => {
                let (link, greeting) = sse::Link::open(endpoint, url, timing, is_wary).await?;
                (Self::Sse(Box::new(link)), greeting)
            }
            Transport::LongPoll | Transport::Poll => {
                let hold = (transport == Transport::LongPoll).then_some(timing.hold);
                let (link, greeting) = poll::Link::open(endpoint, url, hold).await?;
                (Self::Poll(Box::new(link)), greeting)
            }
        })
    }

    /// What comes next. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Result<Event, Cut> {
        match self {
            Self::Ws(link) => link.next().await,
            Self::Sse(link) => link.next().await,
            Self::Poll(link) => link.next().await,
        }
    }

    /// Whether what came shows that the transport works: of long-polls, only a held one does.
    pub(super) fn is_proven(&self) -> bool {
        match self {
            Self::Ws(_) | Self::Sse(_) => true,
            Self::Poll(link) => link.is_proven(),
        }
    }

    /// Takes leave of the server, where the transport has a way to.
    pub(super) async fn close(self) {
        if let Self::Ws(link) = self {
            link.close().await;
        }
    }
}
