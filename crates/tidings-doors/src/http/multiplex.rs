//! Serving a connection of HTTP/2 (RFC 9113): many requests at once on one socket.
//!
//! Nothing is taken over here: each reply, an event stream's too, is a body that
//! hyper writes while the peer's flow-control window is open.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use http::header::{HOST, HeaderValue};
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use slab::Slab;
use tokio::time::Instant;
use tower_service::Service;

use crate::http::accepted::{Accepted, Hold};
use crate::http::takeover::FIRST_WORD_WAIT;
use crate::stream::Socket;

/// Requests under way at once on a connection, event streams among them.
const STREAMS_MAX: u32 = 1_000;
/// All headers of a request; HTTP/1.1 has the same limit.
const HEADERS_BYTES_MAX: u32 = 64 * 1024;
/// What hyper keeps of one reply beyond the piece that it was given last.
const REPLY_BUFFER_BYTES: usize = 16 * 1024;
/// What may be on its way in one request's body, and in all of a connection.
const REQUEST_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Requests of one read of the socket that are reset in the same read, before anybody has seen them
/// (rapid reset, CVE-2023-44487). A page that is left takes a few back at once; more is a flood. It is
/// ended with GOAWAY, ENHANCE_YOUR_CALM, as is the next.
const UNSEEN_RESETS_MAX: usize = 20;
/// Streams that this side had to reset for an error of the peer, in all the life of a connection
/// (CVE-2025-8671). A peer that is right makes none, save where its body crosses an early answer.
const STREAM_ERRORS_MAX: usize = 1_024;
/// What of a reply hyper is given at once.
const PIECE_BYTES: usize = 16 * 1024;
/// After so much silence the peer is asked whether it lives.
const PING_EVERY: Duration = Duration::from_secs(20);
/// And is taken for dead after so long. Long, since the answer waits behind what a slow line still has to carry.
const PONG_WAIT: Duration = Duration::from_secs(30);

/// The requests of a connection.
#[derive(Default)]
struct Requests {
    came: AtomicUsize,
    /// Those that are not answered in full: since when each waits for the peer to take what it was given last.
    open: Mutex<Slab<Option<Instant>>>,
}

/// One request that is not answered in full.
struct OpenRequest {
    requests: Arc<Requests>,
    key: usize,
}

/// The body of a reply, with the request that it answers.
struct Reply {
    body: Body,
    /// What is left of a frame. It is given in pieces, so that a slow peer is told from one that takes nothing.
    rest: Bytes,
    request: OpenRequest,
}

/// Serves one connection until it ends: the peer goes, is dead, or has been
/// idle for `idle` to twice that, or takes nothing of a reply for `max_lag` to
/// one and a half of it. When the node drains the peer is told to come no more
/// (GOAWAY), and the connection ends with its last reply.
pub(super) async fn serve(socket: Socket, accepted: Accepted) {
    let Accepted { router, peer, times, hold: Hold { mut drain, places: _places } } = accepted;
    let requests = Arc::<Requests>::default();
    let counted = requests.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        reply(router.clone(), request, OpenRequest::new(&counted))
    });
    let mut connection = std::pin::pin!(builder().serve_connection(TokioIo::new(socket), service));
    let came = requests.clone();
    let mut leaving = std::pin::pin!(async move {
        // An error means that the node is gone, which is as good as draining.
        let _ = drain.wait_for(|drain| *drain).await;
        // Who comes only now comes for an answer.
        if came.came.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(FIRST_WORD_WAIT).await;
        }
    });
    let mut idle = std::pin::pin!(requests.idle(times.idle));
    let mut stuck = std::pin::pin!(requests.stuck(times.max_lag));
    let mut ending = false;
    let served = std::future::poll_fn(|cx| {
        // A connection that is one too many is to hear so once.
        let is_told = peer.refused.is_some() && requests.came.load(Ordering::Relaxed) > 0;
        if !ending && (is_told || leaving.as_mut().poll(cx).is_ready() || idle.as_mut().poll(cx).is_ready()) {
            ending = true;
            connection.as_mut().graceful_shutdown();
        }
        if stuck.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        connection.as_mut().poll(cx).map(Some)
    });
    match served.await {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::debug!(%error, "an HTTP/2 connection broke off"),
        // hyper cannot end one reply of it alone.
        None => tracing::debug!("an HTTP/2 connection is let go: its peer takes nothing of a reply"),
    }
}

/// What hyper does not bound is how many requests are reset, or PING and SETTINGS answered, in a second:
/// each costs the little that it costs, and holds nothing once it is answered.
fn builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .max_pending_accept_reset_streams(UNSEEN_RESETS_MAX)
        .max_local_error_reset_streams(STREAM_ERRORS_MAX)
        .max_send_buf_size(REPLY_BUFFER_BYTES)
        .initial_stream_window_size(REQUEST_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_WAIT);
    builder
}

async fn reply(
    mut router: Router,
    mut request: Request<Incoming>,
    open: OpenRequest,
) -> Result<Response<Body>, Infallible> {
    // Doors know HTTP/1.1, where the authority is the Host (RFC 9113 section 8.3.1).
    let authority = request.uri().authority().and_then(|name| HeaderValue::from_str(name.as_str()).ok());
    if let Some(authority) = authority {
        request.headers_mut().insert(HOST, authority);
    }
    let response = router.call(request.map(Body::new)).await?;
    Ok(response.map(|body| Body::new(Reply { body, rest: Bytes::new(), request: open })))
}

impl Requests {
    /// Ready once there was no request for some time, or up to twice that.
    async fn idle(&self, time: Duration) {
        let mut came = 0;
        loop {
            tokio::time::sleep(time).await;
            let now = self.came.load(Ordering::Relaxed);
            if now == came && self.open.lock().is_empty() {
                return;
            }
            came = now;
        }
    }

    /// Ready once the peer has taken nothing of a reply for some time, or up to one and a half of it.
    async fn stuck(&self, time: Duration) {
        loop {
            tokio::time::sleep(time / 2).await;
            let now = Instant::now();
            let is_late = |since: &Option<Instant>| since.is_some_and(|since| since + time <= now);
            if self.open.lock().iter().any(|(_, since)| is_late(since)) {
                return;
            }
        }
    }
}

impl OpenRequest {
    fn new(requests: &Arc<Requests>) -> Self {
        requests.came.fetch_add(1, Ordering::Relaxed);
        let key = requests.open.lock().insert(None);
        OpenRequest { requests: requests.clone(), key }
    }

    /// Notes that the peer has something to take, or that it has taken it.
    fn waits(&self, since: Option<Instant>) {
        if let Some(noted) = self.requests.open.lock().get_mut(self.key) {
            *noted = since;
        }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.requests.open.lock().try_remove(self.key);
    }
}

impl http_body::Body for Reply {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // hyper asks once there is room for more.
        self.request.waits(None);
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                end => return Poll::Ready(end),
            }
        }
        let length = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(length);
        // An event stream has an end of its own, and holds little until then.
        if self.body.size_hint().upper().is_some() {
            self.request.waits(Some(Instant::now()));
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, of_body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower() + rest);
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_once_nothing_is_open_and_nothing_comes() {
        let requests = Arc::<Requests>::default();
        let mut idle = std::pin::pin!(requests.idle(Duration::from_secs(75)));
        let mut waits =
            async |seconds| tokio::time::timeout(Duration::from_secs(seconds), idle.as_mut()).await.is_err();
        let stream = OpenRequest::new(&requests);
        assert!(waits(3_600).await);
        drop(OpenRequest::new(&requests));
        drop(stream);
        assert!(waits(75).await, "a request has come since the last look");
        assert!(!waits(150).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_of_one_reply_is_stuck() {
        let requests = Arc::<Requests>::default();
        let mut stuck = std::pin::pin!(requests.stuck(Duration::from_secs(30)));
        let mut waits =
            async |seconds| tokio::time::timeout(Duration::from_secs(seconds), stuck.as_mut()).await.is_err();
        let (quiet, slow) = (OpenRequest::new(&requests), OpenRequest::new(&requests));
        for _ in 0..10 {
            slow.waits(Some(Instant::now()));
            assert!(waits(25).await, "it takes something now and then, and the other has nothing to take");
        }
        quiet.waits(Some(Instant::now()));
        drop(slow);
        assert!(!waits(46).await);
    }
}
