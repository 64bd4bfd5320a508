//! The messages of one channel that wait for their turn to go out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::feed::Entry;

/// Messages by their place, of one epoch. Where it conflates, a newer message takes the place of the one with
/// its key; one without a key waits for itself.
#[derive(Debug)]
pub(super) struct Waiting {
    conflate: bool,
    by_place: BTreeMap<u64, Held>,
    /// The place of the newest message of each key.
    newest: HashMap<Box<str>, u64>,
    weight: usize,
    /// How many have gone out.
    sent: u64,
}

#[derive(Debug)]
struct Held {
    entry: Arc<Entry>,
    /// How many had gone out when its key began to wait.
    since: u64,
}

/// Messages that wait for a paced reader, and their bytes of memory, but for a first one that is larger.
const PACED: (usize, usize) = (64, 64 * 1024);
/// The same where they are conflated: so many keys can each have their newest message in it.
const CONFLATED: (usize, usize) = (1_024, 1 << 20);

impl Waiting {
    /// Nothing waits yet.
    pub(super) fn new(conflate: bool) -> Self {
        Waiting { conflate, by_place: BTreeMap::new(), newest: HashMap::new(), weight: 0, sent: 0 }
    }

    /// Whether there is room for one more. There always is for the first.
    pub(super) fn has_room(&self) -> bool {
        let (messages, bytes) = if self.conflate { CONFLATED } else { PACED };
        self.by_place.is_empty() || self.by_place.len() < messages && self.weight < bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_place.is_empty()
    }

    /// Bytes of memory that it holds.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// The one whose turn is next.
    pub(super) fn first(&self) -> Option<&Arc<Entry>> {
        self.by_place.first_key_value().map(|(_, held)| &held.entry)
    }

    /// Adds one that follows all that came before.
    pub(super) fn push(&mut self, entry: Arc<Entry>) {
        let place = entry.message.position.offset;
        let mut since = self.sent;
        if let Some(key) = entry.message.key.as_deref().filter(|_| self.conflate) {
            match self.newest.get_mut(key) {
                Some(newest) => {
                    let replaced = std::mem::replace(newest, place);
                    since = self.replace(replaced).unwrap_or(since);
                }
                None => {
                    self.newest.insert(key.into(), place);
                }
            }
        }
        self.weight += entry.message.weight();
        self.by_place.insert(place, Held { entry, since });
    }

    /// Forgets one that is replaced, and says since when its key waits.
    ///
    /// What replaces it goes behind all others. So a key that changes all the time would never have its turn
    /// where others change, too: once it has waited for twice as many as wait now, it keeps its turn.
    fn replace(&mut self, place: u64) -> Option<u64> {
        let since = self.by_place.get(&place)?.since;
        let patience = 2 * self.by_place.len() as u64 + 2;
        if self.sent - since >= patience {
            return None;
        }
        let replaced = self.by_place.remove(&place)?;
        self.weight -= replaced.entry.message.weight();
        Some(since)
    }

    /// Forgets the first, which has begun to go out, if it stands at this place.
    pub(super) fn sent(&mut self, place: u64) {
        let Some(first) = self.by_place.first_entry().filter(|first| *first.key() == place) else { return };
        let message = first.remove().entry.message.clone();
        self.sent += 1;
        self.weight -= message.weight();
        if let Some(key) = &message.key
            && self.newest.get(key) == Some(&place)
        {
            self.newest.remove(key);
        }
        if self.by_place.is_empty() {
            // A burst must not hold its memory for ever.
            self.newest = HashMap::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Channel, Kind, Message, Payload, Position};

    fn push(waiting: &mut Waiting, offset: u64, key: &str) {
        waiting.push(Arc::new(Entry::new(Arc::new(Message {
            channel: Channel::parse("a").unwrap(),
            position: Position { epoch: 1, offset },
            id: "1".into(),
            event: None,
            key: (!key.is_empty()).then(|| key.into()),
            payload: Payload { kind: Kind::Text, bytes: bytes::Bytes::from_static(b"x") },
            time_ms: 0,
            from: None,
        }))));
    }

    fn send(waiting: &mut Waiting) -> Option<u64> {
        let place = waiting.first()?.message.position.offset;
        waiting.sent(place);
        Some(place)
    }

    #[test]
    fn the_newest_of_each_key_waits_and_all_without_a_key() {
        let mut waiting = Waiting::new(true);
        for (offset, key) in (1..).zip(["a", "b", "", "a", "c", "", "b"]) {
            push(&mut waiting, offset, key);
        }
        let sent: Vec<_> = std::iter::from_fn(|| send(&mut waiting)).collect();
        assert_eq!(sent, [3, 4, 5, 6, 7]);
        assert_eq!((waiting.weight(), waiting.newest.len()), (0, 0));
        let mut all = Waiting::new(false);
        (1..=3).for_each(|offset| push(&mut all, offset, "a"));
        assert_eq!(std::iter::from_fn(|| send(&mut all)).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn a_key_that_changes_all_the_time_has_its_turn() {
        let mut waiting = Waiting::new(true);
        let (mut offset, mut of_busy) = (0, 0);
        for round in 0..200 {
            // Ten others have news at each turn; the busy key has more, and always behind them.
            for other in 0..10 {
                offset += 1;
                push(&mut waiting, offset, &format!("{}", (round + other) % 40));
            }
            for _ in 0..10 {
                offset += 1;
                push(&mut waiting, offset, "busy");
            }
            let first = waiting.first().unwrap();
            of_busy += u32::from(first.message.key.as_deref() == Some("busy"));
            send(&mut waiting);
        }
        assert!(of_busy >= 1, "it never had its turn");
    }

    #[test]
    fn a_key_alone_is_always_the_newest() {
        let mut waiting = Waiting::new(true);
        for round in 0..100 {
            (0..50).for_each(|n| push(&mut waiting, round * 50 + n, "a"));
            assert_eq!(send(&mut waiting), Some(round * 50 + 49));
            assert!(waiting.is_empty());
        }
    }

    #[test]
    fn what_waits_has_a_bound() {
        for conflate in [false, true] {
            let mut waiting = Waiting::new(conflate);
            let mut offset = 0;
            while waiting.has_room() {
                offset += 1;
                push(&mut waiting, offset, &offset.to_string());
            }
            assert!((1..=1_024).contains(&offset));
        }
    }
}
