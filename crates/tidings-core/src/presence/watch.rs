//! The members of a channel as they change, for those who asked to be told.
//!
//! One task for each watched channel, whatever the number of watchers: it
//! follows the companion log as a bell, folds the members again, and keeps the
//! newest version. A watcher has no queue: it holds the version that it was
//! told of, and what it is told next is the difference to the newest.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use parking_lot::Mutex;
use slab::Slab;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::broker::{Tail, answer};
use crate::error::Result;
use crate::feed::Bell;
use crate::log::Channel;

use super::{Present, RULES, Roster, Shared, companion};

/// The watched channels of a node.
#[derive(Default)]
pub(super) struct Watched(Mutex<HashMap<Channel, Arc<Watch>>>);

/// One watched channel. Its task ends with the last watcher.
struct Watch {
    channel: Channel,
    bells: Mutex<Slab<(Arc<Bell>, u32)>>,
    newest: Mutex<Arc<Version>>,
    task: Mutex<Option<AbortHandle>>,
}

/// The members at one time, and what became of the version before.
struct Version {
    number: u64,
    roster: Roster,
    change: Change,
}

/// Who came and who went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Members who came, and those of whom something else is said than before; oldest first.
    pub joined: Vec<Present>,
    /// Members who are gone, in the order of their names.
    pub left: Vec<Arc<str>>,
}

/// A watcher of one channel. Dropping it ends the watch.
pub struct Watcher {
    shared: Arc<Shared>,
    watch: Arc<Watch>,
    bell: usize,
    told: Arc<Version>,
}

/// Leases run out without a record: look again when the next one does, and after this, as clocks may be set.
const LOOK: Duration = Duration::from_secs(5);
/// A broker that fails is asked again after this.
const RETRY: Duration = Duration::from_secs(1);

impl Shared {
    /// Begins to watch a channel. `bell` rings for `number` when there is something to tell.
    pub(super) async fn watch(
        self: &Arc<Self>,
        channel: &Channel,
        bell: &Arc<Bell>,
        number: u32,
    ) -> Result<Watcher> {
        let roster = self.roster(channel).await?;
        let mut watched = self.watched.0.lock();
        let watch = watched.entry(channel.clone()).or_insert_with(|| {
            let first = Version { number: 0, roster, change: Change::default() };
            let watch = Arc::new(Watch {
                channel: channel.clone(),
                bells: Mutex::default(),
                newest: Mutex::new(Arc::new(first)),
                task: Mutex::default(),
            });
            let run = run(Arc::downgrade(self), watch.clone());
            *watch.task.lock() = Some(tokio::spawn(run).abort_handle());
            watch
        });
        let key = watch.bells.lock().insert((bell.clone(), number));
        let told = watch.newest.lock().clone();
        Ok(Watcher { shared: self.clone(), watch: watch.clone(), bell: key, told })
    }
}

/// Folds the members again at each record, until nobody watches or the node is gone.
async fn run(shared: Weak<Shared>, watch: Arc<Watch>) {
    let log = companion(&watch.channel);
    loop {
        let follow = async {
            let shared = shared.upgrade()?;
            answer(shared.broker.follow(&log, &RULES)).await.ok()
        };
        let mut tail: Option<Tail> = follow.await;
        loop {
            let Some(shared) = shared.upgrade() else { return };
            // A broker that does not answer changes nothing: the members stay as they were known.
            if let Ok(roster) = shared.roster(&watch.channel).await {
                watch.renew(roster);
            }
            let wait = shared.until_lease_ends().await.map_or(LOOK, |wait| wait.min(LOOK));
            drop(shared);
            let Some(tail) = &mut tail else { break };
            match timeout(wait, tail.items.next()).await {
                Ok(Some(_)) | Err(_) => {}
                Ok(None) => break,
            }
        }
        sleep(RETRY).await;
    }
}

impl Watch {
    fn renew(&self, roster: Roster) {
        let mut newest = self.newest.lock();
        let change = Change::between(&newest.roster, &roster);
        if change.is_empty() {
            return;
        }
        *newest = Arc::new(Version { number: newest.number + 1, roster, change });
        drop(newest);
        for (_, (bell, number)) in self.bells.lock().iter() {
            bell.ring(*number);
        }
    }
}

impl Watcher {
    /// The channel that is watched.
    pub fn channel(&self) -> &Channel {
        &self.watch.channel
    }

    /// The members as of what was told.
    pub fn roster(&self) -> &Roster {
        &self.told.roster
    }

    /// What happened since this was last asked.
    pub fn change(&mut self) -> Change {
        let newest = self.watch.newest.lock().clone();
        let change = match newest.number - self.told.number {
            0 => Change::default(),
            1 => newest.change.clone(),
            _ => Change::between(&self.told.roster, &newest.roster),
        };
        self.told = newest;
        change
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Under the lock under which watchers come, so that nobody joins a watch that ends.
        let mut watched = self.shared.watched.0.lock();
        let mut bells = self.watch.bells.lock();
        bells.try_remove(self.bell);
        if bells.is_empty() {
            watched.remove(&self.watch.channel);
            if let Some(task) = self.watch.task.lock().take() {
                task.abort();
            }
        }
    }
}

impl Change {
    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.joined.is_empty() && self.left.is_empty()
    }

    fn between(before: &Roster, after: &Roster) -> Self {
        let by_user = |roster: &Roster| -> BTreeMap<Arc<str>, Option<Box<str>>> {
            roster.members.iter().map(|one| (one.user.clone(), one.info.clone())).collect()
        };
        let (known, now) = (by_user(before), by_user(after));
        let is_new = |one: &&Present| known.get(&one.user) != Some(&one.info);
        Change {
            joined: after.members.iter().filter(is_new).cloned().collect(),
            left: known.into_keys().filter(|user| !now.contains_key(user)).collect(),
        }
    }
}
