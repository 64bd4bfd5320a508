//! What must hold of any frame of the session protocol.

use bytes::Bytes;
use serde_json::value::RawValue;
use tidings_core::{Code, From};

use super::reply;
use super::request::{Ask, Request, Unreadable};
use crate::fuzzing::{described, refused};

/// A frame is read with all its bounds, or refused with the id that it had.
pub(crate) fn request(text: &Bytes) {
    match Request::read(text) {
        Ok(Request { id, ask, .. }) => {
            assert!(ask.is_none() || id.is_some(), "who asks is answered by id");
            id.as_deref().into_iter().for_each(short);
            match ask {
                Some(Ask::History { from, limit, .. }) => {
                    assert!(limit <= 1_000);
                    assert!(!matches!(from, From::Last(1_001..)));
                }
                Some(Ask::Publish { channel, item }) => {
                    assert_eq!(item.channel.as_ref(), Some(&channel));
                    described(&item);
                }
                _ => {}
            }
        }
        Err(Unreadable { id, error }) => {
            if !matches!(error.code, Code::BadQuery | Code::BadCursor) {
                refused(error.code);
            }
            id.as_deref().into_iter().for_each(short);
            // Two bytes of a header, or four where the payload is longer than 125.
            let said = reply::error(id.as_deref(), error);
            let payload = &said[if said.get(1) == Some(&126) { 4 } else { 2 }..];
            let said: Result<serde_json::Value, _> = serde_json::from_slice(payload);
            assert!(said.is_ok_and(|said| said["error"]["code"].is_string()), "a refusal is JSON");
        }
    }
}

/// An id is sent back: it is short, and a string or a whole number.
fn short(id: &RawValue) {
    assert!(id.get().len() <= 64);
    let value: Result<serde_json::Value, _> = serde_json::from_str(id.get());
    // A number of 64 digits is one, but none of ours.
    assert!(value.is_ok_and(|value| value.is_string() || value.is_number()), "{id}");
}
