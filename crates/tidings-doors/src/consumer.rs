//! Durable consumers over HTTP: what one acknowledged, acknowledging more, and forgetting it.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use tidings_core::log::Position;
use tidings_core::{Channel, Code, Consumer, Cursor, Error, Result, Session};

use crate::Doors;
use crate::publish::body::Incoming;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ack {
    cursor: String,
}

/// `{"channel","consumer","cursor"}`: the place that holds for a consumer.
#[derive(Debug, Serialize)]
pub(crate) struct Acknowledged {
    channel: String,
    consumer: String,
    cursor: String,
}

const BODY_BYTES_MAX: usize = 16 * 1024;

impl Acknowledged {
    pub(crate) fn new(channel: &Channel, consumer: &Consumer, at: Position) -> Self {
        Acknowledged {
            channel: channel.to_string(),
            consumer: consumer.as_str().to_owned(),
            cursor: Cursor::one(channel, at).to_string(),
        }
    }
}

/// Says what a consumer acknowledged, or forgets it.
pub(crate) async fn look(
    session: &Session,
    method: &Method,
    channel: &Channel,
    consumer: &Consumer,
) -> Result<Response> {
    let unknown = || {
        let detail = format!("nobody read `{channel}` as the consumer `{}`", consumer.as_str());
        Error::new(Code::UnknownConsumer, detail)
    };
    if method == Method::DELETE {
        return match session.forget(channel, consumer).await? {
            true => Ok((StatusCode::NO_CONTENT, [(CACHE_CONTROL, "no-store")]).into_response()),
            false => Err(unknown()),
        };
    }
    let at = session.acknowledged(channel, consumer).await?.ok_or_else(unknown)?;
    Ok(json(&Acknowledged::new(channel, consumer, at)))
}

/// Acknowledges what the body names: `{"cursor"}`.
pub(crate) async fn acknowledge(
    session: &Session,
    doors: &Doors,
    body: Body,
    channel: &Channel,
    consumer: &Consumer,
) -> Result<Response> {
    // Before the body is read: rights are judged first.
    session.may_consume(channel)?;
    let body = Incoming::new(body, doors, session).whole(BODY_BYTES_MAX).await?;
    let cursor = cursor(&body)?;
    let at = session.acknowledge(channel, consumer, &cursor).await?;
    Ok(json(&Acknowledged::new(channel, consumer, at)))
}

/// Reads the body of an acknowledgement.
pub(crate) fn cursor(body: &[u8]) -> Result<Cursor> {
    let Ack { cursor } = crate::wire::object(body)
        .map_err(|error| Error::new(Code::BadJson, format!("the body is not {{\"cursor\":…}} ({error})")))?;
    cursor.parse().map_err(|error| Error::new(Code::BadCursor, format!("`cursor` is {error}")))
}

fn json(value: &Acknowledged) -> Response {
    // A struct of strings always serialises.
    let body = serde_json::to_string(value).unwrap_or_default();
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], body).into_response()
}
