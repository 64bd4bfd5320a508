//! Errors as HTTP replies (RFC 9457) and as WebSocket close codes.

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, StatusCode};
use serde::Serialize;
use tidings_core::{Code, Cursor, Error, Retry, Stored};

use crate::stream::come_back_ms;

/// Where the reference of the codes is; a problem's `type` is this with the code as its fragment.
const REFERENCE: &str = "https://github.com/tidings-rs/tidings/blob/main/docs/errors.md";

/// An error as it goes out, with what the failed request needs to know.
#[derive(Debug, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_ms: Option<u64>,
    #[serde(skip)]
    error: Code,
    #[serde(skip)]
    allow: Option<&'static str>,
}

/// `false`, or `"unknown"`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Outcome {
    No(bool),
    Unknown(&'static str),
}

/// The code of an error reply, for those who count.
#[derive(Debug, Clone, Copy)]
pub struct Counted(pub Code);

impl Problem {
    /// A 405 that names the methods allowed.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let error = Error::new(Code::MethodNotAllowed, format!("this path takes {allow}"));
        Problem { allow: Some(allow), ..error.into() }
    }

    /// The same problem, of a body of which a part was stored.
    #[must_use]
    pub fn midway(mut self, published: u64, last: Option<&Cursor>) -> Self {
        self.published = Some(published);
        self.cursor = Some(last.map(ToString::to_string));
        self
    }

    /// The same problem, of a frame with this id.
    #[must_use]
    pub fn of_frame(mut self, id: Option<&str>) -> Self {
        self.id = id.map(str::to_owned);
        self
    }

    /// Its code.
    pub fn code(&self) -> Code {
        self.error
    }

    /// As JSON text.
    pub fn to_json(&self) -> String {
        // A struct of strings and numbers always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let code = error.code;
        Problem {
            kind: format!("{REFERENCE}#{code}"),
            title: title(code),
            status: status(code).as_u16(),
            detail: format!("{}: {}", error.detail, code.advice()),
            code: code.as_str(),
            stored: error.stored.map(|stored| match stored {
                Stored::No => Outcome::No(false),
                Stored::Unknown => Outcome::Unknown("unknown"),
            }),
            published: None,
            cursor: error.end.map(|end| Some(end.to_string())),
            id: None,
            error: code,
            allow: None,
            retry_ms: error.retry_ms,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut reply = (status(self.error), self.to_json()).into_response();
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let mut set = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        if let Some(allow) = self.allow {
            set(ALLOW, allow);
        }
        if status(self.error) == StatusCode::UNAUTHORIZED {
            set(WWW_AUTHENTICATE, "Bearer");
        }
        let is_passing =
            matches!(status(self.error), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
        if let (Retry::After(ms), true) = (self.error.retry(), is_passing) {
            // Everybody meets a node that drains at once, and is not to come back at once.
            let ms = if self.error == Code::Draining { come_back_ms() } else { self.retry_ms.unwrap_or(ms) };
            set(RETRY_AFTER, &ms.div_ceil(1_000).max(1).to_string());
        }
        reply.extensions_mut().insert(Counted(self.error));
        reply
    }
}

/// The status of an error before an answer has begun.
pub fn status(code: Code) -> StatusCode {
    match code {
        Code::AlreadySubscribed | Code::ChannelClosed => StatusCode::CONFLICT,
        Code::BadBatch
        | Code::BadChannel
        | Code::BadConsumer
        | Code::BadCursor
        | Code::BadEvent
        | Code::BadFrame
        | Code::BadId
        | Code::BadJson
        | Code::BadKey
        | Code::BadOrder
        | Code::BadQuery
        | Code::BadRequest
        | Code::BadRevocation
        | Code::BadTerms
        | Code::BadText
        | Code::TlsRequired
        | Code::TooManyChannels => StatusCode::BAD_REQUEST,
        Code::BadToken | Code::NoCredentials | Code::TokenExpired => StatusCode::UNAUTHORIZED,
        Code::Forbidden | Code::OriginRefused | Code::SentAway => StatusCode::FORBIDDEN,
        Code::NotFound
        | Code::PresenceOff
        | Code::UnknownChannel
        | Code::UnknownConsumer
        | Code::UnknownNamespace
        | Code::UnknownNode => StatusCode::NOT_FOUND,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::BodyIncomplete | Code::Lagged => StatusCode::REQUEST_TIMEOUT,
        Code::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::UriTooLong => StatusCode::URI_TOO_LONG,
        Code::RateLimited | Code::TooManyConnections => StatusCode::TOO_MANY_REQUESTS,
        Code::NoAnswer => StatusCode::GATEWAY_TIMEOUT,
        Code::BrokerUnavailable
        | Code::Disconnected
        | Code::Draining
        | Code::IdempotencyFull
        | Code::KeysUnavailable
        | Code::Overloaded
        | Code::RevocationsFull => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The close code of an error that ends a WebSocket. 4000–4499: come back with
/// your cursor. 4500–4999, 1000 and 1009: do not.
pub fn close(code: Code) -> u16 {
    match code {
        Code::TooLarge => 1009,
        Code::Disconnected
        | Code::Draining
        | Code::Overloaded
        | Code::RateLimited
        | Code::RevocationsFull
        | Code::TooManyConnections => 4000,
        Code::TokenExpired => 4001,
        Code::Lagged => 4002,
        Code::BrokerUnavailable | Code::IdempotencyFull | Code::KeysUnavailable | Code::NoAnswer => 4003,
        Code::AlreadySubscribed
        | Code::BadBatch
        | Code::BadChannel
        | Code::BadConsumer
        | Code::BadCursor
        | Code::BadEvent
        | Code::BadFrame
        | Code::BadId
        | Code::BadJson
        | Code::BadKey
        | Code::BadOrder
        | Code::BadQuery
        | Code::BadRequest
        | Code::BadRevocation
        | Code::BadTerms
        | Code::BadText
        | Code::BodyIncomplete
        | Code::ChannelClosed
        | Code::HeadTooLarge
        | Code::MethodNotAllowed
        | Code::NotFound
        | Code::PresenceOff
        | Code::TlsRequired
        | Code::TooManyChannels
        | Code::UriTooLong => 4500,
        Code::BadToken | Code::NoCredentials => 4501,
        Code::Forbidden | Code::OriginRefused | Code::SentAway => 4503,
        Code::UnknownChannel | Code::UnknownConsumer | Code::UnknownNamespace | Code::UnknownNode => 4504,
    }
}

fn title(code: Code) -> &'static str {
    match code {
        Code::AlreadySubscribed => "Already subscribed",
        Code::BadBatch => "Not a batch",
        Code::BadChannel => "Not a channel name",
        Code::BadConsumer => "Not the name of a consumer",
        Code::BadCursor => "Not a cursor of these channels",
        Code::BadEvent => "Not an event name",
        Code::BadFrame => "Not a frame of this protocol",
        Code::BadId => "Not an idempotency key",
        Code::BadJson => "Not JSON",
        Code::BadKey => "Not a message key",
        Code::BadOrder => "Not an order",
        Code::BadQuery => "A parameter cannot be understood",
        Code::BadRequest => "Not a request of HTTP/1.1",
        Code::BadRevocation => "Not a revocation",
        Code::BadTerms => "Not the terms of a channel",
        Code::BadText => "Not UTF-8",
        Code::BadToken => "The token is not valid",
        Code::BodyIncomplete => "The body did not arrive",
        Code::BrokerUnavailable => "The broker does not answer",
        Code::ChannelClosed => "The channel is closed",
        Code::Disconnected => "Disconnected by an operator",
        Code::Draining => "This node is shutting down",
        Code::Forbidden => "Not allowed",
        Code::HeadTooLarge => "The head of the request is too large",
        Code::IdempotencyFull => "Too many idempotency keys",
        Code::KeysUnavailable => "The keys of tokens are not here",
        Code::Lagged => "The connection took nothing for too long",
        Code::MethodNotAllowed => "Not with this method",
        Code::NoAnswer => "The node does not answer",
        Code::NoCredentials => "Credentials are needed",
        Code::NotFound => "Nothing here",
        Code::OriginRefused => "Origin or host not allowed",
        Code::Overloaded => "This node is full",
        Code::PresenceOff => "No presence here",
        Code::TlsRequired => "This port speaks TLS",
        Code::RateLimited => "Too fast",
        Code::RevocationsFull => "Too many revocations",
        Code::SentAway => "Sent away by an operator",
        Code::TokenExpired => "The token has expired",
        Code::TooLarge => "Too large",
        Code::TooManyChannels => "Too many channels",
        Code::TooManyConnections => "Too many connections",
        Code::UnknownChannel => "Unknown channel",
        Code::UnknownConsumer => "Unknown consumer",
        Code::UnknownNamespace => "Unknown namespace",
        Code::UnknownNode => "Unknown node",
        Code::UriTooLong => "The URL is too long",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_keep_their_rule() {
        for code in Code::ALL {
            match close(code) {
                4000..=4499 => assert_ne!(code.retry(), Retry::Never, "{code}"),
                1009 | 4500..=4999 => assert!(!matches!(code.retry(), Retry::After(ms) if ms > 0), "{code}"),
                other => panic!("{code}: {other}"),
            }
        }
    }
}
