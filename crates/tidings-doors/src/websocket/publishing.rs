//! Frames from a client that publishes.

use bytes::Bytes;
use serde::Serialize;
use tidings_core::log::{Kind, Payload};
use tidings_core::{Channel, Code, Cursor, Error, Session};

use crate::http::problem::Problem;
use crate::item::{Item, Loose};

use super::connection::Received;
use super::frame;

#[derive(Serialize)]
struct Answer<'a> {
    published: Published<'a>,
}

#[derive(Serialize)]
struct Published<'a> {
    channel: &'a str,
    cursor: String,
    id: &'a str,
    duplicate: bool,
}

/// Stores what a frame holds, and says so in a frame. A refusal leaves the connection open, unless it names
/// the code with which it ends: what is too large.
///
/// `only` is the channel of the URL; without one, the frame names its channel.
pub(super) async fn publish(
    session: Session,
    only: Option<Channel>,
    received: Received,
) -> (Bytes, Option<Code>) {
    let mut echoed = None;
    match try_publish(&session, only, received, &mut echoed).await {
        Ok(answer) => (answer, None),
        Err(error) => {
            let ends = (error.code == Code::TooLarge).then_some(error.code);
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
    let draft = item.draft(&writer);
    let mut appended = writer.append(vec![draft]).await.map_err(|stopped| stopped.error)?;
    let Some(one) = appended.pop() else {
        return Err(Error::new(
            Code::BrokerUnavailable,
            "the broker did not say where it stored the message",
        ));
    };
    let cursor = Cursor::one(&channel, one.position).to_string();
    let published = Published { channel: channel.as_str(), cursor, id: &one.id, duplicate: one.duplicate };
    Ok(frame::text(&serde_json::to_vec(&Answer { published }).unwrap_or_default()))
}

/// `{"error":{problem}}`; the problem repeats the id of the frame that it answers, if that had one.
fn refusal(error: Error, id: Option<&str>) -> Bytes {
    let problem = Problem::from(error).of_frame(id).to_json();
    frame::text(format!("{{\"error\":{problem}}}").as_bytes())
}

/// What is wrong with the JSON of a frame is wrong with the frame.
fn bad_frame(error: Error) -> Error {
    match error.code {
        Code::BadJson => Error { code: Code::BadFrame, ..error },
        _ => error,
    }
}
