//! The frames that go out on a read: greeting, messages, gaps, cursors, and why a connection closes.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use soketto::base::OpCode;
use tidings_core::log::{Gap, Message, Position};
use tidings_core::{Channel, Code, Cursor, Item, Retry, Slot, Subscription};

use crate::http::problem::close;
use crate::stream::{Unit, come_back_ms};
use crate::wire::{self, EndReport, GapReport};

use super::deflate::Deflate;
use super::frame;

#[derive(Serialize)]
struct Greeting<'a> {
    subscribed: Subscribed<'a>,
}

#[derive(Serialize)]
struct Subscribed<'a> {
    channels: Vec<ChannelFact<'a>>,
    cursor: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovered: Option<bool>,
}

#[derive(Serialize)]
struct ChannelFact<'a> {
    channel: &'a str,
    delivery: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovered: Option<bool>,
}

#[derive(Serialize)]
struct GapFrame {
    gap: GapReport,
    cursor: String,
}

#[derive(Serialize)]
struct EndFrame {
    end: EndReport,
    cursor: String,
}

/// Where the text frame of a message stands among its encodings.
const SLOT: Slot = Slot(0);

/// The first frame: what is read, from where, and whether anything is missing at the head.
pub(super) fn greeting(subscription: &Subscription) -> Bytes {
    let facts = subscription.facts();
    let channels = facts.iter().map(|fact| ChannelFact {
        channel: fact.channel.as_str(),
        delivery: fact.delivery.as_str(),
        recovered: fact.recovered,
    });
    let recovered = facts.iter().filter_map(|fact| fact.recovered).reduce(|all, one| all && one);
    let cursor = subscription.cursor().to_string();
    json(&Greeting { subscribed: Subscribed { channels: channels.collect(), cursor, recovered } })
}

/// A message as text: the same for everyone.
fn message(message: &Message) -> BytesMut {
    let mut text = BytesMut::with_capacity(256 + message.payload.bytes.len());
    wire::message(&mut text, message);
    text
}

/// A gap, and the cursor to go on from.
pub(super) fn gap(channel: &Channel, gap: &Gap, cursor: &Cursor) -> Bytes {
    json(&GapFrame { gap: GapReport::new(channel, gap), cursor: cursor.to_string() })
}

/// The end of a channel, and the cursor to come back with.
fn end(channel: &Channel, end: Position, cursor: &Cursor) -> Bytes {
    json(&EndFrame { end: EndReport::new(channel, end), cursor: cursor.to_string() })
}

/// The composite cursor of a connection over several channels.
pub(super) fn cursor(cursor: &Cursor) -> Bytes {
    let mut text = BytesMut::new();
    text.put_slice(b"{\"cursor\":\"");
    text.put_slice(cursor.to_string().as_bytes());
    text.put_slice(b"\"}");
    frame::text(&text)
}

/// The close code and reason of an error, with a delay of its own for each client.
pub(super) fn goodbye(code: Code) -> (u16, String) {
    let reason = match code.retry() {
        Retry::After(0) => format!("{{\"code\":\"{code}\",\"retry_ms\":0}}"),
        Retry::After(_) => format!("{{\"code\":\"{code}\",\"retry_ms\":{}}}", come_back_ms()),
        Retry::AfterChange if close(code) < 4500 => format!("{{\"code\":\"{code}\",\"retry_ms\":0}}"),
        Retry::Never | Retry::AfterChange => format!("{{\"code\":\"{code}\"}}"),
    };
    (close(code), reason)
}

/// A frame for each item; over several channels also the cursor behind them.
pub(super) fn encode(
    subscription: &Subscription,
    composite: bool,
    deflate: Option<Deflate>,
    items: &[(u32, Item)],
    units: &mut Vec<Unit>,
) {
    let unit = |shared| Unit { private: Bytes::new(), shared };
    let mut cursor = composite.then(|| subscription.cursor());
    for (reader, item) in items {
        let Some(channel) = subscription.channel(*reader) else { continue };
        if let Some(cursor) = &mut cursor {
            cursor.set(channel, item.position());
        }
        units.push(unit(match item {
            Item::Entry(entry) => match deflate {
                None => entry.wire(SLOT, |one| frame::text(&message(one))),
                Some(deflate) => entry.wire(deflate.slot(), |one| deflate.frame(OpCode::Text, &message(one))),
            },
            Item::Gap(gap) => {
                let one = Cursor::one(channel, gap.until);
                self::gap(channel, gap, cursor.as_ref().unwrap_or(&one))
            }
            Item::End(end) => {
                let one = Cursor::one(channel, *end);
                self::end(channel, *end, cursor.as_ref().unwrap_or(&one))
            }
        }));
    }
    units.extend(cursor.map(|cursor| unit(self::cursor(&cursor))));
}

fn json(value: &impl Serialize) -> Bytes {
    // Structs of strings and numbers always serialise.
    frame::text(&serde_json::to_vec(value).unwrap_or_default())
}
