//! One lab: a channel, its publisher, and a lane for each transport.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};
use tidings_core::{Channel, Result};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::proxy::{Cut, Path, Refusal, Upstream};

use super::publisher::Publisher;
use super::wish::{Changes, Lane, Publishing};

/// A lab that is open. What it holds ends when this is dropped; its channel stays.
pub(super) struct Bench {
    id: String,
    channel: Channel,
    opened_ms: u64,
    lanes: BTreeMap<Lane, Path>,
    publishing: watch::Sender<Publishing>,
    stored: Arc<AtomicU64>,
    publisher: AbortHandle,
    looked: Mutex<Instant>,
}

/// What a page is told of its lab.
#[derive(Debug, Serialize)]
struct Status<'a> {
    id: &'a str,
    channel: &'a str,
    /// When it was opened, by the node's clock: another time is another lab, whose counts began anew.
    opened_ms: u64,
    /// The number of the newest message; they begin with 1.
    published: u64,
    publish: Publishing,
    lanes: BTreeMap<Lane, LaneStatus>,
}

/// A lane: where it is, what crossed it, and what is the matter with it.
#[derive(Debug, Serialize)]
struct LaneStatus {
    port: u16,
    /// Bytes from clients and to them, as TCP carried them: heads, bodies, frames.
    up: u64,
    down: u64,
    /// Connections that ever began, and those that are open.
    opened: u64,
    held: u64,
    offline: bool,
    blocks_upgrades: bool,
    buffers_streams: bool,
}

impl Bench {
    /// Opens lanes to the node, on these ports where they are named, and begins to publish.
    ///
    /// # Errors
    ///
    /// If a port is taken.
    pub(super) async fn open(
        id: String,
        publisher: Publisher,
        upstream: &Upstream,
        ports: &BTreeMap<Lane, u16>,
        publishing: Publishing,
    ) -> io::Result<Self> {
        let mut lanes = BTreeMap::new();
        for lane in Lane::ALL {
            let port = ports.get(&lane).copied().unwrap_or(0);
            lanes.insert(lane, Path::open_at(port, upstream.clone(), None).await?);
        }
        let (sender, told) = watch::channel(publishing);
        let (channel, stored) = (publisher.channel.clone(), publisher.stored.clone());
        let opened_ms = publisher.clock.now_ms();
        let publisher = tokio::spawn(publisher.run(told)).abort_handle();
        Ok(Self {
            id,
            channel,
            opened_ms,
            lanes,
            publishing: sender,
            stored,
            publisher,
            looked: Mutex::new(Instant::now()),
        })
    }

    /// Its channel.
    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Notes that somebody looks.
    pub(super) fn look(&self) {
        *self.looked.lock() = Instant::now();
    }

    /// How long nobody has looked.
    pub(super) fn unseen(&self) -> Duration {
        self.looked.lock().elapsed()
    }

    /// Makes changes: all of them, or none.
    pub(super) fn change(&self, changes: Changes) -> Result<()> {
        if let Some(publishing) = changes.publish {
            self.publishing.send_replace(publishing.checked()?);
        }
        let lanes = changes.lanes.unwrap_or(Lane::ALL.into());
        for lane in lanes {
            let Some(path) = self.lanes.get(&lane) else { continue };
            path.change(|condition| {
                let blocks = changes.block_upgrades;
                let begins_to_block = blocks == Some(true) && condition.refuses_upgrades.is_none();
                if changes.cut || (begins_to_block && lane == Lane::Ws) {
                    condition.cut = Cut { is_reset: true, is_midway: false };
                    condition.cuts = condition.cuts.wrapping_add(1);
                }
                condition.is_down = changes.offline.unwrap_or(condition.is_down);
                condition.holds_streams = changes.buffer_streams.unwrap_or(condition.holds_streams);
                if let Some(blocks) = blocks {
                    condition.refuses_upgrades = blocks.then_some(Refusal::Answer);
                }
            });
        }
        Ok(())
    }

    /// How it stands, as JSON.
    pub(super) fn status(&self) -> Value {
        let lane = |path: &Path| {
            let (tally, condition) = (path.tally(), path.condition());
            LaneStatus {
                port: path.address().port(),
                up: tally.up(),
                down: tally.down(),
                opened: tally.opened(),
                held: tally.held(),
                offline: condition.is_down,
                blocks_upgrades: condition.refuses_upgrades.is_some(),
                buffers_streams: condition.holds_streams,
            }
        };
        json!(Status {
            id: &self.id,
            channel: self.channel.as_str(),
            opened_ms: self.opened_ms,
            published: self.stored.load(Ordering::Relaxed),
            publish: *self.publishing.borrow(),
            lanes: self.lanes.iter().map(|(name, path)| (*name, lane(path))).collect(),
        })
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.publisher.abort();
    }
}
