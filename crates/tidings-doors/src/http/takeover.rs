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
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response};
use http_body::Frame;
use hyper::body::Incoming;
use hyper::rt::ReadBufCursor;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower_service::Service;
use tracing::Instrument;

use super::accepted::{Accepted, Hold};
use super::refusal::{self, HEAD_BYTES_MAX, Refused};
use super::unread::Unread;
use super::waiting::Waiting;
use crate::stream::{Deadline, Line, Socket};

/// A connection's place for a door that wants its socket. In the extensions of each request.
#[derive(Clone)]
pub struct Slot(Arc<Shared>);

struct Shared {
    job: Mutex<Option<Job>>,
    /// Whether all that hyper wrote has left for the kernel. Taking the socket earlier would cut an answer off.
    flushed: AtomicBool,
    /// Whether the client has sent anything.
    heard: AtomicBool,
    /// Whether something of the next request has come.
    begun: AtomicBool,
    /// Requests that have come whole.
    requests: AtomicU64,
    /// Whether a request is being answered: from its head until the last of the answer is in hyper's hands.
    busy: AtomicBool,
    /// The same, until the answer has left for the kernel. What hyper writes while none is owed is a refusal of its own.
    owed: AtomicBool,
    /// For how long the client may take nothing of an answer, where no namespace says so.
    max_lag: Duration,
    /// The same in milliseconds, of the answer under way.
    max_lag_ms: AtomicU64,
}

/// Starts what runs with the socket, and with the bytes that were read past the request.
type Job = Box<dyn FnOnce(Socket, Bytes, Hold) + Send>;
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

impl Slot {
    fn new(max_lag: Duration) -> Self {
        Slot(Arc::new(Shared {
            job: Mutex::new(None),
            flushed: AtomicBool::new(true),
            heard: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            owed: AtomicBool::new(false),
            max_lag,
            max_lag_ms: AtomicU64::new(0),
        }))
    }

    /// How long the client may take nothing of the answer to this request.
    pub fn may_lag(&self, ms: u64) {
        self.0.max_lag_ms.store(ms, Ordering::Relaxed);
    }

    fn begin(&self) {
        self.0.begun.store(false, Ordering::Relaxed);
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        self.0.busy.store(true, Ordering::Relaxed);
        self.0.owed.store(true, Ordering::Relaxed);
        self.may_lag(u64::try_from(self.0.max_lag.as_millis()).unwrap_or(u64::MAX));
    }

    /// How many requests came before, and whether the next has begun; `None` while one is being answered.
    pub(super) fn between_requests(&self) -> Option<(u64, bool)> {
        let is_answering = self.0.owed.load(Ordering::Relaxed) || self.0.busy.load(Ordering::Relaxed);
        (!is_answering)
            .then(|| (self.0.requests.load(Ordering::Relaxed), self.0.begun.load(Ordering::Relaxed)))
    }

    /// Takes the connection's socket: `job` runs with it, in a task of its own, and the request is
    /// never answered by hyper, whose state, which is large, ends here.
    pub async fn take<F>(&self, job: impl FnOnce(Socket, Bytes) -> F + Send + 'static) -> Infallible
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let span = tracing::Span::current();
        *self.0.job.lock() = Some(Box::new(move |socket, ahead, hold| {
            spawn(job(socket, ahead).map(move |()| drop(hold)), span);
        }));
        std::future::pending().await
    }
}

/// Runs a stream in a task of its own.
///
/// It is polled for each message: entering a span that nobody sees is not free.
pub fn spawn(stream: impl Future<Output = ()> + Send + 'static, span: tracing::Span) {
    match span.is_disabled() {
        true => tokio::spawn(stream),
        false => tokio::spawn(stream.instrument(span)),
    };
}

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
    let io = Tracked {
        inner: TokioIo::new(socket),
        slot: slot.clone(),
        blocked_since: None,
        deadline: Deadline::default(),
        refused: false,
    };
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

/// The stream that hyper gets. It knows whether hyper has flushed what it wrote, holds back what hyper says
/// by itself, and has a limit on how long the client may take nothing.
struct Tracked {
    inner: TokioIo<Socket>,
    slot: Slot,
    blocked_since: Option<Instant>,
    deadline: Deadline,
    /// Whether hyper has refused a request.
    refused: bool,
}

impl Tracked {
    /// Writes by `write`, within the time that a client has.
    fn poll_timed<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TokioIo<Socket>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match write(Pin::new(&mut self.inner), cx) {
            Poll::Ready(written) => {
                if self.blocked_since.take().is_some() {
                    self.deadline = Deadline::default();
                }
                Poll::Ready(written)
            }
            Poll::Pending => {
                let now = Instant::now();
                let since = *self.blocked_since.get_or_insert(now);
                let max_lag = Duration::from_millis(self.slot.0.max_lag_ms.load(Ordering::Relaxed));
                std::task::ready!(self.deadline.poll(cx, now, since + max_lag));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    /// Whether what hyper writes now is not of an answer of ours.
    fn is_refusal(&mut self) -> bool {
        self.refused |= !self.slot.0.owed.load(Ordering::Relaxed);
        self.refused
    }
}

impl hyper::rt::Read for Tracked {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if read.is_ready() {
            self.slot.0.heard.store(true, Ordering::Relaxed);
            self.slot.0.begun.store(!self.slot.0.busy.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        read
    }
}

impl hyper::rt::Write for Tracked {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_refusal() {
            return Poll::Ready(Ok(buf.len()));
        }
        self.slot.0.flushed.store(false, Ordering::Relaxed);
        self.poll_timed(cx, |inner, cx| inner.poll_write(cx, buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes the stream once its own buffer is empty.
        self.slot.0.flushed.store(true, Ordering::Relaxed);
        if !self.slot.0.busy.load(Ordering::Relaxed) {
            self.slot.0.owed.store(false, Ordering::Relaxed);
        }
        self.poll_timed(cx, |inner, cx| inner.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_refusal() {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        self.slot.0.flushed.store(false, Ordering::Relaxed);
        self.poll_timed(cx, |inner, cx| inner.poll_write_vectored(cx, bufs))
    }
}
