//! What was given already: after a reconnect, the wire may repeat it.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// Kept from before the place to resume from.
const KEPT: usize = 128;

/// Kept at the most, if that place stays behind. Past this, the oldest may be given twice.
const KEPT_MAX: usize = 8192;

/// The cursors of the items that came last.
///
/// A resumed read repeats what came after the place from which it resumes: nothing, or with many
/// channels what came after the last composite cursor. So that is what must be remembered, and a
/// little more for a server that repeats itself. The names are kept, not hashes of them: a collision would lose a message silently.
#[derive(Debug, Default)]
pub(super) struct Seen {
    order: VecDeque<Arc<str>>,
    names: HashSet<Arc<str>>,
}

impl Seen {
    /// Notes an item; false if it was there.
    pub(super) fn add(&mut self, name: Arc<str>) -> bool {
        if !self.names.insert(Arc::clone(&name)) {
            return false;
        }
        self.order.push_back(name);
        self.trim(KEPT_MAX);
        true
    }

    /// A read would resume here: no more than a little need be kept.
    pub(super) fn settle(&mut self) {
        self.trim(KEPT);
    }

    fn trim(&mut self, most: usize) {
        while self.order.len() > most {
            if let Some(name) = self.order.pop_front() {
                self.names.remove(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_all_since_the_place_to_resume_from_within_its_bound() {
        let mut seen = Seen::default();
        for n in 0..1000 {
            assert!(seen.add(n.to_string().into()));
        }
        assert!(!seen.add("0".into()));
        seen.settle();
        assert!(seen.add("0".into()));
        assert!(!seen.add("999".into()));
        for n in 0..20_000 {
            seen.add(format!("x{n}").into());
        }
        assert_eq!((seen.order.len(), seen.names.len()), (KEPT_MAX, KEPT_MAX));
    }
}
