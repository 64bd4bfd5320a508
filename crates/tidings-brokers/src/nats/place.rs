//! Places in a log, packed into one number.
//!
//! The upper 48 bits are the message's sequence in the stream, which orders a log. Below it is the
//! message's number in its channel, 15 bits of it, and whether that is known: so a gap is counted
//! though what lay in it is gone.

use tidings_core::log::Position;

/// The place just after one message, or before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    /// The sequence in the stream; 0 before the first.
    pub(super) seq: u64,
    /// How many messages the channel had then.
    pub(super) number: u64,
}

const SEQ_SHIFT: u32 = 16;
const IS_KNOWN: u64 = 1 << 15;
const NUMBER: u64 = IS_KNOWN - 1;

impl Place {
    pub(super) fn position(self, epoch: u64) -> Position {
        let number = if self.seq == 0 { 0 } else { IS_KNOWN | (self.number & NUMBER) };
        Position { epoch, offset: self.seq << SEQ_SHIFT | number }
    }
}

/// The place of a message whose number is lost.
pub(super) fn without_number(seq: u64, epoch: u64) -> Position {
    Position { epoch, offset: seq << SEQ_SHIFT }
}

/// The sequence of a position.
pub(super) fn seq_of(position: Position) -> u64 {
    position.offset >> SEQ_SHIFT
}

/// How many messages lie between a position and a later place, where it can be told.
pub(super) fn missed(after: Position, until: Place) -> Option<u64> {
    let seq = seq_of(after);
    if seq == 0 {
        return Some(until.number);
    }
    let is_known = after.offset & IS_KNOWN != 0;
    // Numbers grow no faster than sequences.
    (is_known && until.seq.saturating_sub(seq) <= NUMBER)
        .then(|| (until.number & NUMBER).wrapping_sub(after.offset & NUMBER) & NUMBER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_counted_where_they_can_be() {
        let place = |seq, number| Place { seq, number };
        assert_eq!(place(0, 0).position(7).offset, 0);
        let after = place(90_000, 32_760).position(7);
        assert_eq!(seq_of(after), 90_000);
        assert_eq!(missed(after, place(90_100, 32_775)), Some(15));
        assert_eq!(missed(after, place(90_000, 32_760)), Some(0));
        assert_eq!(missed(after, place(190_000, 40_000)), None, "it may be more than fits");
        assert_eq!(missed(Position { epoch: 7, offset: 0 }, place(190_000, 40_000)), Some(40_000));
        assert_eq!(missed(without_number(90_000, 7), place(90_100, 1)), None);
        assert!(after.offset < place(90_001, 32_761).position(7).offset);
    }
}
