//! The channels that this node writes to: one append at a time each, and what is known of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use tidings_core::log::Channel;
use tokio::sync::{Mutex, MutexGuard};

use super::index::Index;
use super::once::Progress;
use super::state::State;

/// Channels in use, by name.
#[derive(Debug, Default)]
pub(super) struct Slots {
    shards: [RwLock<HashMap<Channel, Arc<Slot>>>; SHARDS],
}

/// One channel in use.
#[derive(Debug, Default)]
pub(super) struct Slot {
    inside: Mutex<Inside>,
    /// Its newest record that this node has seen.
    seen: AtomicU64,
}

/// What the one who appends knows.
#[derive(Debug, Default)]
pub(super) struct Inside {
    /// As this node left it. Where another node has written since, the server refuses what builds on it.
    pub(super) state: Option<State>,
    /// Of a compacted channel.
    pub(super) index: Option<Index>,
    /// Of the streamed publish that came last.
    pub(super) progress: Option<Progress>,
    /// Messages since what is beyond the retention was purged.
    pub(super) unpurged: u64,
}

const SHARDS: usize = 32;
/// Channels in a shard that nobody has in hand.
const IDLE_MAX: usize = 1_024;

impl Slots {
    pub(super) fn slot(&self, channel: &Channel) -> Arc<Slot> {
        let shard = &self.shards[usize::try_from(channel.tag() >> 48).unwrap_or(0) % SHARDS];
        if let Some(slot) = shard.read().get(channel) {
            return slot.clone();
        }
        let mut shard = shard.write();
        if shard.len() >= IDLE_MAX && shard.len().is_power_of_two() {
            shard.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        shard.entry(channel.clone()).or_default().clone()
    }

    /// Nothing is known of the channels of a namespace any more: its stream is another one.
    pub(super) fn forget(&self, namespace: &str) {
        for shard in &self.shards {
            shard.write().retain(|channel, _| channel.namespace() != namespace);
        }
    }
}

impl Slot {
    pub(super) async fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().await
    }

    pub(super) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    pub(super) fn saw(&self, seq: u64) {
        self.seen.fetch_max(seq, Ordering::Relaxed);
    }
}

impl Inside {
    /// What is known may not be so: look again.
    pub(super) fn forget(&mut self) {
        self.state = None;
        self.progress = None;
    }
}
