//! The channels that this node follows on one server: one subscription a channel, whatever the
//! number of its followers, and none once the last has left.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, Value};
use tidings_core::broker::BrokerError;
use tidings_core::log::Channel;
use tokio::sync::{Notify, mpsc, oneshot};

use super::fault;
use super::name::{Bucket, Names};
use super::value::Announcement;
use super::witness::{Seen, Witness};

/// What is followed on one server.
#[derive(Debug)]
pub(super) struct Topics {
    names: Names,
    witness: Arc<Witness>,
    table: Mutex<Table>,
    /// Something in the table waits to be asked of the server.
    asked: Notify,
}

/// One connection that brings announcements.
#[derive(Debug)]
pub(super) struct Inbox {
    number: u64,
    topics: Arc<Topics>,
    /// Told when it is of no use any more.
    pub(super) broken: Notify,
}

#[derive(Debug, Default)]
struct Table {
    topics: HashMap<Channel, Topic>,
    /// Those whose subscription may have to change. Each is in `topics` at the time.
    changed: Vec<Channel>,
    /// Followers, and connections, that there have been.
    followers: u64,
    connections: u64,
    /// The connection that is subscribed on, and the run of its server.
    open: Option<(u64, Arc<str>)>,
}

#[derive(Debug, Default)]
struct Topic {
    followers: Vec<Follower>,
    is_subscribed: bool,
    /// The server has been asked to end the subscription.
    is_leaving: bool,
}

#[derive(Debug)]
struct Follower {
    number: u64,
    items: mpsc::Sender<Arc<Announcement>>,
    /// Told once the subscription holds.
    holds: Option<oneshot::Sender<()>>,
}

/// A follower's share in a subscription. Dropping it gives the share up.
#[derive(Debug)]
pub(super) struct Following {
    pub(super) items: mpsc::Receiver<Arc<Announcement>>,
    channel: Channel,
    number: u64,
    topics: Arc<Topics>,
}

/// Announcements that wait for a feed; one that is further behind reads the log instead.
const ANNOUNCEMENTS: usize = 512;
/// Subscriptions that are asked for at once.
const AT_ONCE: usize = 256;

impl Topics {
    pub(super) fn new(names: Names, witness: Arc<Witness>) -> Self {
        Topics { names, witness, table: Mutex::default(), asked: Notify::new() }
    }

    /// Follows a channel. Once this returns, nothing that is announced is missed.
    pub(super) async fn follow(self: &Arc<Self>, channel: &Channel) -> Result<Following, BrokerError> {
        let gone = || BrokerError::Unavailable("the connection to the server is gone".into());
        let (items, received) = mpsc::channel(ANNOUNCEMENTS);
        let (holds, held) = oneshot::channel();
        let following = {
            let mut table = self.table.lock();
            if table.open.is_none() {
                return Err(gone());
            }
            table.followers += 1;
            let number = table.followers;
            let topic = table.topics.entry(channel.clone()).or_default();
            let holds = if topic.is_subscribed {
                let _ = holds.send(());
                None
            } else {
                Some(holds)
            };
            let is_first = topic.followers.is_empty();
            topic.followers.push(Follower { number, items, holds });
            if is_first {
                table.changed.push(channel.clone());
            }
            Following { items: received, channel: channel.clone(), number, topics: self.clone() }
        };
        self.asked.notify_one();
        held.await.map_err(|_gone| gone())?;
        Ok(following)
    }

    /// For a new connection.
    pub(super) fn inbox(self: &Arc<Self>) -> Arc<Inbox> {
        let mut table = self.table.lock();
        table.connections += 1;
        Arc::new(Inbox { number: table.connections, topics: self.clone(), broken: Notify::new() })
    }

    /// Takes subscriptions over a connection from now on.
    pub(super) fn open(&self, inbox: &Inbox, run: Arc<str>) {
        self.table.lock().open = Some((inbox.number, run));
    }

    /// Ends everything that is followed.
    pub(super) fn close(&self) {
        let mut table = self.table.lock();
        table.topics.clear();
        table.changed.clear();
        table.open = None;
    }

    /// Asks the server for what the table wants, until the connection fails.
    pub(super) async fn keep(&self, mut connection: MultiplexedConnection, sharded: bool) -> BrokerError {
        let (more, less) =
            if sharded { ("SSUBSCRIBE", "SUNSUBSCRIBE") } else { ("SUBSCRIBE", "UNSUBSCRIBE") };
        loop {
            let changes = self.changes();
            if changes.is_empty() {
                self.asked.notified().await;
                continue;
            }
            let mut pipe = redis::pipe();
            for (channel, wanted) in &changes {
                pipe.cmd(if *wanted { more } else { less }).arg(self.names.topic(channel));
            }
            if let Err(error) = pipe.query_async::<Value>(&mut connection).await {
                return fault::of_read(&error);
            }
            self.changed(changes);
        }
    }

    /// What is to be asked of the server, and whether it is to subscribe.
    fn changes(&self) -> Vec<(Channel, bool)> {
        let mut table = self.table.lock();
        let rest = table.changed.len().saturating_sub(AT_ONCE);
        let mut changed = table.changed.split_off(rest);
        changed.sort_unstable();
        changed.dedup();
        let mut changes = Vec::with_capacity(changed.len());
        for channel in changed {
            let Some(topic) = table.topics.get_mut(&channel) else { continue };
            match (topic.followers.is_empty(), topic.is_subscribed) {
                (false, false) => changes.push((channel, true)),
                (true, true) => {
                    // Who comes meanwhile waits for the next subscription.
                    (topic.is_subscribed, topic.is_leaving) = (false, true);
                    changes.push((channel, false));
                }
                (true, false) => drop(table.topics.remove(&channel)),
                (false, true) => {}
            }
        }
        changes
    }

    /// The server has done it.
    fn changed(&self, changes: Vec<(Channel, bool)>) {
        let mut table = self.table.lock();
        let Table { topics, changed, .. } = &mut *table;
        for (channel, subscribed) in changes {
            let Some(topic) = topics.get_mut(&channel) else { continue };
            (topic.is_subscribed, topic.is_leaving) = (subscribed, false);
            if subscribed {
                for follower in &mut topic.followers {
                    follower.holds.take().map(|holds| holds.send(()));
                }
            }
            // Followers came or went meanwhile.
            if topic.followers.is_empty() == subscribed {
                changed.push(channel);
            } else if !subscribed {
                topics.remove(&channel);
            }
        }
    }

    /// Whether the server has ended a subscription by itself, as when the slot moves to another.
    fn is_taken_away(&self, topic: &[u8]) -> bool {
        let Some(channel) = self.channel_of(topic) else { return false };
        self.table.lock().topics.get(&channel).is_some_and(|topic| !topic.is_leaving)
    }

    fn channel_of(&self, topic: &[u8]) -> Option<Channel> {
        let name = self.names.channel_of(std::str::from_utf8(topic).ok()?)?;
        Channel::kept(name).ok()
    }

    fn announce(&self, topic: &[u8], text: Bytes) {
        let Some(channel) = self.channel_of(topic) else { return };
        let announcement = Announcement::parse(&channel, text).map(Arc::new);
        let mut table = self.table.lock();
        if let (Some(announcement), Some((_, run))) = (&announcement, &table.open) {
            let seen = Seen { life: announcement.life, run: run.clone(), count: announcement.count };
            self.witness.note(Bucket::of(&channel), &seen);
        }
        let Some(topic) = table.topics.get_mut(&channel) else { return };
        match announcement {
            // A follower whose queue is full is let go: its tail ends, and it reads the log from there.
            Some(announcement) => {
                topic.followers.retain(|follower| follower.items.try_send(announcement.clone()).is_ok());
            }
            None => topic.followers.clear(),
        }
        if topic.followers.is_empty() {
            table.changed.push(channel);
            self.asked.notify_one();
        }
    }

    fn leave(&self, channel: &Channel, number: u64) {
        let mut table = self.table.lock();
        let Some(topic) = table.topics.get_mut(channel) else { return };
        let before = topic.followers.len();
        topic.followers.retain(|follower| follower.number != number);
        if topic.followers.is_empty() && before > 0 {
            table.changed.push(channel.clone());
            self.asked.notify_one();
        }
    }
}

impl Inbox {
    /// Takes what the server sends without being asked. Must not block.
    pub(super) fn take(&self, push: PushInfo) {
        if !matches!(self.topics.table.lock().open, Some((number, _)) if number == self.number) {
            return;
        }
        match push.kind {
            PushKind::Message | PushKind::SMessage => {
                let mut data = push.data.into_iter();
                if let (Some(Value::BulkString(topic)), Some(Value::BulkString(text))) =
                    (data.next(), data.next())
                {
                    self.topics.announce(&topic, text.into());
                }
            }
            PushKind::Disconnection => self.end(),
            PushKind::SUnsubscribe => {
                if let Some(Value::BulkString(topic)) = push.data.first()
                    && self.topics.is_taken_away(topic)
                {
                    self.end();
                }
            }
            _ => {}
        }
    }

    /// Nobody may be left waiting for a connection that brings nothing.
    fn end(&self) {
        self.topics.close();
        self.broken.notify_one();
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.topics.leave(&self.channel, self.number);
    }
}
