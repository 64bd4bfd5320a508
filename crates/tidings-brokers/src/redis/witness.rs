//! What this node has seen to be stored: it notices if a server comes back with less.

use std::sync::Arc;

use parking_lot::Mutex;

use super::name::{BUCKETS, Bucket};

/// The newest that was seen of each bucket.
#[derive(Debug)]
pub(super) struct Witness {
    seen: Mutex<Vec<Option<Seen>>>,
}

/// How much a bucket had stored, in which life, on which run of its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) life: u64,
    pub(super) run: Arc<str>,
    pub(super) count: u64,
}

impl Witness {
    pub(super) fn new() -> Self {
        Witness { seen: Mutex::new(vec![None; usize::from(BUCKETS)]) }
    }

    pub(super) fn of(&self, bucket: Bucket) -> Option<Seen> {
        self.seen.lock().get(bucket.index()).cloned().flatten()
    }

    /// The buckets that something was seen of.
    pub(super) fn buckets(&self) -> Vec<Bucket> {
        let seen = self.seen.lock();
        Bucket::all().filter(|bucket| seen.get(bucket.index()).is_some_and(Option::is_some)).collect()
    }

    /// Notes what an answer or an announcement said.
    pub(super) fn note(&self, bucket: Bucket, now: &Seen) {
        let mut seen = self.seen.lock();
        let Some(seen) = seen.get_mut(bucket.index()) else { return };
        match seen {
            // Answers may overtake each other.
            Some(before) if (before.life, &before.run) == (now.life, &now.run) => {
                before.count = before.count.max(now.count);
            }
            _ => *seen = Some(now.clone()),
        }
    }
}
