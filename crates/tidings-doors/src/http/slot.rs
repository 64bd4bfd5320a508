//! A connection's place for a door that wants its socket, and what is known of its requests.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use parking_lot::Mutex;
use tracing::Instrument;

use super::accepted::Hold;
use crate::stream::Socket;

/// A connection's place for a door that wants its socket. In the extensions of each request.
#[derive(Clone)]
pub struct Slot(pub(super) Arc<Shared>);

/// What the driver of a connection, its stream and its doors know of each other.
pub(super) struct Shared {
    pub(super) job: Mutex<Option<Job>>,
    /// Whether all that hyper wrote has left for the kernel. Taking the socket earlier would cut an answer off.
    pub(super) flushed: AtomicBool,
    /// Whether the client has sent anything.
    pub(super) heard: AtomicBool,
    /// Whether something of the next request has come.
    pub(super) begun: AtomicBool,
    /// Requests that have come whole.
    requests: AtomicU64,
    /// Whether a request is being answered: from its head until the last of the answer is in hyper's hands.
    pub(super) busy: AtomicBool,
    /// The same, until the answer has left for the kernel. What hyper writes while none is owed is a refusal of its own.
    pub(super) owed: AtomicBool,
    /// For how long the client may take nothing of an answer, where no namespace says so.
    max_lag: Duration,
    /// The same in milliseconds, of the answer under way.
    pub(super) max_lag_ms: AtomicU64,
}

/// Starts what runs with the socket, and with the bytes that were read past the request.
pub(super) type Job = Box<dyn FnOnce(Socket, Bytes, Hold) + Send>;

impl Slot {
    pub(super) fn new(max_lag: Duration) -> Self {
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

    pub(super) fn begin(&self) {
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
