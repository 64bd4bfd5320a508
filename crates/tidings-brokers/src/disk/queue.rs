//! What waits for the thread that writes.
//!
//! It is woken when there is enough for a transaction, not for each that comes: to wake a thread
//! costs as much as to store a message.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::time::Instant;

/// A queue that is emptied in batches.
pub(super) struct Queue<T> {
    inside: Mutex<Inside<T>>,
    enough: Condvar,
}

struct Inside<T> {
    waiting: VecDeque<T>,
    /// How many must wait before the one who takes them is woken.
    wanted: usize,
    closed: bool,
}

/// How much a batch may hold.
pub(super) struct Most {
    pub(super) items: usize,
    /// By the sizes of the items; the first is taken, whatever its size.
    pub(super) size: usize,
}

impl<T> std::fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("waiting", &self.inside.lock().waiting.len()).finish_non_exhaustive()
    }
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        let inside = Inside { waiting: VecDeque::new(), wanted: 1, closed: false };
        Queue { inside: Mutex::new(inside), enough: Condvar::new() }
    }

    /// Adds one; false where nobody takes any more.
    pub(super) fn push(&self, item: T) -> bool {
        let mut inside = self.inside.lock();
        if inside.closed {
            return false;
        }
        inside.waiting.push_back(item);
        let enough = inside.waiting.len() == inside.wanted;
        drop(inside);
        if enough {
            self.enough.notify_one();
        }
        true
    }

    /// Takes no more. What waits is still given.
    pub(super) fn close(&self) {
        self.inside.lock().closed = true;
        self.enough.notify_one();
    }

    /// Drops what waits, and takes no more.
    pub(super) fn end(&self) {
        let mut inside = self.inside.lock();
        inside.closed = true;
        let waiting = std::mem::take(&mut inside.waiting);
        drop(inside);
        drop(waiting);
    }

    /// Waits for a first one, and then a little for as many as are expected. Nothing came where it
    /// is empty; `None` once it is closed and nothing waits.
    pub(super) fn take(
        &self,
        patience: Duration,
        expected: usize,
        gather: Duration,
        most: &Most,
        size: impl Fn(&T) -> usize,
    ) -> Option<Vec<T>> {
        let mut inside = self.inside.lock();
        for (wanted, time) in [(1, patience), (expected.min(most.items), gather)] {
            inside.wanted = wanted;
            let until = Instant::now() + time;
            while inside.waiting.len() < wanted && !inside.closed {
                if self.enough.wait_until(&mut inside, until.into_std()).timed_out() {
                    break;
                }
            }
            if inside.waiting.is_empty() {
                break;
            }
        }
        inside.wanted = 1;
        if inside.waiting.is_empty() {
            return (!inside.closed).then(Vec::new);
        }
        let (mut batch, mut left) = (Vec::with_capacity(inside.waiting.len().min(most.items)), most.size);
        while batch.len() < most.items && left > 0 {
            let Some(item) = inside.waiting.pop_front() else { break };
            left = left.saturating_sub(size(&item));
            batch.push(item);
        }
        Some(batch)
    }
}
