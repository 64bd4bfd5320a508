//! What an operator sees: nodes, channels, readers and clients.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;
use tidings_core::{Channel, ClientEntry, Code, Cursor, Error, ReaderEntry, Report, Result, Roll, Session};

use crate::http::query::{Query, bad};
use crate::operate::{Nodes, json};
use crate::wire;

#[derive(Serialize)]
struct Channels {
    channels: Vec<ChannelInUse>,
    more: bool,
    nodes: Nodes,
}

#[derive(Serialize)]
struct ChannelInUse {
    channel: String,
    readers: usize,
    nodes: Vec<String>,
}

#[derive(Serialize)]
struct Clients<'a> {
    clients: Vec<Client<'a>>,
    count: usize,
    nodes: Nodes,
}

#[derive(Serialize)]
struct Client<'a> {
    #[serde(flatten)]
    whose: Whose<'a>,
    stuck: bool,
}

#[derive(Serialize)]
struct Whose<'a> {
    node: &'a str,
    connection: &'a str,
    user: Option<&'a str>,
    transport: &'a str,
    address: Option<std::net::IpAddr>,
    since: String,
}

#[derive(Serialize)]
struct Readers<'a> {
    channel: &'a str,
    cursor: Option<String>,
    count: usize,
    stuck: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    passed: Option<usize>,
    readers: Vec<Reader<'a>>,
    nodes: Nodes,
}

#[derive(Serialize)]
struct Reader<'a> {
    #[serde(flatten)]
    whose: Whose<'a>,
    cursor: String,
    behind: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    passed: Option<Option<bool>>,
}

/// Entries of a list, unless the request says otherwise.
const LIMIT: u64 = 100;
const LIMIT_MAX: u64 = 1_000;

pub(crate) fn nodes(session: &Session) -> Result<Response> {
    // Each is JSON already.
    let body = format!("{{\"nodes\":[{}]}}", session.nodes()?.join(","));
    Ok(([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], body).into_response())
}

pub(crate) async fn channels(session: &Session, query: &Query) -> Result<Response> {
    session.may_administer()?;
    let (limit, prefix, after) = (limit(query)?, query.one("prefix")?.unwrap_or(""), query.one("after")?);
    let report = session.channels_in_use(prefix, after, limit).await?;
    let Report { found: (found, more), answered, silent } = report;
    let channels = found.into_iter().map(|one| ChannelInUse {
        channel: one.channel,
        readers: one.readers,
        nodes: one.nodes,
    });
    Ok(json(&Channels { channels: channels.collect(), more, nodes: Nodes { answered, silent } }))
}

pub(crate) async fn clients(session: &Session, query: &Query) -> Result<Response> {
    session.may_administer()?;
    let (limit, user) = (limit(query)?, query.one("user")?.map(str::to_owned));
    let Report { found: (found, count), answered, silent } = session.clients(user, limit).await?;
    let clients = found.iter().map(|one| Client { whose: Whose::of(one), stuck: one.stuck });
    Ok(json(&Clients { clients: clients.collect(), count, nodes: Nodes { answered, silent } }))
}

pub(crate) async fn readers(session: &Session, channel: &Channel, query: &Query) -> Result<Response> {
    session.may_administer()?;
    let cursor = query.one("cursor")?.map(|text| {
        let bad = |detail: String| Error::new(Code::BadCursor, detail);
        let cursor = text.parse::<Cursor>().map_err(|error| bad(format!("`cursor` is {error}")))?;
        cursor.get(channel).ok_or_else(|| bad(format!("`cursor` is none of `{channel}`")))
    });
    let cursor = cursor.transpose()?;
    let Report { found, answered, silent } = session.readers(channel, cursor).await?;
    let Roll { end, count, stuck, readers } = found;
    let passed = || readers.iter().filter(|reader| reader.passed == Some(true)).count();
    Ok(json(&Readers {
        channel: channel.as_str(),
        cursor: end.map(|end| Cursor::one(channel, end).to_string()),
        count,
        stuck,
        passed: cursor.map(|_| passed()),
        readers: readers.iter().map(|reader| Reader::of(reader, channel, cursor.is_some())).collect(),
        nodes: Nodes { answered, silent },
    }))
}

impl<'a> Whose<'a> {
    fn of(client: &'a ClientEntry) -> Self {
        let ClientEntry { node, connection, user, transport, address, since_ms, stuck: _ } = client;
        let since = wire::time(*since_ms).to_string();
        Whose { node, connection, user: user.as_deref(), transport, address: *address, since }
    }
}

impl<'a> Reader<'a> {
    fn of(reader: &'a ReaderEntry, channel: &Channel, asked: bool) -> Self {
        let ReaderEntry { client, at, behind, passed } = reader;
        let cursor = Cursor::one(channel, *at).to_string();
        Reader { whose: Whose::of(client), cursor, behind: *behind, passed: asked.then_some(*passed) }
    }
}

fn limit(query: &Query) -> Result<usize> {
    match query.whole("limit")?.unwrap_or(LIMIT) {
        0 => Err(bad("limit", "must be at least 1")),
        limit => Ok(limit.min(LIMIT_MAX) as usize),
    }
}
