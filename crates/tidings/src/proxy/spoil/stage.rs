//! What becomes of each item, whatever it is made of.

use super::{Break, Spoiler};

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A message.
    Message,
    /// A gap.
    Gap,
    /// What is left alone.
    Other,
}

/// The items of one connection. Holds one back, to let the next go first.
#[derive(Debug)]
pub struct Stage {
    spoiler: Spoiler,
    held: Option<Vec<u8>>,
}

impl Stage {
    /// Before the first item.
    pub fn new(spoiler: Spoiler) -> Self {
        Self { spoiler, held: None }
    }

    /// Gives what goes on in the place of an item: nothing, the item, or two. `again` makes the same message
    /// with another cursor.
    pub fn take(&mut self, kind: Kind, item: Vec<u8>, again: impl Fn(&[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
        if kind == Kind::Gap && self.spoiler.mode == Break::HideGap {
            self.spoiler.count();
            return Vec::new();
        }
        if kind != Kind::Message {
            return vec![item];
        }
        if let Some(held) = self.held.take() {
            self.spoiler.count();
            return vec![item, held];
        }
        if self.spoiler.mode == Break::HideGap || !self.spoiler.is_due() {
            return vec![item];
        }
        match self.spoiler.mode {
            Break::Reorder => {
                self.held = Some(item);
                Vec::new()
            }
            Break::Drop => {
                self.spoiler.count();
                Vec::new()
            }
            Break::Repeat => {
                self.spoiler.count();
                let again = again(&item);
                vec![item, again]
            }
            Break::HideGap => vec![item],
        }
    }
}

/// The same text with another cursor: what stands between `before` and `after` ends in another character.
pub fn with_other_cursor(text: &[u8], before: &[u8], after: u8) -> Vec<u8> {
    let mut other = text.to_vec();
    let begin = text.windows(before.len()).position(|part| part == before).map(|at| at + before.len());
    let end = begin.and_then(|begin| Some(begin + text[begin..].iter().position(|byte| *byte == after)?));
    if let (Some(begin), Some(end)) = (begin, end)
        && let Some(last) = other.get_mut(begin..end).and_then(<[u8]>::last_mut)
    {
        *last = if *last == b'_' { b'-' } else { b'_' };
    }
    other
}
