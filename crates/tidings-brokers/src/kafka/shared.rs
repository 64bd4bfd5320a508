//! What all calls of a broker share: the clients, the topics, and the partitions in use.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidings_core::Clock;
use tidings_core::broker::BrokerError;
use tidings_core::log::{Channel, Rules};
use tokio::time::{Instant, sleep, timeout};

use super::chain::Fate;
use super::link::{ANSWER_MAX, Link};
use super::live::Live;
use super::log::Log;
use super::name;
use super::record::{Body, Head, Record};
use super::scan::{Next, scan};
use super::topic::{Shape, Topic};
use super::view::{Held, Name, Stage, View};

pub(super) struct Shared {
    pub(super) link: Link,
    pub(super) live: Arc<Live>,
    pub(super) clock: Clock,
    prefix: String,
    shape: Shape,
    topics: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Option<Topic>>>>>,
    views: Mutex<HashMap<Name, Arc<View>>>,
    /// Lives of partitions that lost their newest records, until somebody has written so.
    losses: Mutex<HashMap<Name, u64>>,
    held: Arc<Held>,
}

/// Looks at a partition that seems to have fewer records than before.
const LOOKS: u32 = 4;
const LOOK_EVERY: Duration = Duration::from_millis(150);

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(
        link: Link,
        clock: Clock,
        prefix: &str,
        shape: Shape,
        held_bytes: usize,
    ) -> Result<Self, BrokerError> {
        Ok(Shared {
            live: Live::start(&link)?,
            link,
            clock,
            prefix: prefix.to_owned(),
            shape,
            topics: Mutex::default(),
            views: Mutex::default(),
            losses: Mutex::default(),
            held: Arc::new(Held::new(held_bytes)),
        })
    }

    /// A channel, whose partition is read.
    pub(super) async fn log<'a>(
        self: &'a Arc<Self>,
        channel: &'a Channel,
        rules: &Rules,
    ) -> Result<Log<'a>, BrokerError> {
        let topic = self.topic(channel.namespace(), rules).await?;
        let view = self.view(&topic.name, topic.partition(channel)).await?;
        Ok(Log { shared: self, view, channel, rules: *rules, now_ms: self.clock.now_ms() })
    }

    async fn topic(&self, namespace: &str, rules: &Rules) -> Result<Topic, BrokerError> {
        let slot = self.topics.lock().entry(namespace.to_owned()).or_default().clone();
        let mut slot = slot.lock().await;
        if let Some(topic) = &*slot {
            return Ok(topic.clone());
        }
        let name = Arc::from(name::topic(&self.prefix, namespace));
        let topic = Topic::open(&self.link, name, self.shape, rules).await?;
        *slot = Some(topic.clone());
        Ok(topic)
    }

    /// The topics in use.
    pub(super) async fn topics(&self) -> Vec<Topic> {
        let slots: Vec<_> = self.topics.lock().values().cloned().collect();
        let mut topics = Vec::new();
        for slot in slots {
            topics.extend(slot.lock().await.clone());
        }
        topics
    }

    /// A topic is not what it was: it is looked for again, and so are its partitions.
    pub(super) async fn forget(&self, topic: &Topic, why: &str) {
        let slots: Vec<_> = self.topics.lock().values().cloned().collect();
        for slot in slots {
            let mut slot = slot.lock().await;
            if slot.as_ref().is_some_and(|known| known.name == topic.name) {
                *slot = None;
            }
        }
        for view in self.views() {
            if view.topic == topic.name {
                self.end(&view, why);
            }
        }
    }

    pub(super) fn views(&self) -> Vec<Arc<View>> {
        self.views.lock().values().cloned().collect()
    }

    /// A partition that is read as far as it was when somebody asked first.
    async fn view(self: &Arc<Self>, topic: &Arc<str>, partition: i32) -> Result<Arc<View>, BrokerError> {
        let place = (topic.clone(), partition);
        let view = {
            let mut views = self.views.lock();
            match views.get(&place).filter(|view| !view.is_over()) {
                Some(view) => view.clone(),
                None => {
                    let view = Arc::new(View::new(topic.clone(), partition, self.held.clone()));
                    views.insert(place, view.clone());
                    let (weak, loading) = (Arc::downgrade(self), view.clone());
                    tokio::spawn(async move {
                        let Some(shared) = weak.upgrade() else { return };
                        if let Err(error) = shared.load(&loading).await {
                            loading.end(&error.to_string());
                            shared.live.remove(&loading);
                        }
                    });
                    view
                }
            }
        };
        view.is_used();
        let mut stage = view.stage();
        let settled = timeout(ANSWER_MAX, stage.wait_for(|stage| !matches!(stage, Stage::Loading(..)))).await;
        match settled {
            Ok(Ok(stage)) => {
                if let Stage::Over(why) = &*stage {
                    return Err(BrokerError::Unavailable(why.clone()));
                }
            }
            _ => {
                let high = if let Stage::Loading(_, high) = *view.stage().borrow() { high } else { 0 };
                return Err(BrokerError::Unavailable(format!(
                    "the partition {partition} of {topic} is being read, {} of {high}; try again",
                    view.next()
                )));
            }
        }
        Ok(view)
    }

    /// Reads what a partition has, and then what comes.
    async fn load(&self, view: &Arc<View>) -> Result<(), BrokerError> {
        let (low, high) = self.link.watermarks(&view.topic, view.partition).await?;
        view.begin_at(low);
        view.set(Stage::Loading(low, high));
        let reading = view.clone();
        let read = self.link.read(move |reader| {
            scan(reader, &reading.topic, reading.partition, low, high, |message| {
                use rdkafka::Message as _;
                reading.apply(message.offset(), message.key(), message.payload());
                if reading.is_over() { Next::Done } else { Next::Any }
            })
        });
        read.await?;
        self.live.add(view)?;
        let lost = self.losses.lock().get(&(view.topic.clone(), view.partition)).copied();
        let log = view.log();
        if log == 0 || lost == Some(log) {
            let drawn = getrandom::u64().map_err(|error| BrokerError::Unavailable(error.to_string()))?;
            self.write_begin(view, drawn.max(1), log).await?;
        }
        // What another node was faster with is as good.
        if view.log() == 0 || lost == Some(view.log()) {
            return Err(BrokerError::Unavailable("the partition has no life yet; try again".into()));
        }
        self.losses.lock().remove(&(view.topic.clone(), view.partition));
        view.set(Stage::Ready);
        Ok(())
    }

    /// Writes that a life of a partition begins, or that it is still the same.
    pub(super) async fn write_begin(&self, view: &View, log: u64, replaces: u64) -> Result<(), BrokerError> {
        self.write(view, "", log, Body::Begin { replaces }, &NOTHING).await.map(drop)
    }

    /// Writes a record, and waits until this node has read it.
    pub(super) async fn write(
        &self,
        view: &View,
        key: &str,
        log: u64,
        body: Body,
        rules: &Rules,
    ) -> Result<Fate, BrokerError> {
        self.link.down()?;
        let nonce = getrandom::u64().map_err(|error| BrokerError::Unavailable(error.to_string()))?;
        let head = Head::new(log, nonce, self.clock.now_ms(), rules);
        let fate = view.await_fate(nonce);
        let record = Record { head, body }.encode();
        let delivery = self.link.send(&view.topic, view.partition, key, &record)?;
        let until = Instant::now() + ANSWER_MAX + Duration::from_millis(500);
        tokio::pin!(fate, delivery);
        let late = || BrokerError::Lost(format!("nothing came within {} s", ANSWER_MAX.as_secs()));
        let over = |_| BrokerError::Lost("the partition is read anew, since it is not as it was".into());
        tokio::select! {
            biased;
            fate = &mut fate => return fate.map_err(over),
            delivered = &mut delivery => delivered?,
            () = tokio::time::sleep_until(until) => return Err(late()),
        }
        tokio::time::timeout_at(until, fate).await.map_err(|_| late())?.map_err(over)
    }

    /// Waits until all is read that there was when it was called: one question for all that ask meanwhile.
    pub(super) async fn catch_up(&self, view: &Arc<View>) -> Result<(), BrokerError> {
        let called = Instant::now();
        let mut asked = view.asked.lock().await;
        if asked.is_some_and(|asked| asked >= called) {
            return Ok(());
        }
        let began = Instant::now();
        let mut looks = 0;
        let high = loop {
            let (low, high) = self.link.watermarks(&view.topic, view.partition).await?;
            let next = view.next();
            if low <= next && high >= next {
                view.cut(low);
                break high;
            }
            looks += 1;
            if looks >= LOOKS {
                let is_lost = high < next;
                return Err(self.lost(view, is_lost));
            }
            sleep(LOOK_EVERY).await;
        };
        let mut progress = view.progress();
        let mut stage = view.stage();
        let reached = async {
            tokio::select! {
                _ = progress.wait_for(|next| *next >= high) => Ok(()),
                _ = stage.wait_for(|stage| matches!(stage, Stage::Over(_))) => Err(changed()),
            }
        };
        let before = view.next();
        let Ok(reached) = timeout(ANSWER_MAX, reached).await else {
            if view.next() == before {
                // The client reads a partition no longer of which it was once told that an offset is not there.
                self.end(view, "Kafka gives none of its records");
            }
            return Err(BrokerError::Unavailable("Kafka gives no records; try again".into()));
        };
        reached?;
        *asked = Some(began);
        Ok(())
    }

    /// A partition has lost its newest records, or those that come next.
    fn lost(&self, view: &Arc<View>, is_lost: bool) -> BrokerError {
        let why = if is_lost {
            self.losses.lock().insert((view.topic.clone(), view.partition), view.log());
            "the partition lost its newest records"
        } else {
            "the partition's records expired before they were read"
        };
        tracing::warn!(topic = &*view.topic, partition = view.partition, "{why}");
        self.end(view, why);
        changed()
    }

    /// A partition is read no longer. Whoever needs it reads it anew.
    pub(super) fn end(&self, view: &Arc<View>, why: &str) {
        view.end(why);
        self.live.remove(view);
        let mut views = self.views.lock();
        let place = (view.topic.clone(), view.partition);
        if views.get(&place).is_some_and(|held| Arc::ptr_eq(held, view)) {
            views.remove(&place);
        }
    }

    pub(super) fn end_all(&self) {
        self.live.end();
        let views: Vec<_> = self.views.lock().drain().map(|(_, view)| view).collect();
        views.iter().for_each(|view| view.end("the broker is closed"));
    }
}

/// Rules of a record that is of no channel.
const NOTHING: Rules = Rules {
    retain: tidings_core::log::Retain { messages: 0, age_ms: 0 },
    compact: false,
    dedupe_ms: 0,
    below: tidings_core::log::Below::Oldest,
    implicit: true,
    durable: true,
};

/// Something is not as it was a moment ago.
pub(super) fn changed() -> BrokerError {
    BrokerError::Unavailable("the channel or its partition changed meanwhile; try again".into())
}
