//! The life of a channel by name: creating it with terms of its own, and deleting it.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use tidings_core::log::{Created, Retain, Terms};
use tidings_core::{Channel, Code, Cursor, Error, Result, Session};

use crate::Doors;
use crate::publish::body::Incoming;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    retain: Option<WantedRetain>,
    ttl: Option<String>,
}

/// What is not said is as in the namespace.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedRetain {
    messages: Option<u64>,
    age: Option<String>,
}

#[derive(Serialize)]
struct Receipt<'a> {
    channel: &'a str,
    cursor: String,
    created: bool,
    closed: bool,
}

const BODY_BYTES_MAX: usize = 16 * 1024;
/// Messages that a channel may be told to keep, as in the configuration.
const MESSAGES_MAX: u64 = 1_000_000_000_000;
/// Bounds of an age, as in the configuration.
const AGE_MS: std::ops::RangeInclusive<u64> = 100..=36_500 * 86_400_000;
/// Bounds of a time to live.
const TTL_MS: std::ops::RangeInclusive<u64> = 1_000..=36_500 * 86_400_000;

/// Creates a channel with the terms of the body, which may be empty: 201. One that is there gets
/// these terms in place of its own, and its log stays: 200.
pub(crate) async fn create(
    session: &Session,
    doors: &Doors,
    body: Body,
    channel: &Channel,
) -> Result<Response> {
    // Before the body is read: rights are judged first.
    session.may_administer()?;
    let body = Incoming::new(body, doors, session).whole(BODY_BYTES_MAX).await?;
    let kept = session.retain(channel)?;
    let Created { end, new, closed } = session.create(channel, terms(&body, kept)?).await?;
    let cursor = Cursor::one(channel, end).to_string();
    let receipt = Receipt { channel: channel.as_str(), cursor, created: new, closed };
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    // A struct of strings and truths always serialises.
    let body = serde_json::to_string(&receipt).unwrap_or_default();
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    Ok((status, headers, body).into_response())
}

/// Deletes a channel: 204, or 404 where there is none.
pub(crate) async fn delete(session: &Session, channel: &Channel) -> Result<Response> {
    match session.delete(channel).await? {
        true => Ok((StatusCode::NO_CONTENT, [(CACHE_CONTROL, "no-store")]).into_response()),
        false => Err(Error::new(Code::UnknownChannel, format!("there is no channel `{channel}`"))),
    }
}

/// Reads terms; what `retain` leaves out is as the namespace has it.
pub(crate) fn terms(body: &[u8], kept: Retain) -> Result<Terms> {
    if body.is_empty() {
        return Ok(Terms::default());
    }
    let bad = |detail: String| Error::new(Code::BadTerms, detail);
    let Wanted { retain, ttl } = crate::wire::object(body)
        .map_err(|error| bad(format!("the body says not how to keep a channel ({error})")))?;
    let retain = retain.map(|WantedRetain { messages, age }| {
        let messages = messages.unwrap_or(kept.messages);
        if !(1..=MESSAGES_MAX).contains(&messages) {
            return Err(bad(format!("`retain.messages` is not between 1 and {MESSAGES_MAX}")));
        }
        let age_ms = age.map(|age| period("retain.age", &age, &AGE_MS)).transpose()?;
        Ok(Retain { messages, age_ms: age_ms.unwrap_or(kept.age_ms) })
    });
    let ttl_ms = ttl.map(|ttl| period("ttl", &ttl, &TTL_MS)).transpose()?;
    Ok(Terms { retain: retain.transpose()?, ttl_ms })
}

/// Milliseconds of a time such as `24h`.
fn period(name: &str, text: &str, bounds: &std::ops::RangeInclusive<u64>) -> Result<u64> {
    let time = humantime::parse_duration(text).ok();
    let ms = time.and_then(|time| u64::try_from(time.as_millis()).ok()).filter(|ms| bounds.contains(ms));
    ms.ok_or_else(|| {
        let from = humantime::format_duration(Duration::from_millis(*bounds.start()));
        Error::new(Code::BadTerms, format!("`{name}` is not a time such as \"24h\" from {from} to 100 years"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read_or_refused() {
        let kept = Retain { messages: 7, age_ms: 9_000 };
        let read = |text: &str| terms(text.as_bytes(), kept).map_err(|error| error.code);
        let none = Terms { retain: None, ttl_ms: None };
        assert_eq!(read(""), Ok(none));
        assert_eq!(read("{}"), Ok(none));
        assert_eq!(read(r#"{"ttl":"1h"}"#), Ok(Terms { ttl_ms: Some(3_600_000), ..none }));
        let retain = |messages, age_ms| Ok(Terms { retain: Some(Retain { messages, age_ms }), ..none });
        assert_eq!(read(r#"{"retain":{"messages":3}}"#), retain(3, 9_000));
        assert_eq!(read(r#"{"retain":{"age":"1m"}}"#), retain(7, 60_000));
        for text in [
            "[]x",
            "{\"x\":1}",
            r#"{"ttl":1}"#,
            r#"{"ttl":"1ms"}"#,
            r#"{"ttl":"soon"}"#,
            r#"{"retain":{"messages":0}}"#,
            r#"{"retain":{"age":"9999999999years"}}"#,
            "\u{feff}",
        ] {
            assert_eq!(read(text), Err(Code::BadTerms), "{text}");
        }
    }
}
