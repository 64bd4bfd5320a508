//! The browser SDK that this node carries, as modules that a page imports.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap};
use http::{HeaderValue, StatusCode};
use sha2::{Digest, Sha256};
use tidings_doors::http::known_tags;
use tidings_doors::http::problem::Problem;

/// What `sdk/js` builds: the module, and what it loads only where it is used.
const FILES: [(&str, &str); 2] = [
    ("/sdk/tidings.js", include_str!("../../../../sdk/js/dist/tidings.js")),
    ("/sdk/tabs.js", include_str!("../../../../sdk/js/dist/tabs.js")),
];

/// The modules' paths. Each answers with its entity tag, so that a browser asks again after an upgrade of the
/// node, and gets 304 otherwise.
pub(super) fn router() -> Router {
    let mut router = Router::new();
    for (path, text) in FILES {
        let etag = tag(text);
        router = router.route(path, get(async move |headers: HeaderMap| answer(&headers, &etag, text)));
    }
    router.method_not_allowed_fallback(async || Problem::method_not_allowed("GET, HEAD, OPTIONS"))
}

fn answer(headers: &HeaderMap, etag: &HeaderValue, text: &'static str) -> Response {
    let common = [(ETAG, etag.clone()), (CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    if known_tags(headers).any(|tag| tag == "*" || tag.as_bytes() == etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    (common, [(CONTENT_TYPE, "text/javascript; charset=utf-8")], text).into_response()
}

fn tag(text: &str) -> HeaderValue {
    let hash: String = Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::from_str(&format!("\"{hash}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}
