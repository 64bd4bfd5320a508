//! The pages that this node carries: lab and advisor for development, and the dashboard.

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap};
use http::{HeaderName, HeaderValue, StatusCode};
use rust_embed::{EmbeddedFile, RustEmbed};
use tidings_core::{Code, Error};
use tidings_doors::http::known_tags;
use tidings_doors::http::problem::Problem;

/// What `dashboard` builds. A debug build reads the folder as it is now.
#[derive(RustEmbed)]
#[folder = "../../dashboard/dist"]
struct Files;

/// A page talks to the node that serves it and to nobody else.
const OWN: &str = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; \
                   form-action 'none'; frame-ancestors 'none'";
/// The lab's lanes are other ports of this machine.
const LOOPBACK: &str = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; \
                        form-action 'none'; frame-ancestors 'none'; \
                        connect-src 'self' http://127.0.0.1:* http://localhost:* ws://127.0.0.1:* ws://localhost:*";

/// `/dashboard` with what it loads, and under `--dev` the lab and the advisor.
pub(super) fn router(is_dev: bool) -> Router {
    let mut router = Router::new()
        .route("/dashboard", get(async |headers: HeaderMap| page(&headers, "dashboard.html", OWN)))
        .route(
            "/pages/{file}",
            get(async |Path(file): Path<String>, headers: HeaderMap| page(&headers, &file, OWN)),
        );
    if is_dev {
        router = router
            .route("/advisor", get(async |headers: HeaderMap| page(&headers, "advisor.html", OWN)))
            .route("/lab", get(async |headers: HeaderMap| page(&headers, "lab.html", LOOPBACK)));
    }
    router.method_not_allowed_fallback(async || Problem::method_not_allowed("GET, HEAD, OPTIONS"))
}

/// A file with its entity tag, so that a browser asks again after an upgrade of the node, and gets 304 otherwise.
fn page(headers: &HeaderMap, name: &str, policy: &'static str) -> Response {
    let Some(file) = Files::get(name) else {
        return Problem::from(Error::new(Code::NotFound, "no page of this node has such a file"))
            .into_response();
    };
    let etag = tag(&file);
    let common = [
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
        (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")),
        (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer")),
        (ETAG, etag.clone()),
    ];
    if known_tags(headers).any(|tag| tag == "*" || tag.as_bytes() == etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    (common, [(CONTENT_TYPE, kind(name))], file.data).into_response()
}

fn tag(file: &EmbeddedFile) -> HeaderValue {
    let hash: String = file.metadata.sha256_hash().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::from_str(&format!("\"{hash}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        _ => "application/octet-stream",
    }
}
