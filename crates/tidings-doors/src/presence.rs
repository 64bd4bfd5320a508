//! Who is in a channel: `{"members":[{"user","info","since"}…],"count":N}`.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;
use serde_json::value::RawValue;
use tidings_core::{Channel, Present, Result, Roster, Session};

use crate::wire;

/// The members of a channel, as they go out.
#[derive(Serialize)]
pub(crate) struct Members<'a> {
    members: Vec<Member<'a>>,
    count: usize,
}

/// One member, as it goes out.
#[derive(Serialize)]
pub(crate) struct Member<'a> {
    user: &'a str,
    info: Option<&'a RawValue>,
    since: String,
}

/// Answers with the members of a channel, oldest first.
pub(crate) async fn read(session: &Session, channel: &Channel) -> Result<Response> {
    let roster = session.presence(channel).await?;
    let body = Members::of(&roster);
    let headers = [(CACHE_CONTROL, "private, no-cache"), (CONTENT_TYPE, "application/json")];
    // Structs of strings and JSON always serialise.
    Ok((headers, serde_json::to_string(&body).unwrap_or_default()).into_response())
}

impl<'a> Members<'a> {
    pub(crate) fn of(roster: &'a Roster) -> Self {
        let members: Vec<_> = roster.members.iter().map(member).collect();
        Members { count: members.len(), members }
    }
}

pub(crate) fn member(present: &Present) -> Member<'_> {
    let info = present.info.as_deref().and_then(|info| serde_json::from_str(info).ok());
    Member { user: &present.user, info, since: wire::time(present.since_ms).to_string() }
}
