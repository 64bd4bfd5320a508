//! Fuzz targets of bodies: streams in any pieces, batches, single messages.

use bytes::Bytes;
use tidings_core::Code;
use tidings_core::fuzzing::pieces;
use tidings_core::log::{Kind, Payload};

use super::batch;
use super::events::Events;
use super::lines::Lines;
use super::stream::{Piece, Split};
use crate::fuzzing::{described, holds, refused, revocation};
use crate::item::check_event;

/// What a body becomes: its messages, and why it ends before its end, or whether within a message.
type Outcome = (Vec<(Option<Box<str>>, Kind, Bytes)>, Result<bool, Code>);

/// A body that publishes as it arrives. The first byte says whether it holds lines or events, and how
/// large a message may be; the second, in which pieces it arrives.
pub fn streams(data: &[u8]) {
    let [how, seed, body @ ..] = data else { return };
    let max = [8, 40, 200, 4_000][usize::from(how >> 1 & 3)];
    let (whole, in_pieces) = match how & 1 {
        0 => (run(Lines::new(max), [body]), run(Lines::new(max), pieces(body, *seed))),
        _ => (run(Events::new(max), [body]), run(Events::new(max), pieces(body, *seed))),
    };
    assert_eq!(whole, in_pieces, "what a body becomes is not for the network to choose");
    for (event, kind, bytes) in &whole.0 {
        assert!(bytes.len() <= max, "a message of {} bytes, of at most {max}", bytes.len());
        if let Some(event) = event {
            assert!(check_event(event).is_ok(), "{event:?}");
        }
        holds(&Payload { kind: *kind, bytes: bytes.clone() });
    }
}

fn run<'a>(mut split: impl Split, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut out = Vec::new();
    let ended = pieces.into_iter().try_for_each(|piece| split.push(piece, &mut out));
    let is_within = split.is_within();
    let ended = ended.and_then(|()| split.end(&mut out)).map(|()| is_within);
    let out = out.into_iter().map(|Piece { event, payload }| (event, payload.kind, payload.bytes));
    (out.collect(), ended.map_err(|error| error.code))
}

/// A body that is whole: a batch, a single message of each kind, and a revocation.
pub fn bodies(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    match batch::messages(&body, 1_000) {
        Ok(messages) => {
            assert!(messages.len() <= 1_000);
            for message in messages {
                match batch::item(&body, message) {
                    Ok((channel, item)) => {
                        assert_eq!(item.channel.as_ref(), Some(&channel));
                        described(&item);
                    }
                    Err(error) => refused(error.code),
                }
            }
        }
        Err(error) => assert_eq!(error.code, Code::BadBatch),
    }
    for kind in [Kind::Json, Kind::Text, Kind::Bytes] {
        match super::payload(kind, body.clone()) {
            Ok(payload) => {
                assert_eq!(payload.bytes, body, "stored to the letter");
                holds(&payload);
            }
            Err(error) => assert!(matches!(error.code, Code::BadJson | Code::BadText)),
        }
    }
    revocation(data);
}
