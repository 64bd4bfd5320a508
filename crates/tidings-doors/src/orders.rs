//! What an operator does: to clients, and to nodes.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tidings_core::{Code, Error, Report, Result, Session, Whose};

use crate::Doors;
use crate::operate::{Nodes, json};
use crate::publish::body::Incoming;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    connection: Option<String>,
    user: Option<String>,
    #[serde(default)]
    away: bool,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Serialize)]
struct Ended<'a> {
    #[serde(flatten)]
    whose: &'a Whose,
    ended: usize,
    nodes: Nodes,
}

#[derive(Serialize)]
struct Drained<'a> {
    node: &'a str,
    state: &'static str,
}

const BODY_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a name, and of a reason.
const TEXT_BYTES_MAX: usize = 255;

/// Ends the live reads that the body names, on whichever node, and says how many.
pub(crate) async fn disconnect(doors: &Doors, session: &Session, body: Body) -> Result<Response> {
    // Before the body is read: rights are judged first.
    session.may_administer()?;
    let body = Incoming::new(body, doors, session).whole(BODY_BYTES_MAX).await?;
    let (whose, away, reason) = order(&body)?;
    let (by, why) = (session.who(), reason.clone());
    let Report { found: ended, answered, silent } = session.disconnect(whose.clone(), away, reason).await?;
    tracing::info!(?whose, away, reason = why, by, ended, "clients are disconnected");
    Ok(json(&Ended { whose: &whose, ended, nodes: Nodes { answered, silent } }))
}

/// Makes a node stop.
pub(crate) async fn drain(session: &Session, node: &str) -> Result<Response> {
    session.drain(node).await?;
    tracing::info!(node, by = session.who(), "a node is drained");
    Ok((StatusCode::ACCEPTED, json(&Drained { node, state: "draining" })).into_response())
}

fn order(body: &[u8]) -> Result<(Whose, bool, String)> {
    let bad = |detail: String| Error::new(Code::BadOrder, detail);
    let Order { connection, user, away, reason } =
        crate::wire::object(body).map_err(|error| bad(format!("the body is no order ({error})")))?;
    let reason = reason.unwrap_or_default();
    let (name, whose) = match (connection, user) {
        (Some(name), None) => (name.clone(), Whose::Connection(name)),
        (None, Some(name)) => (name.clone(), Whose::User(name)),
        _ => return Err(bad("the body has to name one of `connection` and `user`".into())),
    };
    match (1..=TEXT_BYTES_MAX).contains(&name.len()) && reason.len() <= TEXT_BYTES_MAX {
        true => Ok((whose, away, reason)),
        false => Err(bad("a name has 1 to 255 bytes, and a reason at most 255".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_names_one() {
        let read = |text: &str| order(text.as_bytes()).map_err(|error| error.code);
        let user = || Whose::User("a".into());
        assert_eq!(read(r#"{"user":"a"}"#), Ok((user(), false, String::new())));
        let whole = r#"{"user":"a","away":true,"reason":"x"}"#;
        assert_eq!(read(whole), Ok((user(), true, "x".into())));
        assert!(matches!(read(r#"{"connection":"1.2"}"#), Ok((Whose::Connection(_), ..))));
        let long = format!(r#"{{"user":"a","reason":"{}"}}"#, "x".repeat(256));
        for text in
            ["", "{}", "[]", r#"{"user":""}"#, r#"{"user":"a","connection":"b"}"#, r#"{"user":1}"#, &long]
        {
            assert_eq!(read(text), Err(Code::BadOrder), "{text}");
        }
    }
}
