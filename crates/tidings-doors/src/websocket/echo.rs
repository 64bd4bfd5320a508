//! An echo on the code path of every WebSocket, for the Autobahn suite and for trying out proxies.

use std::future::poll_fn;
use std::task::Poll;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use soketto::base::OpCode;
use tidings_core::{Code, Error};

use crate::http::head::head;
use crate::http::problem::Problem;
use crate::http::slot::Slot;
use crate::{Doors, Request};

use super::connection::{Closed, Connection, Received};
use super::ended::Ended;
use super::handshake;

/// The suite sends messages of 16 MiB.
const MESSAGE_BYTES_MAX: usize = 17 << 20;

/// Sends every message back.
pub(crate) async fn echo(doors: &Doors, request: &Request, now_ms: u64) -> Response {
    let (headers, deflate) = match handshake::accept(&request.headers, doors.deflate) {
        Ok(accepted) => accepted,
        Err(error) => return handshake::refuse(error),
    };
    let Some(slot) = request.extensions.get::<Slot>() else {
        return Problem::from(Error::new(Code::Overloaded, "this listener cannot upgrade")).into_response();
    };
    let head = head(StatusCode::SWITCHING_PROTOCOLS, &headers, now_ms);
    let heartbeat = doors.heartbeat;
    let run = move |socket, ahead| async move {
        let mut connection = Connection::new(socket, ahead, MESSAGE_BYTES_MAX, heartbeat).deflating(deflate);
        connection.line.push(head);
        let closed = repeat(&mut connection).await;
        Ended::Closed(closed).finish(connection).await;
    };
    match slot.take(run).await {}
}

async fn repeat(connection: &mut Connection) -> Closed {
    loop {
        let received = poll_fn(|cx| match connection.line.poll_flush(cx) {
            Poll::Ready(Ok(())) => connection.poll_receive(cx),
            Poll::Ready(Err(_)) => Poll::Ready(Err(Closed::Lost)),
            Poll::Pending => Poll::Pending,
        });
        match received.await {
            Ok(Received::Text(bytes)) => connection.push(OpCode::Text, &bytes),
            Ok(Received::Binary(bytes)) => connection.push(OpCode::Binary, &bytes),
            Err(closed) => return closed,
        }
    }
}
