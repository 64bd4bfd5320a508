//! A message on its way out: encoded once for each wire, whatever the number of readers.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::log::Message;

/// Names one wire format. The node hands them out, so that the core names no wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(pub u8);

/// A message and the encodings that readers asked for so far.
#[derive(Debug)]
pub struct Entry {
    /// The message.
    pub message: Arc<Message>,
    wires: OnceLock<Box<Wire>>,
}

/// One encoding, and the next: a list that only grows, read without a lock.
#[derive(Debug)]
struct Wire {
    slot: Slot,
    bytes: Bytes,
    next: OnceLock<Box<Wire>>,
}

impl Entry {
    /// An entry that nobody has encoded yet.
    pub fn new(message: Arc<Message>) -> Self {
        Entry { message, wires: OnceLock::new() }
    }

    /// The message in one wire format; `encode` runs once for each slot.
    pub fn wire(&self, slot: Slot, encode: impl FnOnce(&Message) -> Bytes) -> Bytes {
        let mut encode = Some(encode);
        let mut place = &self.wires;
        loop {
            let wire = place.get_or_init(|| {
                let bytes = encode.take().map_or_else(Bytes::new, |encode| encode(&self.message));
                Box::new(Wire { slot, bytes, next: OnceLock::new() })
            });
            if wire.slot == slot {
                return wire.bytes.clone();
            }
            place = &wire.next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Channel, Kind, Payload, Position};

    #[test]
    fn each_slot_is_encoded_once() {
        let entry = Entry::new(Arc::new(Message {
            channel: Channel::parse("a").unwrap(),
            position: Position { epoch: 1, offset: 1 },
            id: "1".into(),
            event: None,
            key: None,
            payload: Payload { kind: Kind::Text, bytes: Bytes::from_static(b"x") },
            time_ms: 0,
            from: None,
        }));
        for round in 0..2 {
            for slot in 0..3u8 {
                let bytes = entry.wire(Slot(slot), |_| {
                    assert_eq!(round, 0, "encoded twice");
                    Bytes::from(vec![slot])
                });
                assert_eq!(&bytes[..], [slot]);
            }
        }
    }
}
