//! Frames from a client that publishes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use serde::Serialize;
use tidings_core::log::{Kind, Payload};
use tidings_core::{Channel, Code, Error, Session};

use crate::http::problem::Problem;
use crate::item::{Item, Loose};
use crate::receipt::{self, Receipt};
use crate::stream::Pump;

use super::connection::{Connection, Received};
use super::frame;
use super::stream::Talk;

/// A talk in which every frame publishes.
pub(super) struct Publishing {
    session: Session,
    /// The channel of the URL; `None` on `/v1/subscribe`, where each frame names its own.
    only: Option<Channel>,
    answer: Option<Answer>,
}

/// A frame, and the code with which the connection ends after it, if it does.
type Answer = Pin<Box<dyn Future<Output = (Bytes, Option<Code>)> + Send>>;

#[derive(Serialize)]
struct Published {
    published: Receipt,
}

impl Publishing {
    pub(super) fn new(session: Session, only: Option<Channel>) -> Self {
        Publishing { session, only, answer: None }
    }
}

impl Talk for Publishing {
    fn is_composite(&self) -> bool {
        self.only.is_none()
    }

    fn is_busy(&self) -> bool {
        self.answer.is_some()
    }

    fn receive(&mut self, _: &mut Pump, _: &mut Connection, received: Received) -> Option<Code> {
        self.answer = Some(Box::pin(publish(self.session.clone(), self.only.clone(), received)));
        None
    }

    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        _: &mut Pump,
        connection: &mut Connection,
    ) -> Poll<Option<Code>> {
        let Some(answer) = &mut self.answer else { return Poll::Pending };
        let (frame, ends) = ready!(answer.as_mut().poll(cx));
        self.answer = None;
        connection.line.push(frame);
        Poll::Ready(ends)
    }
}

/// Stores what a frame holds, and says so in a frame. A refusal leaves the connection open, unless it names
/// the code with which it ends: what is too large.
///
/// `only` is the channel of the URL; without one, the frame names its channel.
async fn publish(session: Session, only: Option<Channel>, received: Received) -> (Bytes, Option<Code>) {
    let mut echoed = None;
    match try_publish(&session, only, received, &mut echoed).await {
        Ok(answer) => (answer, None),
        Err(error) => {
            let ends = (error.code == Code::TooLarge).then_some(error.code);
            if ends.is_none() {
                // Else the close counts.
                session.count_error(error.code);
            }
            (refusal(error, echoed.as_deref()), ends)
        }
    }
}

async fn try_publish(
    session: &Session,
    only: Option<Channel>,
    received: Received,
    echoed: &mut Option<String>,
) -> Result<Bytes, Error> {
    let item = match received {
        Received::Text(bytes) => {
            let frame = Bytes::from(bytes);
            let loose = Loose::parse(&frame).map_err(bad_frame)?;
            *echoed = loose.id().map(str::to_owned);
            Item::read(&frame, loose).map_err(bad_frame)?
        }
        Received::Binary(bytes) => Item::of(Payload { kind: Kind::Bytes, bytes: bytes.into() }),
    };
    let channel = match (only, &item.channel) {
        (Some(only), None) => only,
        (Some(only), Some(named)) if only == *named => only,
        (Some(only), Some(_)) => {
            return Err(Error::new(Code::BadFrame, format!("this connection publishes to `{only}` alone")));
        }
        (None, Some(named)) => named.clone(),
        (None, None) => return Err(Error::new(Code::BadFrame, "the frame needs a `channel` here")),
    };
    let writer = session.writer(&channel)?;
    let published = receipt::store(&writer, &channel, item).await?;
    Ok(frame::text(&serde_json::to_vec(&Published { published }).unwrap_or_default()))
}

/// `{"error":{problem}}`; the problem repeats the id of the frame that it answers, if that had one.
fn refusal(error: Error, id: Option<&str>) -> Bytes {
    let problem = Problem::from(error).of_frame(id).to_json();
    frame::text(format!("{{\"error\":{problem}}}").as_bytes())
}

/// What is wrong with the JSON of a frame is wrong with the frame.
pub(super) fn bad_frame(error: Error) -> Error {
    match error.code {
        Code::BadJson => Error { code: Code::BadFrame, ..error },
        _ => error,
    }
}
