//! Serving a connection with hyper until a door takes its socket.
//!
//! hyper keeps 16 KiB of buffers for as long as it writes a reply, which a
//! stream that lives for hours cannot pay. So a door puts a job into the slot
//! of its connection and never answers; the driver sees the job, takes the
//! socket back from hyper, and gives it to the job. HTTP/1.1 alone: a stream of
//! HTTP/2 is no socket (see [`super::multiplex`]).
//!
//! Where hyper refuses a request, before any door sees it, its own answer says
//! nothing but a status. It is held back, and a problem goes out in its place.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response};
use http_body::Frame;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::TcpStream;
use tower_service::Service;

use super::accepted::{Accepted, Hold};
use super::refusal::{self, HEAD_BYTES_MAX, Refused};
use super::slot::{Job, Slot};
use super::tracked::Tracked;
use super::unread::Unread;
use super::waiting::Waiting;
use crate::stream::{Line, Socket};

type Answering = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

/// How hyper's part of a connection ends.
enum Ended {
    Taken(Job),
    Over,
    Refused(Refused),
}

/// How long a connection to a node that drains may say nothing.
pub(super) const FIRST_WORD_WAIT: Duration = Duration::from_secs(1);
/// How long a refusal may take to leave.
const REFUSAL_WAIT: Duration = Duration::from_secs(5);

/// Serves one connection until it ends, or until a door has taken it and is done with it.
///
/// A client that takes nothing of an answer for `max_lag` is let go, unless the namespace that it reads has its own.
/// When the node drains, the requests under way are answered and the connection ends.
pub async fn serve(stream: TcpStream, accepted: Accepted) {
    serve_socket(Socket::Plain(stream), accepted).await;
}

/// The same, for a socket of any kind.
pub(super) async fn serve_socket(socket: Socket, mut accepted: Accepted) {
    if let Some((socket, ahead, job)) = serve_http(socket, &mut accepted).await {
        job(socket, ahead, accepted.hold);
    }
}

async fn serve_http(socket: Socket, accepted: &mut Accepted) -> Option<(Socket, Bytes, Job)> {
    let Accepted { router, peer, times, hold: Hold { drain, .. } } = accepted;
    let (peer, times) = (*peer, *times);
    let slot = Slot::new(times.max_lag);
    let (in_requests, to_requests) = (slot.clone(), router.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        in_requests.begin();
        request.extensions_mut().insert(in_requests.clone());
        request.extensions_mut().insert(peer);
        let answering: Answering = Box::pin(answer(to_requests.clone(), request, in_requests.clone()));
        answering
    });
    let io = Tracked::new(socket, slot.clone());
    let mut builder = http1::Builder::new();
    // The times of a head are our own, since hyper's do not tell a slow client from an idle one.
    builder.header_read_timeout(None).max_buf_size(HEAD_BYTES_MAX);
    // A buffer may be a little larger than it may be.
    builder.max_header_size(HEAD_BYTES_MAX);
    let mut connection = builder.serve_connection(io, service);
    let in_drain = slot.clone();
    let mut draining = Box::pin(async move {
        // An error means that the node is gone, which is as good as draining.
        let _ = drain.wait_for(|drain| *drain).await;
        // hyper closes a connection at once that it has not heard yet. Who comes
        // now comes for an answer: a load balancer asks whether the node is ready.
        if !in_drain.0.heard.load(Ordering::Relaxed) {
            tokio::time::sleep(FIRST_WORD_WAIT).await;
        }
    });
    let mut drained = false;
    let mut waiting = Waiting::new(times);
    let (job, done) = poll_fn(|cx| {
        if !drained && draining.as_mut().poll(cx).is_ready() {
            drained = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        let done = connection.poll_without_shutdown(cx);
        if slot.0.flushed.load(Ordering::Relaxed)
            && let Some(job) = slot.0.job.lock().take()
        {
            return Poll::Ready((Some(job), Ok(())));
        }
        if done.is_pending() && waiting.poll(cx, &slot).is_ready() {
            return Poll::Ready((None, Ok(())));
        }
        done.map(|done| (None, done))
    })
    .await;
    let parts = connection.into_parts();
    let ended = match (job, done) {
        (Some(job), _) => Ended::Taken(job),
        // Behind an answer that is not whole there is nothing to say.
        (None, Err(error)) if !slot.0.owed.load(Ordering::Relaxed) => {
            let refused = refusal::of(&error, &parts.read_buf, parts.io.refused);
            refused.map_or(Ended::Over, Ended::Refused)
        }
        (None, Ok(())) if waiting.is_over() => {
            refusal::late(&parts.read_buf).map_or(Ended::Over, Ended::Refused)
        }
        (None, _) => Ended::Over,
    };
    let socket = parts.io.inner.into_inner();
    let refused = match ended {
        Ended::Taken(job) => return Some((socket, parts.read_buf, job)),
        Ended::Over => None,
        Ended::Refused(refused) => Some(refused),
    };
    let mut line = Line::new(socket);
    if let Some(refused) = refused {
        line.push(refusal::reply(router, refused).await);
        // A client that does not take it is let go all the same.
        let _ = tokio::time::timeout(REFUSAL_WAIT, poll_fn(|cx| line.poll_flush(cx))).await;
    }
    // A client that is still sending must not lose the answer to a reset.
    line.linger().await;
    None
}

async fn answer(
    mut router: Router,
    request: Request<Incoming>,
    slot: Slot,
) -> Result<Response<Answer>, Infallible> {
    let (request, unread) = Unread::of(request);
    let mut response = router.call(request).await?;
    if !unread.read_out().await {
        // What is left of the body would be taken for the next request; so there is none, and the client knows.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| Answer { body, slot }))
}

/// The body of an answer, which tells when hyper has all of it.
struct Answer {
    body: Body,
    slot: Slot,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.slot.0.busy.store(false, Ordering::Relaxed);
    }
}
