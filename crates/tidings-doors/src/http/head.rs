//! The head of a reply that does not go through hyper, because its socket is taken.

use std::time::{Duration, UNIX_EPOCH};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, StatusCode};

/// An HTTP/1.1 reply head (RFC 9112) with these headers and a Date.
pub fn head(status: StatusCode, headers: &HeaderMap, now_ms: u64) -> Bytes {
    let mut text = BytesMut::with_capacity(512);
    text.put_slice(b"HTTP/1.1 ");
    text.put_slice(status.as_str().as_bytes());
    text.put_u8(b' ');
    text.put_slice(status.canonical_reason().unwrap_or("").as_bytes());
    text.put_slice(b"\r\n");
    for (name, value) in headers {
        text.put_slice(name.as_str().as_bytes());
        text.put_slice(b": ");
        text.put_slice(value.as_bytes());
        text.put_slice(b"\r\n");
    }
    text.put_slice(b"date: ");
    text.put_slice(httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(now_ms)).as_bytes());
    text.put_slice(b"\r\n\r\n");
    text.freeze()
}
