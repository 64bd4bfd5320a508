//! A stream as the body of a reply, where it has no socket of its own: HTTP/2.
//!
//! The stream writes into one end as it would to a socket, and its task looks
//! after heartbeats, the token and `max_lag` whether anybody reads or not. The
//! other end is the body. hyper asks it for a frame only while the peer's
//! flow-control window is open, so a slow peer fills the pipe, and then the
//! stream waits, as it does for a full socket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use parking_lot::Mutex;

/// The writing end. Dropped without [`Pipe::end`], it breaks the body off.
pub struct Pipe(Arc<Mutex<State>>);

/// The reading end: the body of a reply. Dropped, it is the peer's going.
pub struct PipeBody(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Written, and not fetched yet.
    waiting: BytesMut,
    /// Whether something was fetched since the writer last asked.
    took: bool,
    /// How the writer ended, if it has: in good order or not.
    ended: Option<bool>,
    gone: bool,
    writer: Option<Waker>,
    reader: Option<Waker>,
}

/// The most that waits in a pipe. Its memory is given back when it is empty.
const BYTES_MAX: usize = 16 * 1024;

/// Both ends of a new pipe.
pub fn pipe() -> (Pipe, PipeBody) {
    let state = Arc::new(Mutex::new(State::default()));
    (Pipe(state.clone()), PipeBody(state))
}

impl Pipe {
    /// Writes as much as there is room for.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock();
        if state.gone {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = BYTES_MAX - state.waiting.len();
        if room == 0 {
            state.wait(cx);
            return Poll::Pending;
        }
        let mut left = room;
        for slice in slices {
            let count = left.min(slice.len());
            state.waiting.extend_from_slice(&slice[..count]);
            left -= count;
        }
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(room - left))
    }

    /// Ready once all has been fetched.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        if state.gone {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if state.waiting.is_empty() {
            return Poll::Ready(Ok(()));
        }
        state.wait(cx);
        Poll::Pending
    }

    /// Ready once nobody can fetch anything any more.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if state.gone {
            return Poll::Ready(());
        }
        state.wait(cx);
        Poll::Pending
    }

    /// Whether something waits.
    pub fn holds(&self) -> bool {
        !self.0.lock().waiting.is_empty()
    }

    /// Whether something was fetched since this was last asked.
    pub fn took(&mut self) -> bool {
        std::mem::take(&mut self.0.lock().took)
    }

    /// Ends the body, after what waits.
    pub fn end(self) {
        self.0.lock().ended = Some(true);
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.ended.get_or_insert(false);
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
    }
}

impl http_body::Body for PipeBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut state = self.0.lock();
        if !state.waiting.is_empty() {
            let bytes = std::mem::take(&mut state.waiting).freeze();
            state.took = true;
            if let Some(writer) = state.writer.take() {
                writer.wake();
            }
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match state.ended {
            Some(true) => Poll::Ready(None),
            Some(false) => Poll::Ready(Some(Err(io::ErrorKind::BrokenPipe.into()))),
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for PipeBody {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.gone = true;
        if let Some(writer) = state.writer.take() {
            writer.wake();
        }
    }
}

impl State {
    /// Registers the stream's task, which is one for all that it waits for.
    fn wait(&mut self, cx: &mut Context<'_>) {
        match &mut self.writer {
            Some(writer) => writer.clone_from(cx.waker()),
            None => self.writer = Some(cx.waker().clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use http_body_util::BodyExt;
    use std::future::poll_fn;

    #[tokio::test]
    async fn a_full_pipe_takes_nothing_until_it_is_read() {
        let (mut pipe, mut body) = pipe();
        let large = [b'x'; BYTES_MAX + 1];
        let mut write =
            |bytes: &[u8]| poll_fn(|cx| pipe.poll_write(cx, &[IoSlice::new(bytes)])).now_or_never();
        assert_eq!(write(&large).unwrap().unwrap(), BYTES_MAX);
        assert!(write(b"y").is_none());
        assert!(poll_fn(|cx| pipe.poll_flush(cx)).now_or_never().is_none());
        assert!(pipe.holds() && !pipe.took());
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(frame.len(), BYTES_MAX);
        assert!(!pipe.holds() && pipe.took() && !pipe.took());
        assert!(poll_fn(|cx| pipe.poll_flush(cx)).now_or_never().is_some());
    }

    #[tokio::test]
    async fn its_end_comes_after_what_waits_and_a_break_is_an_error() {
        let (mut pipe, mut body) = super::pipe();
        poll_fn(|cx| pipe.poll_write(cx, &[IoSlice::new(b"a"), IoSlice::new(b"b")])).await.unwrap();
        pipe.end();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
        assert!(body.frame().await.is_none());
        let (pipe, mut body) = super::pipe();
        drop(pipe);
        assert!(body.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_body_that_is_dropped_is_a_peer_that_went() {
        let (mut pipe, body) = pipe();
        assert!(poll_fn(|cx| pipe.poll_gone(cx)).now_or_never().is_none());
        drop(body);
        poll_fn(|cx| pipe.poll_gone(cx)).await;
        assert!(poll_fn(|cx| pipe.poll_write(cx, &[IoSlice::new(b"a")])).await.is_err());
    }
}
