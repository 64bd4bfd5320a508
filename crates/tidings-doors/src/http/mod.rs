//! What every door shares of HTTP.

pub mod accepted;
pub mod cors;
pub mod credentials;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
pub mod head;
mod multiplex;
pub mod pace;
pub mod peer;
pub mod problem;
pub mod query;
pub(crate) mod refusal;
pub mod slot;
pub mod takeover;
pub mod tls;
mod tracked;
mod unread;
mod waiting;

use http::header::{ACCEPT, CONNECTION, HeaderMap, HeaderName, IF_NONE_MATCH, UPGRADE};

/// `Tidings-Delivery`: the guarantee in force, on every reply to a read.
pub const DELIVERY: HeaderName = HeaderName::from_static("tidings-delivery");
/// `Tidings-Poll-After`: seconds until it is worth asking again.
pub const POLL_AFTER: HeaderName = HeaderName::from_static("tidings-poll-after");
/// What a cache must tell apart.
pub const VARY_READS: &str = "Accept, Authorization, Last-Event-ID";

/// How a read is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// An upgrade.
    WebSocket,
    /// A stream of events.
    Sse,
    /// A page, held until there is one.
    LongPoll,
    /// A page, now.
    Poll,
}

impl Transport {
    /// What a request asks for: an upgrade, else an event stream, else a wait, else a page.
    pub fn of(headers: &HeaderMap, query: &query::Query) -> Self {
        if is_upgrade(headers) {
            Transport::WebSocket
        } else if accepts_events(headers) {
            Transport::Sse
        } else if query.has("wait") {
            Transport::LongPoll
        } else {
            Transport::Poll
        }
    }
}

/// Whether a request asks for a WebSocket (RFC 6455 section 4.2.1).
pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
    has_token(headers, UPGRADE, "websocket") && has_token(headers, CONNECTION, "upgrade")
}

/// Whether a header that is a list of tokens holds one, in any case of letters.
pub fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(token))
}

/// The entity tags of which a client says that it has them, or `*`; without the `W/` that makes no difference to
/// a weak comparison (RFC 9110 section 13.1.2).
pub fn known_tags(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|tag| tag.trim().trim_start_matches("W/"))
}

/// Whether `Accept` names `text/event-stream` itself with a quality above zero (RFC 9110 section 12.5.1).
fn accepts_events(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("text/event-stream"));
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        named && quality.is_none_or(|q| q.trim().parse::<f32>().is_ok_and(|q| q > 0.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_must_name_event_streams() {
        let accepts = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, value.parse().unwrap());
            accepts_events(&headers)
        };
        assert!(accepts("text/event-stream"));
        assert!(accepts("application/json, Text/Event-Stream;q=0.1"));
        assert!(!accepts("*/*"));
        assert!(!accepts("text/*"));
        assert!(!accepts("text/event-stream;q=0"));
        assert!(!accepts("text/event-stream; q=0.0"));
        assert!(!accepts("text/event-streams"));
    }
}
