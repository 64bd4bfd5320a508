//! The channels in use: their bounds, and who follows them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard, RwLock};
use rusqlite::Connection;
use tidings_core::broker::BrokerError;
use tidings_core::log::{Channel, Message};
use tokio::sync::mpsc;

use super::life::Life;
use super::state::State;

/// Channels whose bounds are in memory, by name.
#[derive(Debug, Default)]
pub(super) struct Slots {
    shards: [RwLock<HashMap<Channel, Arc<Slot>>>; SHARDS],
}

/// One channel in use.
#[derive(Debug, Default)]
pub(super) struct Slot {
    inside: Mutex<Inside>,
}

/// What its lock guards.
#[derive(Debug, Default)]
pub(super) struct Inside {
    /// What holds for readers: all of it is on disk. `None` until it was looked up.
    state: Option<State>,
    followers: Vec<Follower>,
}

/// What a follower is told.
#[derive(Debug)]
pub(super) enum Fresh {
    /// A message was stored.
    Message(Arc<Message>),
    /// The log was deleted, and its tails end.
    Epoch,
}

#[derive(Debug)]
struct Follower {
    /// The end of the log when it began.
    from: u64,
    items: mpsc::Sender<Arc<Message>>,
}

const SHARDS: usize = 32;
/// Channels of a shard that nobody follows; 300 bytes or so of memory each, beside the name.
const IDLE_MAX: usize = 4_096;

impl Slots {
    /// The channel, which may be new to this life.
    pub(super) fn slot(&self, channel: &Channel) -> Arc<Slot> {
        let shard = &self.shards[usize::try_from(channel.tag() >> 48).unwrap_or(0) % SHARDS];
        if let Some(slot) = shard.read().get(channel) {
            return slot.clone();
        }
        let mut shard = shard.write();
        if shard.len() >= IDLE_MAX && shard.len().is_power_of_two() {
            // Who holds a slot may be about to change it, and then nobody else may look the channel up.
            shard.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.lock().is_followed());
        }
        shard.entry(channel.clone()).or_default().clone()
    }

    /// Ends all tails.
    pub(super) fn let_go(&self) {
        for shard in &self.shards {
            for slot in shard.read().values() {
                slot.lock().followers.clear();
            }
        }
    }
}

impl Slot {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock()
    }
}

impl Inside {
    /// The bounds, looked up if they are not known.
    pub(super) fn state(
        &mut self,
        store: &Connection,
        channel: &Channel,
        life: &Life,
    ) -> Result<&mut State, BrokerError> {
        if self.state.is_none() {
            self.state = Some(State::load(store, channel, life)?);
        }
        self.state.as_mut().ok_or_else(|| BrokerError::Lost("no state".into()))
    }

    /// What holds now, if it was looked up.
    pub(super) fn known(&mut self) -> Option<&mut State> {
        self.state.as_mut()
    }

    /// What holds from now on, and what came with it.
    pub(super) fn advance(&mut self, state: State, fresh: &[Fresh]) {
        self.state = Some(state);
        for fresh in fresh {
            let Fresh::Message(message) = fresh else {
                self.followers.clear();
                continue;
            };
            // A follower whose queue is full is let go: its tail ends, and it reads the log from there.
            self.followers.retain(|follower| {
                message.position.offset <= follower.from || follower.items.try_send(message.clone()).is_ok()
            });
        }
    }

    /// Gives what comes after the end of the log to someone.
    pub(super) fn follow(&mut self, from: u64, items: mpsc::Sender<Arc<Message>>) {
        self.followers.retain(|follower| !follower.items.is_closed());
        self.followers.push(Follower { from, items });
    }

    fn is_followed(&self) -> bool {
        self.followers.iter().any(|follower| !follower.items.is_closed())
    }
}
