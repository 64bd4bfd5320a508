//! What hyper refuses before any door sees it, in the form of all errors.

use axum::Router;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue};
use http_body_util::BodyExt;
use tidings_core::{Clock, Code, Error};
use tower_service::Service;

use super::head::head;

/// Bytes of a request's head.
pub(super) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a request's target.
pub(crate) const TARGET_BYTES_MAX: usize = 16 * 1024;
/// Lines of headers, which is hyper's own limit.
const LINES_MAX: usize = 100;

/// A request that could not be read, on its way to what all answers have in common. In the extensions of a request
/// that stands for it.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    code: Code,
    detail: String,
}

impl Refused {
    /// The error that it is.
    pub(crate) fn error(&self) -> Error {
        Error::new(self.code, self.detail.clone())
    }
}

/// What to say of an error with which hyper ended a connection, if anything was asked; `unread` is what it held
/// then, and `is_refused` is whether it answered by itself.
pub(super) fn of(error: &hyper::Error, unread: &[u8], is_refused: bool) -> Option<Refused> {
    // Empty lines before a request are none of it: a client that waits with one of them asked nothing.
    if !is_refused && unread.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
        return None;
    }
    let (code, detail) = if error.is_parse_too_large() {
        too_large(unread)
    } else if error.is_parse() {
        (Code::BadRequest, format!("this is no request of HTTP/1.1 ({error})"))
    } else if error.is_incomplete_message() {
        (Code::BadRequest, "the head of the request broke off".into())
    } else {
        return None;
    };
    Some(Refused { code, detail })
}

/// What to say to a client whose request took too long to come whole; `unread` is what came of it.
pub(super) fn late(unread: &[u8]) -> Option<Refused> {
    if unread.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
        return None;
    }
    Some(Refused { code: Code::BadRequest, detail: "the head of the request took too long to arrive".into() })
}

/// Which part was too large: the target, the head, or the length that it claims for its body.
fn too_large(unread: &[u8]) -> (Code, String) {
    let line = unread.split(|byte| *byte == b'\n').next().unwrap_or(unread);
    let target = line.split(|byte| *byte == b' ').nth(1).unwrap_or(b"");
    if target.len() > TARGET_BYTES_MAX {
        return (Code::UriTooLong, "the request target is longer than 16 KiB".into());
    }
    let lines = unread.iter().filter(|byte| **byte == b'\n').count();
    if unread.len() >= HEAD_BYTES_MAX || lines > LINES_MAX {
        let detail =
            format!("the head of the request has more than 64 KiB, or more than {LINES_MAX} headers");
        return (Code::HeadTooLarge, detail);
    }
    // The head is whole, and taken out.
    (Code::TooLarge, "the Content-Length is larger than anything".into())
}

/// A whole reply, after which the connection ends. It goes through the router, so that it has what all replies have.
pub(super) async fn reply(router: &mut Router, refused: Refused) -> Bytes {
    let mut stand_in = http::Request::new(Body::empty());
    stand_in.extensions_mut().insert(refused);
    let Ok(reply) = router.call(stand_in).await;
    let (mut parts, body) = reply.into_parts();
    // A problem is a short text; it cannot fail.
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let mut whole = BytesMut::from(&head(parts.status, &parts.headers, Clock::system().now_ms())[..]);
    whole.extend_from_slice(&body);
    whole.freeze()
}
