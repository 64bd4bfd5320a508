//! Frames to a client of the session protocol, beside messages and gaps.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde_json::value::RawValue;
use tidings_core::{Change, Channel, Cursor, Error, Fact, Read, Roster};

use crate::consumer::Acknowledged;
use crate::http::problem::Problem;
use crate::presence::Members;
use crate::receipt::Receipt;
use crate::wire::{self, GapReport};

use super::super::frame;

/// A reply repeats the id of its request.
#[derive(Serialize)]
struct Reply<'a, T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    #[serde(flatten)]
    body: T,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Body<'a> {
    Subscribed {
        channel: &'a str,
        delivery: &'static str,
        cursor: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        recovered: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        presence: Option<Members<'a>>,
    },
    Unsubscribed {
        channel: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Problem>,
    },
    Published(Receipt),
    Acked(Acknowledged),
    Refreshed {
        expires: Option<String>,
    },
    Error(Problem),
}

#[derive(Serialize)]
struct Present<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    presence: Here<'a>,
}

#[derive(Serialize)]
struct Here<'a> {
    channel: &'a str,
    #[serde(flatten)]
    members: Members<'a>,
}

#[derive(Serialize)]
struct Changed<'a> {
    presence: Moves<'a>,
}

#[derive(Serialize)]
struct Moves<'a> {
    channel: &'a str,
    joined: Vec<crate::presence::Member<'a>>,
    left: Vec<&'a str>,
}

/// A channel is read from here on.
pub(super) fn subscribed(
    id: Option<&RawValue>,
    fact: &Fact,
    cursor: &Cursor,
    roster: Option<&Roster>,
) -> Bytes {
    let (channel, delivery, cursor) = (fact.channel.as_str(), fact.delivery.as_str(), cursor.to_string());
    let presence = roster.map(Members::of);
    json(&Reply {
        id,
        body: Body::Subscribed { channel, delivery, cursor, recovered: fact.recovered, presence },
    })
}

/// A channel is read no more: as asked, or because of an error.
pub(super) fn unsubscribed(id: Option<&RawValue>, channel: &Channel, error: Option<Error>) -> Bytes {
    let error = error.map(Problem::from);
    json(&Reply { id, body: Body::Unsubscribed { channel: channel.as_str(), error } })
}

/// A message is stored.
pub(super) fn published(id: Option<&RawValue>, receipt: Receipt) -> Bytes {
    json(&Reply { id, body: Body::Published(receipt) })
}

/// A consumer has done with what comes before a place.
pub(super) fn acknowledged(id: Option<&RawValue>, acknowledged: Acknowledged) -> Bytes {
    json(&Reply { id, body: Body::Acked(acknowledged) })
}

/// The session goes on with another token, until it ends.
pub(super) fn refreshed(id: Option<&RawValue>, expires_ms: Option<u64>) -> Bytes {
    let expires = expires_ms.map(|ms| wire::time(ms).to_string());
    json(&Reply { id, body: Body::Refreshed { expires } })
}

/// What was asked for cannot be had.
pub(super) fn error(id: Option<&RawValue>, error: Error) -> Bytes {
    json(&Reply { id, body: Body::Error(Problem::from(error)) })
}

/// Who is in a channel.
pub(super) fn presence(id: Option<&RawValue>, channel: &Channel, roster: &Roster) -> Bytes {
    let members = Members::of(roster);
    json(&Present { id, presence: Here { channel: channel.as_str(), members } })
}

/// Who came into a channel, and who left it.
pub(super) fn changed(channel: &Channel, change: &Change) -> Bytes {
    let joined = change.joined.iter().map(crate::presence::member).collect();
    let left = change.left.iter().map(AsRef::as_ref).collect();
    json(&Changed { presence: Moves { channel: channel.as_str(), joined, left } })
}

/// A page of what is kept.
pub(super) fn history(id: Option<&RawValue>, read: &Read) -> Bytes {
    let gap = read.gap.as_ref().map(|(channel, gap)| GapReport::new(channel, gap).to_json());
    let mut out = BytesMut::new();
    let id = id.map_or("null", RawValue::get);
    out.put_slice(format!("{{\"id\":{id},\"history\":{{\"messages\":[").as_bytes());
    for (at, message) in read.messages.iter().enumerate() {
        if at > 0 {
            out.put_u8(b',');
        }
        wire::message(&mut out, message);
    }
    let end = format!(
        "],\"cursor\":\"{}\",\"gap\":{},\"delivery\":\"{}\",\"more\":{}{}}}}}",
        read.cursor,
        gap.as_deref().unwrap_or("null"),
        read.delivery.as_str(),
        read.more,
        wire::ended(read)
    );
    out.put_slice(end.as_bytes());
    frame::text(&out)
}

fn json(value: &impl Serialize) -> Bytes {
    // Structs of strings, numbers and JSON always serialise.
    frame::text(&serde_json::to_vec(value).unwrap_or_default())
}
