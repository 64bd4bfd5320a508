//! The opening handshake (RFC 6455 section 4.2).

use axum::response::{IntoResponse, Response};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use sha1::{Digest, Sha1};
use tidings_core::{Code, Error, Result};

use crate::http::is_upgrade;
use crate::http::problem::Problem;

use super::deflate::Deflate;

/// Section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The headers of the 101 and the compression that was agreed, where it may be; or why there is
/// none. No subprotocol is chosen.
pub(super) fn accept(headers: &HeaderMap, may_deflate: bool) -> Result<(HeaderMap, Option<Deflate>)> {
    let has_body = headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    if has_body || headers.contains_key(TRANSFER_ENCODING) {
        // It would be read as frames.
        return Err(Error::new(Code::BadFrame, "a request for an upgrade has no body"));
    }
    if !is_upgrade(headers) {
        let missing = "the request lacks `Upgrade: websocket` or `Connection: Upgrade`, which a proxy may have taken \
                       away: see docs/proxies.md";
        return Err(Error::new(Code::BadFrame, missing));
    }
    let version = headers.get(SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes);
    if version != Some(b"13") {
        return Err(Error::new(Code::BadFrame, "the Sec-WebSocket-Version is not 13"));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).map_or(&b""[..], HeaderValue::as_bytes);
    if BASE64_STANDARD.decode(key).map_or(0, |raw| raw.len()) != 16 {
        return Err(Error::new(Code::BadFrame, "the Sec-WebSocket-Key is not 16 bytes of base64"));
    }
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut reply = HeaderMap::new();
    reply.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    reply.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(value) = HeaderValue::from_str(&BASE64_STANDARD.encode(digest)) {
        reply.insert(SEC_WEBSOCKET_ACCEPT, value);
    }
    let deflate = Deflate::negotiate(headers).filter(|_| may_deflate).map(|(deflate, accepted)| {
        reply.insert(SEC_WEBSOCKET_EXTENSIONS, accepted);
        deflate
    });
    Ok((reply, deflate))
}

/// A refusal that names the version spoken here (section 4.4).
pub(super) fn refuse(error: Error) -> Response {
    let mut reply = Problem::from(error).into_response();
    reply.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, HeaderValue::from_static("WebSocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive, upgrade"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(accept(&headers, false).unwrap().0[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhl"));
        assert!(accept(&headers, false).is_err());
    }

    #[test]
    fn what_a_proxy_has_taken_away_is_missed() {
        for name in [UPGRADE, CONNECTION] {
            let mut headers = HeaderMap::new();
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
            assert!(accept(&headers, false).is_ok());
            headers.remove(name);
            assert_eq!(accept(&headers, false).unwrap_err().code, Code::BadFrame);
        }
    }
}
