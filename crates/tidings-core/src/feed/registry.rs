//! The feeds of a node: each starts at its first reader and ends some time after its last.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::broker::Broker;
use crate::log::{Channel, Rules};

use super::{Bell, Feed};

/// A feed ends this long after its last reader left.
const IDLE: Duration = Duration::from_secs(60);

/// Every live feed of a node.
#[derive(Clone)]
pub(crate) struct Feeds {
    shared: Arc<Shared>,
}

struct Shared {
    broker: Arc<dyn Broker>,
    max: usize,
    live: Mutex<HashMap<Channel, Live>>,
}

struct Live {
    feed: Arc<Feed>,
    readers: usize,
    idle_since: Instant,
    task: tokio::task::AbortHandle,
}

/// A reader's share in a feed. Dropping it leaves the feed.
pub(crate) struct Lease {
    pub(crate) feed: Arc<Feed>,
    feeds: Feeds,
    key: usize,
}

impl Feeds {
    /// No feeds yet; at most `max` at once, of which those without readers go first.
    pub(crate) fn new(broker: Arc<dyn Broker>, max: usize) -> Self {
        Feeds { shared: Arc::new(Shared { broker, max, live: Mutex::default() }) }
    }

    /// How many feeds live.
    pub(crate) fn len(&self) -> usize {
        self.shared.live.lock().len()
    }

    /// Joins the feed of a channel, which starts if it does not live. `None`: as many as may live have readers.
    pub(crate) fn join(
        &self,
        channel: &Channel,
        rules: Rules,
        bell: &Arc<Bell>,
        reader: u32,
    ) -> Option<Lease> {
        let feed = {
            let mut live = self.shared.live.lock();
            if !live.contains_key(channel) && live.len() >= self.shared.max {
                end_least_recently_used(&mut live)?;
            }
            let entry = live.entry(channel.clone()).or_insert_with(|| self.start(channel, rules));
            entry.readers += 1;
            entry.feed.clone()
        };
        let key = feed.join(bell, reader);
        Some(Lease { feed, feeds: self.clone(), key })
    }

    fn start(&self, channel: &Channel, rules: Rules) -> Live {
        let feed = Arc::new(Feed::new(channel.clone(), rules));
        let feeds = self.clone();
        let run = feed.clone().run(self.shared.broker.clone(), move |feed| feeds.end_if_idle(feed));
        let task = tokio::spawn(run).abort_handle();
        Live { feed, readers: 0, idle_since: Instant::now(), task }
    }

    /// Whether a feed may end. Under the same lock as [`Feeds::join`], so that no reader joins a feed that ends.
    fn end_if_idle(&self, feed: &Feed) -> bool {
        let mut live = self.shared.live.lock();
        let ends = match live.get(&feed.channel) {
            Some(entry) if std::ptr::eq(&*entry.feed, feed) => {
                entry.readers == 0 && entry.idle_since.elapsed() >= IDLE
            }
            _ => return true,
        };
        if ends {
            live.remove(&feed.channel);
        }
        ends
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.feed.leave(self.key);
        let mut live = self.feeds.shared.live.lock();
        if let Some(entry) = live.get_mut(&self.feed.channel)
            && Arc::ptr_eq(&entry.feed, &self.feed)
        {
            entry.readers -= 1;
            entry.idle_since = Instant::now();
        }
    }
}

fn end_least_recently_used(live: &mut HashMap<Channel, Live>) -> Option<()> {
    let idle = live.iter().filter(|(_, entry)| entry.readers == 0);
    let channel = idle.min_by_key(|(channel, entry)| (entry.idle_since, (*channel).clone()))?.0.clone();
    live.remove(&channel)?.task.abort();
    Some(())
}
