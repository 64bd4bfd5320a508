//! Fuzz target of a request's head: the query, where a read begins, and who sends it.

use http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use tidings_core::log::Start;
use tidings_core::{Channel, Code, Cursor, From, Want};
use url::form_urlencoded;

use super::Transport;
use super::credentials::credentials;
use super::query::Query;
use crate::router::channels;

/// Lines: a query, and values of `Last-Event-ID`, `Authorization` and `Accept`, as far as they are there.
pub fn query(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or(b"");
    // hyper gives a query that is text; what is no text comes percent-encoded.
    let Ok(text) = std::str::from_utf8(first) else { return };
    let query = Query::parse(Some(text));
    again(text, &query);
    let mut headers = HeaderMap::new();
    for name in [HeaderName::from_static("last-event-id"), AUTHORIZATION, ACCEPT] {
        let value = lines.next().and_then(|value| HeaderValue::from_bytes(value).ok());
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            headers.insert(name, value);
        }
    }
    let _ = Transport::of(&headers, &query);
    if let Err(error) = credentials(&headers, &query) {
        assert_eq!(error.code, Code::BadToken);
    }
    match query.wait_ms() {
        Ok(wait) => assert!(wait.is_none_or(|wait| (1..=60_000).contains(&wait))),
        Err(error) => assert_eq!(error.code, Code::BadQuery),
    }
    match channels(query.all("channel")) {
        Ok(channels) => {
            assert!(channels.len() <= Cursor::CHANNELS_MAX);
            let id = headers.get("last-event-id").and_then(|id| id.to_str().ok());
            begins(&query, channels, id);
        }
        Err(error) => assert!(matches!(error.code, Code::BadChannel | Code::TooManyChannels)),
    }
}

/// A query means what its parameters mean, however they are written.
fn again(text: &str, query: &Query) {
    let pairs: Vec<_> = form_urlencoded::parse(text.as_bytes()).collect();
    let canonical = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
    let written = Query::parse(Some(&canonical));
    for (name, value) in &pairs {
        assert!(query.has(name) && query.all(name).any(|one| one == value));
        assert_eq!(written.all(name).collect::<Vec<_>>(), query.all(name).collect::<Vec<_>>());
    }
}

fn begins(query: &Query, channels: Vec<Channel>, last_event_id: Option<&str>) {
    let (after, last) = (query.first("after"), query.first("last"));
    let (want, reading) = match query.want(channels.clone(), last_event_id, Start::Latest) {
        Ok(found) => found,
        Err(error) => {
            let expected = [Code::BadQuery, Code::BadCursor, Code::BadConsumer];
            assert!(expected.contains(&error.code), "refused as {}", error.code);
            return;
        }
    };
    assert!(after.is_none() || last.is_none(), "`after` and `last` exclude each other");
    assert_ne!(reading.limit, Some(0));
    let Want { channels: wanted, from, .. } = want;
    assert_eq!(wanted, channels);
    match (last_event_id, from) {
        (Some(id), From::Cursor(cursor)) => {
            assert_eq!(cursor.to_string(), id);
            assert!(channels.iter().any(|channel| cursor.get(channel).is_some()));
        }
        (Some(_), from) => assert_eq!(from, From::Unreadable, "`Last-Event-ID` beats the query"),
        (None, From::Cursor(cursor)) => assert_eq!(Some(cursor.to_string().as_str()), after),
        (None, From::Earliest) => assert_eq!(after, Some("earliest")),
        (None, From::Latest) => assert_eq!(after, Some("latest")),
        (None, From::Last(n)) => assert_eq!((reading.last, last.is_some()), (Some(n), true)),
        (None, From::Default) => assert_eq!((after, last), (None, None)),
        (None, From::Unreadable) => panic!("without `Last-Event-ID` a cursor is refused"),
    }
}
