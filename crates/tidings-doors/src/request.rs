//! A request's head, as the doors read it.

use http::header::{HeaderMap, HeaderValue, ORIGIN};
use http::{Extensions, Method, Version};

use crate::http::query::Query;

/// The head of a request, without its body.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) query: Query,
    pub(crate) extensions: Extensions,
}

impl Request {
    /// Takes the head apart from the body.
    pub(crate) fn split<B>(request: http::Request<B>) -> (Self, B) {
        let (parts, body) = request.into_parts();
        let query = Query::parse(parts.uri.query());
        (
            Request {
                method: parts.method,
                version: parts.version,
                headers: parts.headers,
                query,
                extensions: parts.extensions,
            },
            body,
        )
    }

    /// Where a browser resumes; an empty header is none.
    pub(crate) fn last_event_id(&self) -> Option<&str> {
        let value = self.headers.get("last-event-id")?;
        // Bytes that are no text are an id that nobody can read.
        Some(value.to_str().unwrap_or("?")).filter(|id| !id.is_empty())
    }

    pub(crate) fn origin(&self) -> Option<&HeaderValue> {
        self.headers.get(ORIGIN)
    }
}
