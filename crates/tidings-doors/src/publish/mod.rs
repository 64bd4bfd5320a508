//! Publishing over HTTP: one message, a stream of them, or a batch.

mod batch;
pub(crate) mod body;
mod events;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod lines;
mod stream;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use serde_json::value::RawValue;
use tidings_core::log::{Kind, Payload};
use tidings_core::{Channel, Code, Error, Identity, Result, Session, Writer};

use crate::http::problem::Problem;
use crate::{Doors, Request, receipt};

use crate::item::{Item, check_event, check_id, check_key};
use body::Incoming;
use stream::Common;

/// How a body is to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    One(Kind),
    Lines,
    Events,
}

/// Batches may hold this many times the bytes of a message.
const BATCH_MESSAGES: usize = 16;

/// Stores a body in a channel.
pub(crate) async fn one(
    doors: &Doors,
    request: &Request,
    body: Body,
    session: &Session,
    channel: &Channel,
) -> Response {
    match try_one(doors, request, body, session, channel).await {
        Ok(reply) => json(reply),
        Err(problem) => problem.into_response(),
    }
}

/// Stores a batch.
pub(crate) async fn many(doors: &Doors, body: Body, session: &Session) -> Response {
    let reply = async {
        // Before the body is read: credentials are judged first.
        if let Identity::Anonymous = session.identity() {
            return Err(Error::new(Code::NoCredentials, "publishing needs credentials"));
        }
        let body = Incoming::new(body, doors, session).whole(doors.message_bytes * BATCH_MESSAGES);
        batch::publish(session, &body.await?, doors.batch_messages).await
    };
    match reply.await {
        Ok(reply) => json(reply),
        Err(error) => Problem::from(error).into_response(),
    }
}

async fn try_one(
    doors: &Doors,
    request: &Request,
    body: Body,
    session: &Session,
    channel: &Channel,
) -> Result<String, Problem> {
    let writer = session.writer(channel)?;
    let common = common(request)?;
    let closes = closes(request)?;
    if closes {
        writer.may_close()?;
    }
    let limit = writer.message_bytes_max();
    let form = form(&request.headers);
    let incoming = Incoming::new(body, doors, session);
    let mut tally = match form {
        Form::One(kind) => return store(request, incoming, &writer, channel, kind, common, closes).await,
        Form::Lines => stream::publish(&writer, channel, incoming, lines::Lines::new(limit), common).await?,
        Form::Events => {
            stream::publish(&writer, channel, incoming, events::Events::new(limit), common).await?
        }
    };
    if closes {
        tally.close(&writer, channel).await?;
    }
    // A struct of numbers and strings always serialises.
    Ok(serde_json::to_string(&tally).unwrap_or_default())
}

async fn store(
    request: &Request,
    body: Incoming<'_>,
    writer: &Writer,
    channel: &Channel,
    kind: Kind,
    common: Common,
    closes: bool,
) -> Result<String, Problem> {
    let limit = writer.message_bytes_max();
    let length =
        request.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit as u64) {
        return Err(Error::new(Code::TooLarge, format!("the message has more than {limit} bytes")).into());
    }
    let body = body.whole(limit).await?;
    if closes && body.is_empty() {
        return Ok(receipt::close_alone(writer, channel).await?);
    }
    let payload = payload(kind, body)?;
    let item =
        Item::of(payload).named(common.event.as_deref(), common.key.as_deref(), common.id.as_deref())?;
    let stored = receipt::store(writer, channel, item).await?;
    let end = match closes {
        // The message is stored already; whoever sends it again needs its key.
        true => {
            Some(receipt::close(writer, channel).await.map_err(|error| stored.midway(Problem::from(error)))?)
        }
        false => None,
    };
    Ok(stored.before(end).to_json())
}

/// Whether the channel is to be closed behind the body: `?close`.
fn closes(request: &Request) -> Result<bool> {
    match request.query.one("close")? {
        None | Some("false" | "0") => Ok(false),
        Some("" | "true" | "1") => Ok(true),
        Some(_) => Err(Error::new(Code::BadQuery, "`close` is `true`, `false`, or has no value")),
    }
}

/// Event, key and idempotency key: the query beats the header.
fn common(request: &Request) -> Result<Common> {
    let value = |name: &'static str, header: &'static str, code: Code| -> Result<Option<String>> {
        if let Some(value) = request.query.one(name)? {
            if !request.query.is_text(value) {
                return Err(Error::new(code, format!("the parameter `{name}` is not UTF-8")));
            }
            return Ok(Some(value.to_owned()));
        }
        let Some(value) = request.headers.get(header) else { return Ok(None) };
        // Header values may be UTF-8, though `to_str` takes ASCII alone.
        let text = std::str::from_utf8(value.as_bytes());
        Ok(Some(text.map_err(|_| Error::new(code, format!("the header {header} is not UTF-8")))?.to_owned()))
    };
    let event = value("event", "tidings-event", Code::BadEvent)?;
    let key = value("key", "tidings-key", Code::BadKey)?;
    let id =
        request.headers.get("idempotency-key").map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
    Ok(Common {
        event: event.as_deref().map(check_event).transpose()?,
        key: key.as_deref().map(check_key).transpose()?,
        id: id.as_deref().map(check_id).transpose()?,
    })
}

fn payload(kind: Kind, bytes: Bytes) -> Result<Payload> {
    match kind {
        Kind::Json => {
            serde_json::from_slice::<&RawValue>(&bytes)
                .map_err(|error| Error::new(Code::BadJson, format!("the body is not JSON ({error})")))?;
        }
        Kind::Text => {
            std::str::from_utf8(&bytes).map_err(|_| Error::new(Code::BadText, "the body is not UTF-8"))?;
        }
        Kind::Bytes => {}
    }
    Ok(Payload { kind, bytes })
}

fn form(headers: &HeaderMap) -> Form {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = value.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Form::One(Kind::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Form::Lines,
        "text/event-stream" => Form::Events,
        "text/plain" => Form::One(Kind::Text),
        other if other.ends_with("+json") => Form::One(Kind::Json),
        _ => Form::One(Kind::Bytes),
    }
}

fn json(body: String) -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], body).into_response()
}
