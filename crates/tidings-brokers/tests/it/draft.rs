//! What every broker is given: a draft, the name of a channel, and rules that keep everything.

use bytes::Bytes;
use tidings_core::log::{Below, Channel, Draft, Kind, Once, Payload, Retain, Rules};

pub const RULES: Rules = Rules {
    retain: Retain { messages: 1_000_000, age_ms: 3_600_000 },
    compact: false,
    dedupe_ms: 120_000,
    below: Below::Oldest,
    implicit: true,
    durable: true,
};

/// A text, whose id is the same and no idempotency key.
pub fn draft(text: &str) -> Draft {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    let payload = Payload { kind: Kind::Text, bytes };
    Draft { id: text.into(), once: Once::No, event: None, key: None, payload, from: None }
}

/// The same, stored once.
pub fn once(text: &str) -> Draft {
    Draft { once: Once::Id, ..draft(text) }
}

pub fn channel(name: &str) -> Channel {
    Channel::parse(name).unwrap()
}
