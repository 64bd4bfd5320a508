//! Refusing tokens before they end: `{"user" or "jti", "until"}`.

use std::time::UNIX_EPOCH;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use tidings_core::{Code, Error, Result, Revoked, Session, Whom};

use crate::publish::body::Incoming;
use crate::{Doors, wire};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    user: Option<String>,
    jti: Option<String>,
    until: Option<Until>,
}

/// As in a token, or as in a message.
#[derive(Deserialize)]
#[serde(untagged)]
enum Until {
    /// Seconds since the Unix epoch.
    Seconds(f64),
    /// RFC 3339.
    Time(String),
}

#[derive(Serialize)]
struct Receipt<'a> {
    #[serde(flatten)]
    whom: &'a Whom,
    until: String,
    ended: usize,
}

const BODY_BYTES_MAX: usize = 16 * 1024;

/// Revokes what the body names, and answers until when, and how many live reads of this node ended.
pub(crate) async fn revoke(doors: &Doors, session: &Session, body: Body) -> Result<Response> {
    // Before the body is read: rights are judged first.
    session.may_administer()?;
    let body = Incoming::new(body, doors, session).whole(BODY_BYTES_MAX).await?;
    let (whom, until_ms) = order(&body)?;
    let Revoked { until_ms, ended } = session.revoke(whom.clone(), until_ms).await?;
    tracing::info!(?whom, until_ms, ended, by = session.who(), "revoked");
    let receipt = Receipt { whom: &whom, until: wire::time(until_ms).to_string(), ended };
    // A struct of strings and a number always serialises.
    let body = serde_json::to_string(&receipt).unwrap_or_default();
    Ok(([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], body).into_response())
}

pub(crate) fn order(body: &[u8]) -> Result<(Whom, Option<u64>)> {
    let bad = |detail: String| Error::new(Code::BadRevocation, detail);
    let order: Order =
        crate::wire::object(body).map_err(|error| bad(format!("the body is no revocation ({error})")))?;
    let whom = match (order.user, order.jti) {
        (Some(user), None) => Whom::User(user),
        (None, Some(id)) => Whom::Token(id),
        _ => return Err(bad("the body has to name one of `user` and `jti`".into())),
    };
    let until_ms = order.until.map(|until| until.ms().ok_or_else(|| bad("`until` is not a time".into())));
    Ok((whom, until_ms.transpose()?))
}

impl Until {
    fn ms(&self) -> Option<u64> {
        match self {
            Until::Seconds(seconds) => (*seconds >= 0.0).then_some((seconds * 1_000.0) as u64),
            Until::Time(text) => {
                let time = humantime::parse_rfc3339(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
                u64::try_from(time.as_millis()).ok()
            }
        }
    }
}
