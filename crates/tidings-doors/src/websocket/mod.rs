//! WebSocket on a channel URL (RFC 6455).

mod connect;
mod connection;
mod decoder;
mod deflate;
mod echo;
mod ended;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod greeting;
mod handshake;
mod publishing;
mod stream;
mod timing;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::HeaderValue;
use tidings_core::{Code, Error, Session, Via, Want};

use crate::http::DELIVERY;
use crate::http::head::head;
use crate::http::problem::Problem;
use crate::http::query::Reading;
use crate::http::slot::Slot;
use crate::stream::{Open, Pump, address};
use crate::{Doors, Request};

pub(crate) use connect::connect;
use connection::Connection;
pub(crate) use echo::echo;
use publishing::Publishing;
use stream::Stream;

/// Room for what stands around the data of a frame that publishes.
const ENVELOPE_BYTES: usize = 16 * 1024;

/// Answers a read with a WebSocket. Before the upgrade a refusal is a plain reply.
pub(crate) async fn read(
    doors: &Doors,
    request: &Request,
    session: Session,
    want: Want,
    reading: Reading,
    single: bool,
) -> Response {
    let accepted = doors
        .cors
        .admit_websocket(&request.headers)
        .and_then(|()| handshake::accept(&request.headers, doors.deflate));
    let (mut headers, deflate) = match accepted {
        Ok(accepted) => accepted,
        Err(error) => return handshake::refuse(error),
    };
    let begun = match Open::count(doors, request, "websocket") {
        Ok(open) => session.follow(want).await.map(|subscription| (open, subscription)),
        Err(error) => Err(error),
    };
    let (open, mut subscription) = match begun {
        Ok(begun) => begun,
        Err(error) => return Problem::from(error).into_response(),
    };
    subscription.introduce(Via::WebSocket, address(doors, request));
    if let Some(pace) = reading.pace {
        subscription.pace_all(pace);
    }
    headers.insert(DELIVERY, HeaderValue::from_static(subscription.stated()));
    doors.cors.add(request.origin(), &mut headers);
    let Some(slot) = request.extensions.get::<Slot>().cloned() else {
        return Problem::from(Error::new(Code::Overloaded, "this listener cannot upgrade")).into_response();
    };
    let head = head(StatusCode::SWITCHING_PROTOCOLS, &headers, session.now_ms());
    let limit = doors.message_bytes + ENVELOPE_BYTES;
    let heartbeat = doors.heartbeat;
    let greeting = greeting::greeting(&subscription);
    let only = subscription.facts().first().filter(|_| single).map(|fact| fact.channel.clone());
    let talk = Publishing::new(session, only);
    let stream = Stream::new(Pump::new(subscription, reading.limit), talk, open);
    let run = move |socket, ahead| {
        let mut connection = Connection::new(socket, ahead, limit, heartbeat).deflating(deflate);
        connection.line.push(head);
        connection.line.push(greeting);
        stream.run(connection)
    };
    match slot.take(run).await {}
}
