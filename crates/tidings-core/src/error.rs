//! What went wrong, in words for the person who reads it.
//!
//! One struct crosses every public boundary. Its [`Code`] is stable: a client
//! may match on it for ever. The core knows no HTTP status and no close code;
//! each wire maps codes exhaustively, so that a new one does not compile until
//! every wire has an answer.

use std::fmt;

use crate::log::Cursor;

/// What a failed operation tells its caller.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Error {
    /// The stable name of what happened.
    pub code: Code,
    /// What happened, in this case: one clause without secrets or payloads.
    pub detail: String,
    /// Whether the refused write could have taken effect. `None` for reads.
    pub stored: Option<Stored>,
    /// Milliseconds after which to try again, where this case knows it better than [`Code::retry`].
    pub retry_ms: Option<u64>,
    /// Where the channel of the request ends, where that is why it was refused.
    pub end: Option<Cursor>,
}

/// Whether a failed write took effect. Decides if a retry needs an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It did not.
    No,
    /// It may have.
    Unknown,
}

/// When the same request may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Not as it is: the request itself is wrong.
    Never,
    /// After the caller changed something: a token, a right, a configuration.
    AfterChange,
    /// After about this many milliseconds, unchanged.
    After(u64),
}

/// The stable code of an error, one for each thing a caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The connection reads this channel already.
    AlreadySubscribed,
    /// The envelope of a batch is not `{"messages":[…]}` with at most 1,000 messages.
    BadBatch,
    /// A channel name breaks the rules of names.
    BadChannel,
    /// The name of a consumer breaks the rules of names.
    BadConsumer,
    /// A cursor cannot be read, or covers none of the channels asked for.
    BadCursor,
    /// An event name is too long, reserved, or holds a line break.
    BadEvent,
    /// A WebSocket frame breaks RFC 6455, or is not what the door understands.
    BadFrame,
    /// An idempotency key or message id is empty, too long, or not printable ASCII.
    BadId,
    /// A body, line or frame is not JSON.
    BadJson,
    /// A message key is too long or holds a control character.
    BadKey,
    /// What is to be done to nodes or clients cannot be understood.
    BadOrder,
    /// A query parameter or header cannot be understood.
    BadQuery,
    /// What came is not a request of HTTP/1.1.
    BadRequest,
    /// The body of a revocation is not one.
    BadRevocation,
    /// What a channel is to be created with cannot be understood.
    BadTerms,
    /// A `text/plain` body is not UTF-8.
    BadText,
    /// A credential was sent and is not valid.
    BadToken,
    /// The body did not arrive in time, or broke off.
    BodyIncomplete,
    /// The broker does not answer.
    BrokerUnavailable,
    /// The channel is closed.
    ChannelClosed,
    /// An operator ended the connection.
    Disconnected,
    /// The node is shutting down.
    Draining,
    /// The credential is valid and lacks the right.
    Forbidden,
    /// The head of a request is larger than 64 KiB, or has more than 100 headers.
    HeadTooLarge,
    /// The node holds as many idempotency keys as it may.
    IdempotencyFull,
    /// The keys that verify tokens cannot be fetched now.
    KeysUnavailable,
    /// The socket took nothing for `max_lag`.
    Lagged,
    /// The path exists, and not with this method.
    MethodNotAllowed,
    /// The node that was meant does not answer.
    NoAnswer,
    /// A right is needed, and no credential was sent.
    NoCredentials,
    /// There is nothing at this path.
    NotFound,
    /// The Host or Origin of the request is not allowed here.
    OriginRefused,
    /// The node does as much as it may.
    Overloaded,
    /// The namespace keeps no presence.
    PresenceOff,
    /// This user publishes faster than it may.
    RateLimited,
    /// The node holds as many revocations as it may.
    RevocationsFull,
    /// An operator ended the connection, and wants its client to stay away.
    SentAway,
    /// Plain HTTP came to a port that speaks TLS.
    TlsRequired,
    /// The token was valid once: it expired, or was revoked.
    TokenExpired,
    /// A message, line, frame or body is larger than the limit.
    TooLarge,
    /// More than 100 channels in one request, or more than one connection may have.
    TooManyChannels,
    /// This user, or this address, has as many connections as it may.
    TooManyConnections,
    /// Nobody created the channel, and its namespace wants that.
    UnknownChannel,
    /// Nobody reads the channel as this consumer.
    UnknownConsumer,
    /// No namespace of this name is declared.
    UnknownNamespace,
    /// No node of this name was heard lately.
    UnknownNode,
    /// The request target is longer than 16 KiB.
    UriTooLong,
}

impl Code {
    /// Every code, in the order of the alphabet.
    pub const ALL: [Code; 47] = [
        Code::AlreadySubscribed,
        Code::BadBatch,
        Code::BadChannel,
        Code::BadConsumer,
        Code::BadCursor,
        Code::BadEvent,
        Code::BadFrame,
        Code::BadId,
        Code::BadJson,
        Code::BadKey,
        Code::BadOrder,
        Code::BadQuery,
        Code::BadRequest,
        Code::BadRevocation,
        Code::BadTerms,
        Code::BadText,
        Code::BadToken,
        Code::BodyIncomplete,
        Code::BrokerUnavailable,
        Code::ChannelClosed,
        Code::Disconnected,
        Code::Draining,
        Code::Forbidden,
        Code::HeadTooLarge,
        Code::IdempotencyFull,
        Code::KeysUnavailable,
        Code::Lagged,
        Code::MethodNotAllowed,
        Code::NoAnswer,
        Code::NoCredentials,
        Code::NotFound,
        Code::OriginRefused,
        Code::Overloaded,
        Code::PresenceOff,
        Code::RateLimited,
        Code::RevocationsFull,
        Code::SentAway,
        Code::TlsRequired,
        Code::TokenExpired,
        Code::TooLarge,
        Code::TooManyChannels,
        Code::TooManyConnections,
        Code::UnknownChannel,
        Code::UnknownConsumer,
        Code::UnknownNamespace,
        Code::UnknownNode,
        Code::UriTooLong,
    ];

    /// The code as it stands on every wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::AlreadySubscribed => "already-subscribed",
            Code::BadBatch => "bad-batch",
            Code::BadChannel => "bad-channel",
            Code::BadConsumer => "bad-consumer",
            Code::BadCursor => "bad-cursor",
            Code::BadEvent => "bad-event",
            Code::BadFrame => "bad-frame",
            Code::BadId => "bad-id",
            Code::BadJson => "bad-json",
            Code::BadKey => "bad-key",
            Code::BadOrder => "bad-order",
            Code::BadQuery => "bad-query",
            Code::BadRequest => "bad-request",
            Code::BadRevocation => "bad-revocation",
            Code::BadTerms => "bad-terms",
            Code::BadText => "bad-text",
            Code::BadToken => "bad-token",
            Code::BodyIncomplete => "body-incomplete",
            Code::BrokerUnavailable => "broker-unavailable",
            Code::ChannelClosed => "channel-closed",
            Code::Disconnected => "disconnected",
            Code::Draining => "draining",
            Code::Forbidden => "forbidden",
            Code::HeadTooLarge => "head-too-large",
            Code::IdempotencyFull => "idempotency-full",
            Code::KeysUnavailable => "keys-unavailable",
            Code::Lagged => "lagged",
            Code::MethodNotAllowed => "method-not-allowed",
            Code::NoAnswer => "no-answer",
            Code::NoCredentials => "no-credentials",
            Code::NotFound => "not-found",
            Code::OriginRefused => "origin-refused",
            Code::Overloaded => "overloaded",
            Code::PresenceOff => "presence-off",
            Code::RateLimited => "rate-limited",
            Code::RevocationsFull => "revocations-full",
            Code::SentAway => "sent-away",
            Code::TlsRequired => "tls-required",
            Code::TokenExpired => "token-expired",
            Code::TooLarge => "too-large",
            Code::TooManyChannels => "too-many-channels",
            Code::TooManyConnections => "too-many-connections",
            Code::UnknownChannel => "unknown-channel",
            Code::UnknownConsumer => "unknown-consumer",
            Code::UnknownNamespace => "unknown-namespace",
            Code::UnknownNode => "unknown-node",
            Code::UriTooLong => "uri-too-long",
        }
    }

    /// When the request may be tried again.
    pub fn retry(self) -> Retry {
        match self {
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
            | Code::ChannelClosed
            | Code::HeadTooLarge
            | Code::MethodNotAllowed
            | Code::NotFound
            | Code::TooLarge
            | Code::TooManyChannels
            | Code::UriTooLong => Retry::Never,
            Code::BadToken
            | Code::Forbidden
            | Code::NoCredentials
            | Code::OriginRefused
            | Code::SentAway
            | Code::PresenceOff
            | Code::TlsRequired
            | Code::TokenExpired
            | Code::UnknownChannel
            | Code::UnknownConsumer
            | Code::UnknownNamespace
            | Code::UnknownNode => Retry::AfterChange,
            Code::BodyIncomplete | Code::Lagged => Retry::After(0),
            Code::BrokerUnavailable
            | Code::Disconnected
            | Code::Draining
            | Code::KeysUnavailable
            | Code::NoAnswer => Retry::After(2_000),
            Code::RateLimited => Retry::After(1_000),
            Code::IdempotencyFull | Code::Overloaded | Code::RevocationsFull | Code::TooManyConnections => {
                Retry::After(10_000)
            }
        }
    }

    /// The sentence that says what to do next.
    pub fn advice(self) -> &'static str {
        match self {
            Code::AlreadySubscribed => "unsubscribe first, or use what comes already",
            Code::BadBatch => "send {\"messages\":[…]} with at most 1,000 messages",
            Code::BadChannel => "use 1 to 255 bytes of A-Z a-z 0-9 _ - . : @ =",
            Code::BadConsumer => "choose a name of 1 to 128 bytes of A-Z a-z 0-9 _ - . : @ =",
            Code::BadCursor => "use a cursor as this server gave it, with the channels it was given for",
            Code::BadEvent => "use at most 128 bytes, without line breaks, not beginning with `tidings.`",
            Code::BadFrame => "see docs/protocol.md for the frames that this URL takes",
            Code::BadId => "use 1 to 255 printable ASCII characters",
            Code::BadJson => "send valid JSON, or name the right Content-Type",
            Code::BadKey => "use 1 to 255 bytes without control characters",
            Code::BadOrder => {
                "see docs/protocol.md, Operating a cluster, for the bodies that this path takes"
            }
            Code::BadQuery => "correct the parameter that the detail names",
            Code::BadRequest => "send HTTP/1.1 as RFC 9112 has it, without TLS",
            Code::BadRevocation => {
                "send {\"user\":…} or {\"jti\":…}, and `until` in seconds since 1970 or as RFC 3339 in UTC"
            }
            Code::BadTerms => {
                "send {\"retain\":{\"messages\":…,\"age\":\"24h\"},\"ttl\":\"7days\"}, each of them optional"
            }
            Code::BadText => "send UTF-8, or another Content-Type than text/plain to publish bytes",
            Code::BadToken => "get a new token, or send none",
            Code::BodyIncomplete => "send the body again, with the same Idempotency-Key",
            Code::BrokerUnavailable => "try again in a moment, with the same Idempotency-Key",
            Code::ChannelClosed => "publish to another channel; what was published can still be read",
            Code::Disconnected => "connect again with your cursor",
            Code::Draining => {
                "connect again: another node, or this one once restarted, continues at your cursor"
            }
            Code::Forbidden => {
                "use what has this right: to a channel a token that lists it, else an API key; or change the configuration"
            }
            Code::HeadTooLarge => "send fewer and shorter headers",
            Code::IdempotencyFull => "try again later, or raise limits.idempotency_keys",
            Code::KeysUnavailable => {
                "try again in a moment; if it stays, see the node's log for its jwks_url"
            }
            Code::Lagged => "connect again with your cursor, and read faster",
            Code::MethodNotAllowed => "use a method that the Allow header names",
            Code::NoAnswer => "ask again, and look at the node where it runs",
            Code::NoCredentials => "send Authorization: Bearer with an API key or a token",
            Code::NotFound => "see docs/protocol.md for the paths of this server",
            Code::OriginRefused => {
                "add the origin to cors.origins (a development node serves its own pages alone), or use the host that this node listens on"
            }
            Code::Overloaded => "come back later, or to another node",
            Code::PresenceOff => "set presence = true in the namespace",
            Code::RateLimited => "wait as long as Retry-After says, and publish more slowly",
            Code::RevocationsFull => "revoke for a shorter time (`until`), or wait until others have ended",
            Code::SentAway => "ask who runs this server; connect again when you may",
            Code::TlsRequired => "use https:// or wss:// in the URL",
            Code::TokenExpired => "get a new token and connect again with your cursor",
            Code::TooLarge => "send less at once, or raise limits.message_bytes",
            Code::TooManyChannels => {
                "ask for at most 100 channels in one request, and for more on several connections"
            }
            Code::TooManyConnections => "close others first, or share one among your tabs",
            Code::UnknownChannel => "create it first, with PUT and an API key that may administer",
            Code::UnknownConsumer => "read the channel with `consumer=NAME` first, with the same credentials",
            Code::UnknownNamespace => "declare [namespaces.NAME] in the configuration",
            Code::UnknownNode => "see GET /v1/nodes, or `tidings nodes`, for those that there are",
            Code::UriTooLong => "keep the request target under 16 KiB",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Error {
    /// An error of this code, with the sentence that describes this case.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Error { code, detail: detail.into(), stored: None, retry_ms: None, end: None }
    }

    /// The same error once more, for another message that shared its fate.
    #[must_use]
    pub fn again(&self) -> Self {
        let Error { code, ref detail, stored, retry_ms, ref end } = *self;
        Error { code, detail: detail.clone(), stored, retry_ms, end: end.clone() }
    }

    /// The same error, which passes after so many milliseconds.
    #[must_use]
    pub fn after(mut self, ms: u64) -> Self {
        self.retry_ms = Some(ms);
        self
    }

    /// The same error, saying whether the write took effect.
    #[must_use]
    pub fn stored(mut self, stored: Stored) -> Self {
        self.stored = Some(stored);
        self
    }
}

/// The result of an operation that a client asked for.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_alphabetical_and_kebab_case() {
        let names: Vec<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        assert!(names.is_sorted());
        assert!(names.iter().all(|n| n.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
    }
}
