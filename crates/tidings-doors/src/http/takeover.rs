//! Serving a connection with hyper until a door takes its socket.
//!
//! hyper keeps 16 KiB of buffers for as long as it writes a reply, which a
//! stream that lives for hours cannot pay. So a door puts a job into the slot
//! of its connection and never answers; the driver sees the job, takes the
//! socket back from hyper, and gives it to the job. HTTP/1.1 alone: a stream of
//! HTTP/2 is no socket (see [`super::multiplex`]).

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::ReadBufCursor;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower_service::Service;
use tracing::Instrument;

use crate::stream::Socket;

/// A connection's place for a door that wants its socket. In the extensions of each request.
#[derive(Clone)]
pub struct Slot(Arc<Shared>);

struct Shared {
    job: Mutex<Option<Job>>,
    /// Whether all that hyper wrote has left for the kernel. Taking the socket earlier would cut an answer off.
    flushed: AtomicBool,
    /// Whether the client has sent anything.
    heard: AtomicBool,
}

/// Starts what runs with the socket, and with the bytes that were read past the request.
type Job = Box<dyn FnOnce(Socket, Bytes, Hold) + Send>;
type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;
/// Held while a connection lives, so that the node knows when the last has ended.
type Hold = watch::Receiver<bool>;

/// A client that has not sent a request's head after this long is let go; also the idle time of a connection.
pub(super) const HEAD_WAIT: Duration = Duration::from_secs(75);
/// The same for a connection to a node that drains, and that has said nothing yet.
pub(super) const FIRST_WORD_WAIT: Duration = Duration::from_secs(1);

impl Slot {
    fn new() -> Self {
        Slot(Arc::new(Shared {
            job: Mutex::new(None),
            flushed: AtomicBool::new(true),
            heard: AtomicBool::new(false),
        }))
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
/// When `drain` turns true, the requests under way are answered and the
/// connection ends; `drain` is held until then, so that its sender knows.
pub async fn serve(stream: TcpStream, router: Router, drain: watch::Receiver<bool>) {
    serve_socket(Socket::Plain(stream), router, drain).await;
}

/// The same, for a socket of any kind.
pub(super) async fn serve_socket(socket: Socket, router: Router, mut drain: watch::Receiver<bool>) {
    if let Some((socket, ahead, job)) = serve_http(socket, router, &mut drain).await {
        job(socket, ahead, drain);
    }
}

async fn serve_http(
    socket: Socket,
    router: Router,
    drain: &mut watch::Receiver<bool>,
) -> Option<(Socket, Bytes, Job)> {
    let slot = Slot::new();
    let in_requests = slot.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(in_requests.clone());
        let router = router.clone();
        let answer: Answer = Box::pin(answer(router, request));
        answer
    });
    let io = Tracked { inner: TokioIo::new(socket), slot: slot.clone() };
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_WAIT).max_buf_size(64 * 1024);
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
    let job = poll_fn(|cx| {
        if !drained && draining.as_mut().poll(cx).is_ready() {
            drained = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        let done = connection.poll_without_shutdown(cx);
        if slot.0.flushed.load(Ordering::Relaxed)
            && let Some(job) = slot.0.job.lock().take()
        {
            return Poll::Ready(Some(job));
        }
        done.map(|_ended| None)
    })
    .await;
    let parts = connection.into_parts();
    let socket = parts.io.inner.into_inner();
    match job {
        Some(job) => Some((socket, parts.read_buf, job)),
        None => {
            // A client that is still sending must not lose the answer to a reset.
            socket.linger().await;
            None
        }
    }
}

pub(super) async fn answer(
    mut router: Router,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    router.call(request.map(Body::new)).await
}

/// A stream that knows whether hyper has flushed what it wrote.
struct Tracked {
    inner: TokioIo<Socket>,
    slot: Slot,
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
        }
        read
    }
}

impl hyper::rt::Write for Tracked {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.slot.0.flushed.store(false, Ordering::Relaxed);
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes the stream once its own buffer is empty.
        self.slot.0.flushed.store(true, Ordering::Relaxed);
        Pin::new(&mut self.inner).poll_flush(cx)
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
        self.slot.0.flushed.store(false, Ordering::Relaxed);
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }
}
