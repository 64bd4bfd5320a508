//! The part of a request's body that nobody read.
//!
//! A request that is refused for its head is answered before its body is read.
//! What is left of the body is read and thrown away if it is little, so that the
//! connection can be used again; else the connection ends, and the answer says so.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::Request;
use http::header::EXPECT;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use parking_lot::Mutex;

/// What becomes of a body once its reader is done with it.
pub(super) struct Unread(Option<Arc<Mutex<Left>>>);

/// What a reader left.
enum Left {
    /// It is still reading.
    Held,
    Nothing,
    Rest(Incoming),
    /// The body is broken, its sender waits to be asked for it, or its reader gave up waiting for more.
    Never,
}

/// A body on loan to its reader.
struct Lent {
    body: Option<Incoming>,
    /// Whether its sender waits to be asked for it.
    is_awaited: bool,
    /// Whether its reader waits for more. If it goes then, its answer is due at once.
    is_late: bool,
    left: Arc<Mutex<Left>>,
}

/// Read and thrown away at most.
const BYTES_MAX: u64 = 64 * 1024;
const WAIT: Duration = Duration::from_secs(1);

impl Unread {
    /// Lends the body of a request out.
    pub(super) fn of(request: Request<Incoming>) -> (Request<Body>, Self) {
        let (parts, body) = request.into_parts();
        if http_body::Body::is_end_stream(&body) {
            return (Request::from_parts(parts, Body::empty()), Unread(None));
        }
        let left = Arc::new(Mutex::new(Left::Held));
        let is_awaited = parts.headers.contains_key(EXPECT);
        let lent = Lent { body: Some(body), is_awaited, is_late: false, left: left.clone() };
        (Request::from_parts(parts, Body::new(lent)), Unread(Some(left)))
    }

    /// Reads a short rest of the body. Gives whether the body was read to its end.
    pub(super) async fn read_out(self) -> bool {
        let Some(left) = self.0 else { return true };
        let left = std::mem::replace(&mut *left.lock(), Left::Held);
        match left {
            Left::Nothing => true,
            // Somebody keeps it beyond the answer; so nobody else can tell where it ends.
            Left::Held | Left::Never => false,
            Left::Rest(body) => tokio::time::timeout(WAIT, throw_away(body)).await.unwrap_or(false),
        }
    }
}

async fn throw_away(mut body: Incoming) -> bool {
    let mut bytes = http_body::Body::size_hint(&body).lower();
    while bytes <= BYTES_MAX {
        match body.frame().await {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
        }
    }
    false
}

impl http_body::Body for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.is_awaited = false;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(cx);
        self.is_late = frame.is_pending();
        let frame = std::task::ready!(frame);
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
            *self.left.lock() = if frame.is_none() { Left::Nothing } else { Left::Never };
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(body) = self.body.take() else { return };
        *self.left.lock() = match self.is_awaited || self.is_late {
            true => Left::Never,
            false if http_body::Body::is_end_stream(&body) => Left::Nothing,
            false => Left::Rest(body),
        };
    }
}
