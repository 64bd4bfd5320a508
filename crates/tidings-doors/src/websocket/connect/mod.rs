//! The session protocol `tidings.v1` on `/v1/connect`: many channels, publish, presence, history
//! and token refresh on one WebSocket.
//!
//! A browser cannot read a refused upgrade. So this door upgrades whatever the
//! credentials are, and then says what is wrong in a frame and a close code.

mod answer;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod reply;
mod request;
mod talk;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderMap, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use tidings_core::{Code, Error, Result, Session, Via};

use crate::http::head::head;
use crate::http::problem::Problem;
use crate::http::slot::Slot;
use crate::stream::{Open, Pump, address};
use crate::{Doors, Request};

use super::connection::Connection;
use super::ended::Ended;
use super::stream::Stream;
use super::{ENVELOPE_BYTES, handshake};

use talk::Conversation;

/// The subprotocol, as a client may name it in its handshake.
const PROTOCOL: &str = "tidings.v1";
/// A text frame of `{}`: JavaScript cannot see pings.
const BEAT: Bytes = Bytes::from_static(b"\x81\x02{}");

/// Upgrades, and serves the session protocol. `opened` is the session of the credentials that came
/// with the request, or why there is none.
pub(crate) async fn connect(doors: &Doors, request: &Request, opened: Result<Session>) -> Response {
    let (mut headers, deflate) = match handshake::accept(&request.headers, doors.deflate) {
        Ok(accepted) => accepted,
        Err(error) => return handshake::refuse(error),
    };
    if names_protocol(&request.headers) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    let Some(slot) = request.extensions.get::<Slot>() else {
        return Problem::from(Error::new(Code::Overloaded, "this listener cannot upgrade")).into_response();
    };
    let head = head(StatusCode::SWITCHING_PROTOCOLS, &headers, doors.hub.now_ms());
    let opened = doors
        .cors
        .admit_websocket(&request.headers)
        .and(opened)
        .and_then(|session| stream(doors, request, session));
    let (limit, heartbeat) = (doors.message_bytes + ENVELOPE_BYTES, doors.heartbeat);
    let connection = move |socket, ahead| {
        let mut connection =
            Connection::new(socket, ahead, limit, heartbeat).beating(BEAT).deflating(deflate);
        connection.line.push(head);
        connection
    };
    match opened {
        Ok(stream) => match slot.take(move |socket, ahead| stream.run(connection(socket, ahead))).await {},
        Err(error) => {
            doors.hub.metrics().error(error.code);
            let run = move |socket, ahead| refuse(connection(socket, ahead), error);
            match slot.take(run).await {}
        }
    }
}

fn stream(doors: &Doors, request: &Request, session: Session) -> Result<Stream<Conversation>> {
    session.may_stay()?;
    let open = Open::count(doors, request, "session")?;
    let subscription = session.subscription(doors.connection_channels)?;
    subscription.introduce(Via::Session, address(doors, request));
    let pump = Pump::new(subscription, None);
    let talk = Conversation::new(doors.hub.clone(), session, doors.connection_channels);
    Ok(Stream::new(pump, talk, open))
}

/// Says why, and closes with the code that tells whether to come back.
async fn refuse(mut connection: Connection, error: Error) {
    let code = error.code;
    connection.line.push(reply::error(None, error));
    Ended::Error(code).finish(connection).await;
}

fn names_protocol(headers: &HeaderMap) -> bool {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter().filter_map(|value| value.to_str().ok());
    offered.flat_map(|value| value.split(',')).any(|name| name.trim() == PROTOCOL)
}
