//! Fuzz targets: what must hold of any bytes that a client sends. See [`tidings_core::fuzzing`].
//!
//! Each stands beside what it takes apart; here is the list, and what is of no door.

use serde_json::value::RawValue;
use tidings_core::fuzzing::Target;
use tidings_core::log::{Kind, Payload, Retain, Terms};
use tidings_core::{Code, Whom};

use crate::item::{Item, check_event, check_id, check_key};
use crate::revocation::order;
use crate::{channel, consumer};

pub use crate::http::fuzz::query;
pub use crate::publish::fuzz::{bodies, streams};
pub use crate::websocket::fuzz::{frames, websocket};

/// The targets of this crate, by the name of their folder in the corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("query", query),
    ("bodies", bodies),
    ("streams", streams),
    ("frames", frames),
    ("websocket", websocket),
];

/// The body of a revocation: it names one user or one token, or is refused as what it is.
pub(crate) fn revocation(data: &[u8]) {
    match order(data) {
        Ok((Whom::User(_) | Whom::Token(_), _)) => {
            assert!(serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok());
        }
        Err(error) => assert_eq!(error.code, Code::BadRevocation),
    }
}

/// The terms of a channel: they are within their bounds, or refused as what they are.
pub(crate) fn terms(data: &[u8]) {
    match channel::terms(data, Retain::LOG) {
        Ok(Terms { retain, ttl_ms }) => {
            assert!(retain.is_none_or(|retain| retain.messages >= 1 && retain.age_ms >= 100));
            assert!(ttl_ms.is_none_or(|ttl_ms| ttl_ms >= 1_000));
        }
        Err(error) => assert_eq!(error.code, Code::BadTerms),
    }
}

/// The body of an acknowledgement: it holds a cursor, or is refused as what it is.
pub(crate) fn acknowledgement(data: &[u8]) {
    match consumer::cursor(data) {
        Ok(cursor) => assert_eq!(cursor.to_string().parse().as_ref(), Ok(&cursor)),
        Err(error) => assert!(matches!(error.code, Code::BadJson | Code::BadCursor)),
    }
}

/// A message that was described in JSON: its names keep their rules.
pub(crate) fn described(item: &Item) {
    let ([event, key, id], payload) = item.parts();
    assert!(event.is_none_or(|event| check_event(event).is_ok()));
    assert!(key.is_none_or(|key| check_key(key).is_ok()));
    assert!(id.is_none_or(|id| check_id(id).is_ok()));
    holds(payload);
}

/// The codes with which a description of a message is refused.
pub(crate) fn refused(code: Code) {
    use Code::{BadBatch, BadChannel, BadEvent, BadFrame, BadId, BadJson, BadKey};
    let known = matches!(code, BadBatch | BadChannel | BadEvent | BadFrame | BadId | BadJson | BadKey);
    assert!(known, "refused as {code}");
}

/// A payload is what its kind says.
pub(crate) fn holds(payload: &Payload) {
    match payload.kind {
        Kind::Json => assert!(serde_json::from_slice::<&RawValue>(&payload.bytes).is_ok()),
        Kind::Text => assert!(std::str::from_utf8(&payload.bytes).is_ok()),
        Kind::Bytes => {}
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_kept_of_each_target_holds() {
        tidings_core::fuzzing::replay(super::TARGETS).unwrap();
    }
}
