//! The nodes of a broker: what each says of itself, and what one asks of all.
//!
//! Nodes open no connections to each other. Each appends how it is to a channel
//! that operators read, and that the others follow, so that it is known who is
//! there. A question goes through an internal log that all follow; who is asked
//! answers into another, which the one who asks follows meanwhile. Nothing waits here for a broker that
//! is away: what could not be said is said anew the next time.

mod ask;
mod entry;
mod heard;
mod question;

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use crate::broker::{BrokerError, answer};
use crate::hub::Shared;
use crate::limit::Rates;
use crate::log::{Below, Channel, Draft, Kind, Limit, Message, Once, Payload, Retain, Rules, Start};
use crate::policy::Namespace;

pub use entry::{ClientEntry, InUse, ReaderEntry, Report, Roll, Whose};
use heard::Heard;
use question::Asked;

/// How a node is called among the others, and how it describes itself.
pub struct Own {
    /// Its name.
    pub node: String,
    /// How it is now: an object of JSON with at least `node`, `incarnation` and `state`.
    pub describe: Box<dyn Fn() -> String + Send + Sync>,
}

/// What a node knows of the others.
pub(crate) struct Cluster {
    own: OnceLock<Own>,
    heard: Mutex<Heard>,
    changed: Notify,
    /// One thing is said at a time; true once the last was.
    parted: tokio::sync::Mutex<bool>,
    /// Who wants this node to stop.
    stop: Mutex<Option<String>>,
    stopped: Notify,
    /// Questions that are asked here.
    rates: Rates<()>,
    asking: Semaphore,
    /// Questions of others that are being answered.
    answering: Arc<Semaphore>,
}

/// How often a node says how it is.
const SAY_EVERY: Duration = Duration::from_secs(5);
/// How long it waits until that is stored. What is not is said anew.
const SAID_WITHIN: Duration = Duration::from_secs(5);
/// The same, for its last word.
const PARTS_WITHIN: Duration = Duration::from_millis(500);
/// Before a log is followed again.
const RETRY: Duration = Duration::from_secs(1);
/// What was said lately is read when a node starts.
const LATELY: Limit = Limit { messages: 256, bytes: 1 << 20 };
const ASKING_MAX: usize = 4;
const ANSWERING_MAX: usize = 4;

/// How questions and answers are kept: for who has to find its place again.
const RULES: Rules = Rules {
    retain: Retain { messages: 1_000, age_ms: 10_000 },
    compact: false,
    dedupe_ms: 0,
    implicit: true,
    below: Below::Newest,
    durable: false,
};

impl Cluster {
    /// Of a node that has not joined.
    pub(crate) fn new() -> Self {
        Cluster {
            own: OnceLock::new(),
            heard: Mutex::default(),
            changed: Notify::new(),
            parted: tokio::sync::Mutex::default(),
            stop: Mutex::default(),
            stopped: Notify::new(),
            rates: Rates::default(),
            asking: Semaphore::new(ASKING_MAX),
            answering: Arc::new(Semaphore::new(ANSWERING_MAX)),
        }
    }

    /// Says at once how the node is.
    pub(crate) fn say(&self) {
        self.changed.notify_one();
    }

    /// Waits until an operator wants the node to stop; gives who.
    pub(crate) async fn told_to_stop(&self) -> String {
        loop {
            let told = self.stopped.notified();
            if let Some(by) = self.stop.lock().clone() {
                return by;
            }
            told.await;
        }
    }

    fn tell_to_stop(&self, by: &str) {
        *self.stop.lock() = Some(by.to_owned());
        self.stopped.notify_one();
    }

    /// Its name; a node that has not joined has none.
    fn name(&self) -> &str {
        self.own.get().map_or("", |own| &own.node)
    }
}

/// Joins the others of the broker. The tasks end with the hub.
pub(crate) fn join(shared: &Arc<Shared>, own: Own) {
    if shared.cluster.own.set(own).is_err() {
        return;
    }
    tokio::spawn(say(Arc::downgrade(shared)));
    tokio::spawn(hear(Arc::downgrade(shared)));
    tokio::spawn(listen(Arc::downgrade(shared)));
}

impl Shared {
    /// Says, as its last word, that it has stopped.
    pub(crate) async fn part(&self) {
        let Some(own) = self.cluster.own.get() else { return };
        let said = serde_json::from_str::<serde_json::Value>(&(own.describe)());
        if let Ok(mut last) = said {
            last["state"] = "stopped".into();
            let parted = async {
                let mut parted = self.cluster.parted.lock().await;
                *parted = true;
                self.append(&Channel::nodes(), last.to_string()).await
            };
            // Whoever does not hear it hears nothing more, and draws its conclusions.
            let _ = timeout(PARTS_WITHIN, parted).await;
        }
    }

    async fn append(&self, log: &Channel, json: String) -> Result<(), BrokerError> {
        let is_own = *log == Channel::nodes();
        let rules = if is_own { Namespace::own().rules() } else { RULES };
        let draft = Draft {
            id: self.ids.next(),
            once: Once::No,
            event: is_own.then(|| "node".into()),
            key: is_own.then(|| self.cluster.name().into()),
            payload: Payload { kind: Kind::Json, bytes: json.into() },
            from: None,
        };
        self.broker.append(log, vec![draft], &rules).await.map(drop).map_err(|stopped| stopped.error)
    }
}

/// Says how this node is, again and again.
async fn say(weak: Weak<Shared>) {
    while let Some(shared) = weak.upgrade() {
        let Some(own) = shared.cluster.own.get() else { return };
        {
            let parted = shared.cluster.parted.lock().await;
            if *parted {
                return;
            }
            match timeout(SAID_WITHIN, shared.append(&Channel::nodes(), (own.describe)())).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "the other nodes cannot be told how this one is"),
                Err(_late) => tracing::debug!("the broker does not take what this node says of itself"),
            }
        }
        // Held for one turn at most, or the node would never end.
        let _ = timeout(SAY_EVERY, shared.cluster.changed.notified()).await;
    }
}

/// Hears how the others are.
async fn hear(weak: Weak<Shared>) {
    let rules = Namespace::own().rules();
    while let Some(shared) = weak.upgrade() {
        let tail = tail(&shared, &rules).await;
        drop(shared);
        if let Ok(mut items) = tail {
            while let Some(messages) = items.next().await {
                let Some(shared) = weak.upgrade() else { return };
                let mut heard = shared.cluster.heard.lock();
                messages.iter().for_each(|message| heard.take(message, Duration::ZERO));
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Takes in what was said lately, and gives what is said from then on.
async fn tail(shared: &Shared, rules: &Rules) -> Result<BoxStream<'static, Vec<Arc<Message>>>, BrokerError> {
    let (broker, log) = (&shared.broker, Channel::nodes());
    let tail = answer(broker.follow(&log, rules)).await?;
    let from = answer(broker.find(&log, Start::Last(LATELY.messages as u64), rules)).await?.at;
    let page = answer(broker.read(&log, from, LATELY, rules)).await?;
    let now_ms = shared.clock.now_ms();
    let mut heard = shared.cluster.heard.lock();
    for message in &page.messages {
        heard.take(message, Duration::from_millis(now_ms.saturating_sub(message.time_ms)));
    }
    Ok(tail.items)
}

/// Answers what others ask.
async fn listen(weak: Weak<Shared>) {
    while let Some(shared) = weak.upgrade() {
        let tail = answer(shared.broker.follow(&asks(), &RULES)).await;
        let answering = shared.cluster.answering.clone();
        drop(shared);
        if let Ok(mut tail) = tail {
            while let Some(messages) = tail.items.next().await {
                for message in messages {
                    let Ok(asked) = serde_json::from_slice::<Asked>(&message.payload.bytes) else { continue };
                    // What waits here waits in the broker.
                    let Ok(permit) = answering.clone().acquire_owned().await else { return };
                    let Some(shared) = weak.upgrade() else { return };
                    tokio::spawn(async move {
                        ask::reply(&shared, asked).await;
                        drop(permit);
                    });
                }
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Questions to all.
fn asks() -> Channel {
    Channel::internal("asks", "all")
}

/// Answers, which those follow who have asked and wait. One log for all: a log of each life of a node would leave
/// something behind in some brokers.
fn answers() -> Channel {
    Channel::internal("answers", "all")
}
