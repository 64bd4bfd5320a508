//! Who is in a channel: `{"members":[{"user","info","since"}…],"count":N}`.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;
use serde_json::value::RawValue;
use tidings_core::{Channel, Present, Result, Session};

use crate::wire;

#[derive(Serialize)]
struct Members<'a> {
    members: Vec<Member<'a>>,
    count: usize,
}

#[derive(Serialize)]
struct Member<'a> {
    user: &'a str,
    info: Option<&'a RawValue>,
    since: String,
}

/// Answers with the members of a channel, oldest first.
pub(crate) async fn read(session: &Session, channel: &Channel) -> Result<Response> {
    let roster = session.presence(channel).await?;
    let members: Vec<_> = roster.members.iter().map(member).collect();
    let body = Members { count: members.len(), members };
    let headers = [(CACHE_CONTROL, "private, no-cache"), (CONTENT_TYPE, "application/json")];
    // Structs of strings and JSON always serialise.
    Ok((headers, serde_json::to_string(&body).unwrap_or_default()).into_response())
}

fn member(present: &Present) -> Member<'_> {
    let info = present.info.as_deref().and_then(|info| serde_json::from_str(info).ok());
    Member { user: &present.user, info, since: wire::time(present.since_ms).to_string() }
}
