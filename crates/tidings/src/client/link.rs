//! One connection, whatever it is made of.

use super::error::Cut;
use super::item::{Frame, Gap, Greeting, Message};
use super::position::Position;
use super::{Endpoint, Timing, Transport, poll, session, sse, ws};

/// What comes over a connection, in its order.
#[derive(Debug)]
pub(crate) enum Event {
    Message(Message),
    Gap(Gap),
    /// A cursor for all channels, after everything before it.
    Covers(String),
    /// From where the read of one channel starts.
    Began {
        channel: String,
        cursor: String,
    },
    /// A channel's end record.
    Closed(Box<str>),
}

impl Event {
    /// The event of a frame, if it is one that a reader is told of.
    pub(super) fn from_frame(frame: Frame) -> Option<Self> {
        match frame {
            Frame::Message(message) => Some(Self::Message(message)),
            Frame::Gap(gap) => Some(Self::Gap(gap)),
            Frame::Cursor(cursor) => Some(Self::Covers(cursor)),
            Frame::Closed(end) => Some(Self::Closed(end)),
            Frame::Subscribed(_)
            | Frame::Unsubscribed(_)
            | Frame::Error(_)
            | Frame::Refused(_)
            | Frame::Heartbeat
            | Frame::Other => None,
        }
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let text = match self {
            Self::Message(message) => message.json().len(),
            Self::Gap(gap) => gap.text.len(),
            Self::Covers(cursor) | Self::Began { cursor, .. } => cursor.len(),
            Self::Closed(end) => end.len(),
        };
        size_of::<Self>() + text
    }
}

/// An open connection. Dropping it closes it.
#[derive(Debug)]
pub(crate) enum Link {
    Ws(Box<ws::Link>),
    Sse(Box<sse::Link>),
    Poll(Box<poll::Link>),
    Session(Box<session::Link>),
}

impl Link {
    /// Connects, and waits for the server's first words. `is_wary` is set where there is another
    /// transport to go to: then one that seems to be held back on the way is given up early.
    pub(crate) async fn open(
        transport: Transport,
        endpoint: &Endpoint,
        position: &Position,
        timing: &Timing,
        is_wary: bool,
    ) -> Result<(Self, Greeting), Cut> {
        let url = || position.url(endpoint);
        Ok(match transport {
            Transport::Ws => {
                let (link, greeting) = ws::Link::open(endpoint, url(), timing).await?;
                (Self::Ws(Box::new(link)), greeting)
            }
            Transport::Sse => {
                let alone = position.alone();
                let (link, greeting) = sse::Link::open(endpoint, url(), timing, is_wary, alone).await?;
                (Self::Sse(Box::new(link)), greeting)
            }
            Transport::LongPoll | Transport::Poll => {
                let hold = (transport == Transport::LongPoll).then_some(timing.hold);
                let (link, greeting) = poll::Link::open(endpoint, url(), hold, timing.answer).await?;
                (Self::Poll(Box::new(link)), greeting)
            }
            Transport::Session => {
                let (link, greeting) = session::Link::open(endpoint, position, timing).await?;
                (Self::Session(Box::new(link)), greeting)
            }
        })
    }

    /// What comes next. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Event, Cut> {
        match self {
            Self::Ws(link) => link.next().await,
            Self::Sse(link) => link.next().await,
            Self::Poll(link) => link.next().await,
            Self::Session(link) => link.next().await,
        }
    }

    /// Whether what came shows that the transport works: of long-polls, only a held one does.
    pub(super) fn is_proven(&self) -> bool {
        match self {
            Self::Ws(_) | Self::Sse(_) | Self::Session(_) => true,
            Self::Poll(link) => link.is_proven(),
        }
    }

    /// Takes leave of the server, where the transport has a way to.
    pub(crate) async fn close(self) {
        match self {
            Self::Ws(link) => link.close().await,
            Self::Session(link) => link.close().await,
            Self::Sse(_) | Self::Poll(_) => {}
        }
    }
}
