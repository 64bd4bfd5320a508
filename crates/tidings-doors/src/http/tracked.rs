//! The stream that hyper gets of a connection.

use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::ReadBufCursor;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::slot::Slot;
use crate::stream::{Deadline, Socket};

/// The stream that hyper gets. It knows whether hyper has flushed what it wrote, holds back what hyper says
/// by itself, and has a limit on how long the client may take nothing.
pub(super) struct Tracked {
    pub(super) inner: TokioIo<Socket>,
    slot: Slot,
    blocked_since: Option<Instant>,
    deadline: Deadline,
    /// Whether hyper has refused a request.
    pub(super) refused: bool,
}

impl Tracked {
    pub(super) fn new(socket: Socket, slot: Slot) -> Self {
        Tracked {
            inner: TokioIo::new(socket),
            slot,
            blocked_since: None,
            deadline: Deadline::default(),
            refused: false,
        }
    }

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
