//! Positions, and the opaque strings that stand for them outside.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::Channel;

/// The place just after one message of one log.
///
/// Offsets of one epoch only increase; they need not be dense, so they are
/// compared and never subtracted outside the broker that gave them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// Which life of the log; 0 is none.
    pub epoch: u64,
    /// Where in it; 0 is before the first message.
    pub offset: u64,
}

impl Position {
    /// Where a reader stands whose cursor nobody could read, until it is told so: in no life of
    /// any log. Who comes back with it is told then.
    pub const NOWHERE: Position = Position { epoch: 0, offset: 0 };
}

/// One string over one or many channels: a tag, an epoch and an offset for each.
///
/// Text form: 24 bytes a channel, big-endian, as 32 characters of base64url
/// (RFC 4648 section 5) without padding, one channel after the other. It is
/// compact, every part has the same width so that it can be patched in place,
/// and a cursor of one channel is a composite of one. So cursors may be joined by
/// writing one after the other, as docs/protocol.md promises; of two places in one
/// channel the later counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cursor(Vec<(u64, Position)>);

/// A string that no server of this kind gave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor: 32 characters of A-Z a-z 0-9 - _ for each of at most 100 channels")]
pub struct CursorError;

impl Cursor {
    /// Characters of each channel's part.
    pub const PART_CHARS: usize = 32;
    /// Most channels that one cursor covers.
    pub const CHANNELS_MAX: usize = 100;

    /// The cursor of one place in one channel.
    pub fn one(channel: &Channel, position: Position) -> Self {
        Cursor(vec![(channel.tag(), position)])
    }

    /// The composite of these places, in this order.
    pub fn composite<'a>(places: impl IntoIterator<Item = (&'a Channel, Position)>) -> Self {
        Cursor(places.into_iter().map(|(channel, position)| (channel.tag(), position)).collect())
    }

    /// The place it gives for a channel, if it covers it.
    pub fn get(&self, channel: &Channel) -> Option<Position> {
        let tag = channel.tag();
        self.0.iter().rev().find(|(t, _)| *t == tag).map(|(_, position)| *position)
    }

    /// Moves the place of a channel that it covers.
    pub fn set(&mut self, channel: &Channel, position: Position) {
        let tag = channel.tag();
        if let Some(part) = self.0.iter_mut().rev().find(|(t, _)| *t == tag) {
            part.1 = position;
        }
    }

    /// The text of one channel's part, for patching it into a composite.
    pub fn part(tag: u64, position: Position) -> [u8; Self::PART_CHARS] {
        let mut raw = [0; 24];
        raw[..8].copy_from_slice(&tag.to_be_bytes());
        raw[8..16].copy_from_slice(&position.epoch.to_be_bytes());
        raw[16..].copy_from_slice(&position.offset.to_be_bytes());
        let mut text = [0; Self::PART_CHARS];
        let written = URL_SAFE_NO_PAD.encode_slice(raw, &mut text);
        debug_assert!(written.is_ok_and(|n| n == Self::PART_CHARS));
        text
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let chars = text.as_bytes();
        if chars.is_empty() || !chars.len().is_multiple_of(Self::PART_CHARS) {
            return Err(CursorError);
        }
        if chars.len() / Self::PART_CHARS > Self::CHANNELS_MAX {
            return Err(CursorError);
        }
        let word = |raw: &[u8]| raw.iter().fold(0u64, |word, byte| (word << 8) | u64::from(*byte));
        let parts = chars.chunks_exact(Self::PART_CHARS).map(|part| {
            let raw = BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| CursorError)?;
            Ok((word(&raw[..8]), Position { epoch: word(&raw[8..16]), offset: word(&raw[16..]) }))
        });
        parts.collect::<Result<_, _>>().map(Cursor)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (tag, position) in &self.0 {
            let part = Self::part(*tag, *position);
            f.write_str(std::str::from_utf8(&part).map_err(|_| fmt::Error)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn channel(name: &str) -> Channel {
        Channel::parse(name).unwrap()
    }

    proptest! {
        #[test]
        fn text_round_trips(parts in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>()), 1..100)) {
            let cursor = Cursor(parts.into_iter().map(|(t, epoch, offset)| (t, Position { epoch, offset })).collect());
            let text = cursor.to_string();
            prop_assert_eq!(text.len(), 32 * cursor.0.len());
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert_eq!(text.parse::<Cursor>().unwrap(), cursor);
        }

        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = text.parse::<Cursor>();
        }
    }

    #[test]
    fn a_composite_covers_its_channels_and_no_other() {
        let (a, b) = (channel("a"), channel("b"));
        let at = |offset| Position { epoch: 7, offset };
        let cursor: Cursor = Cursor::composite([(&a, at(1)), (&b, at(2))]).to_string().parse().unwrap();
        assert_eq!(cursor.get(&a), Some(at(1)));
        assert_eq!(cursor.get(&b), Some(at(2)));
        assert_eq!(cursor.get(&channel("c")), None);
    }

    #[test]
    fn texts_are_joined_by_writing_one_after_the_other() {
        let (a, b) = (channel("a"), channel("b"));
        let at = |offset| Position { epoch: 7, offset };
        let both = Cursor::composite([(&a, at(1)), (&b, at(2))]);
        let newer = Cursor::one(&a, at(3));
        let mut joined: Cursor = format!("{both}{newer}").parse().unwrap();
        assert_eq!((joined.get(&a), joined.get(&b)), (Some(at(3)), Some(at(2))));
        joined.set(&a, at(4));
        assert_eq!(joined.get(&a), Some(at(4)));
        let older_last: Cursor = format!("{newer}{both}").parse().unwrap();
        assert_eq!(older_last.get(&a), Some(at(1)), "the later one, not the greater: epochs have no order");
    }

    #[test]
    fn wrong_texts_are_refused() {
        let good = Cursor::one(&channel("a"), Position { epoch: 1, offset: 1 }).to_string();
        for text in
            ["", "abc", "-", &good[1..], &format!("{good}x"), &good.replace('A', "+"), &good.repeat(101)]
        {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
        assert!(good.repeat(100).parse::<Cursor>().is_ok());
    }
}
