//! The stream of a namespace: how it is made, and whether it is still the one that it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tidings_core::broker::BrokerError;
use tidings_core::log::{Channel, Rules};
use tokio::sync::Mutex as AsyncMutex;

use super::api::STREAM_NOT_FOUND;
use super::link::Link;
use super::mark::{Mark, Seen};
use super::name::{Names, hash};
use super::shape::{self, SPARE};

/// One namespace's stream.
#[derive(Debug)]
pub(super) struct Stream {
    link: Arc<Link>,
    pub(super) name: String,
    namespace: String,
    names: Names,
    replicas: u8,
    known: Mutex<Option<Known>>,
    /// When it was made and what it had lost, as it was found last.
    was: Mutex<Option<(String, u64)>>,
    /// Whether it was found to be another one, and nobody drew the conclusions yet.
    is_another: AtomicBool,
    /// The newest that this node has seen of it.
    pub(super) mark: Mark,
    /// How many connections were lost before it was compared with that.
    compared: AtomicU64,
    /// One at a time looks at the server.
    looking: AsyncMutex<()>,
}

/// What was found of it, the last time that somebody looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// When it was made: another one has another time.
    created: String,
    /// How often it lost its newest records.
    pub(super) losses: u64,
    /// Records kept of one channel; more than any of them asks for.
    pub(super) per_channel: u64,
    dedupe_ms: u64,
    /// How many servers have it.
    pub(super) replicas: u64,
    pub(super) keep: u64,
    pub(super) age_ms: u64,
    compact: bool,
}

#[derive(Deserialize)]
struct Info {
    created: String,
    config: Value,
    state: InfoState,
}

#[derive(Deserialize)]
struct InfoState {
    last_seq: u64,
}

impl Stream {
    pub(super) fn new(link: Arc<Link>, names: &Names, namespace: &str, replicas: u8) -> Self {
        Stream {
            link,
            name: names.stream(namespace),
            namespace: namespace.to_owned(),
            names: names.clone(),
            replicas,
            known: Mutex::default(),
            was: Mutex::default(),
            is_another: AtomicBool::default(),
            mark: Mark::default(),
            compared: AtomicU64::default(),
            looking: AsyncMutex::default(),
        }
    }

    /// What is known of it, as far as these rules need it: made or changed where that is needed.
    pub(super) async fn ready(&self, rules: &Rules) -> Result<Known, BrokerError> {
        if let Some(known) = self.fits(rules) {
            return Ok(known);
        }
        let _one = self.looking.lock().await;
        if let Some(known) = self.fits(rules) {
            return Ok(known);
        }
        let (lost, seen) = (self.link.lost(), self.mark.seen());
        let found = match self.info().await? {
            Some(info) if self.went_back(&info, seen).await? => {
                let info = self.lost(info).await?;
                self.fit(info, rules).await?
            }
            Some(info) => self.fit(info, rules).await?,
            None => self.make(rules).await?,
        };
        self.compared.store(lost, Ordering::Relaxed);
        Ok(self.note(&found, rules))
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Looks at the server whether it is the same stream as before. Gives whether it is.
    /// `went_back`: if it is the same, then it has lost something.
    pub(super) async fn is_same(&self, went_back: bool) -> Result<bool, BrokerError> {
        // Somebody found that it is another one.
        let Some(before) = self.known.lock().clone() else { return Ok(false) };
        let _one = self.looking.lock().await;
        let (lost, seen) = (self.link.lost(), self.mark.seen());
        let Some(info) = self.info().await? else {
            self.forget();
            return Ok(false);
        };
        let (created, losses) = (info.created.clone(), shape::losses(&info.config));
        if created != before.created {
            self.forget();
            return Ok(false);
        }
        if losses == before.losses && (went_back || self.went_back(&info, seen).await?) {
            self.lost(info).await?;
            self.forget();
            return Ok(false);
        }
        if losses != before.losses {
            self.forget();
        }
        self.compared.store(lost, Ordering::Relaxed);
        Ok(losses == before.losses)
    }

    /// Whether what was seen of a stream is not in it any more, though nobody removed it.
    async fn went_back(&self, info: &Info, seen: Seen) -> Result<bool, BrokerError> {
        let is = (info.created.clone(), shape::losses(&info.config));
        if self.was.lock().as_ref() != Some(&is) {
            return Ok(false);
        }
        if info.state.last_seq < seen.seq {
            return Ok(true);
        }
        // Others may have written since, so that its number tells nothing: what is there does.
        if seen.seq == 0 || self.is_compared() {
            return Ok(false);
        }
        let there = self.raw(&self.link, seen.seq).await?;
        Ok(there.is_some_and(|record| !seen.is(&record)))
    }

    /// It lost what this node has seen: all its channels begin a new epoch.
    async fn lost(&self, info: Info) -> Result<Info, BrokerError> {
        let Info { mut config, state, .. } = info;
        tracing::error!(
            stream = self.name,
            seen = self.mark.seen().seq,
            last = state.last_seq,
            "the stream lost its newest messages; its channels begin a new epoch"
        );
        shape::count_loss(&mut config);
        let info = self.update(&config).await?;
        self.mark.forget();
        Ok(info)
    }

    /// Nothing is known of it until somebody looks.
    pub(super) fn forget(&self) {
        *self.known.lock() = None;
    }

    /// What is known of it, if anything.
    pub(super) fn known(&self) -> Option<Known> {
        self.known.lock().clone()
    }

    /// Makes room for a channel that keeps more than others.
    pub(super) async fn widen(&self, messages: u64) -> Result<(), BrokerError> {
        let wants = messages.saturating_add(SPARE);
        if self.known().is_none_or(|known| known.compact || known.per_channel >= wants) {
            return Ok(());
        }
        let _one = self.looking.lock().await;
        let Some(Info { mut config, .. }) = self.info().await? else { return Ok(()) };
        config["max_msgs_per_subject"] = wants.into();
        let info = self.update(&config).await?;
        if let Some(known) = &mut *self.known.lock() {
            known.per_channel = shape::per_channel(&info.config);
        }
        Ok(())
    }

    /// Whether nothing can have happened to it since it was looked at: the connection is the same.
    fn is_compared(&self) -> bool {
        self.compared.load(Ordering::Relaxed) == self.link.lost()
    }

    /// What is known, if that will do. After a loss of the connection the first thing is to look again:
    /// whatever is read before that hides what was seen.
    fn fits(&self, rules: &Rules) -> Option<Known> {
        if !self.is_compared() {
            return None;
        }
        let known = self.known.lock();
        let wants = (rules.retain.messages, rules.retain.age_ms, rules.dedupe_ms, rules.compact);
        known.as_ref().filter(|is| (is.keep, is.age_ms, is.dedupe_ms, is.compact) == wants).cloned()
    }

    fn note(&self, info: &Info, rules: &Rules) -> Known {
        let known = Known {
            created: info.created.clone(),
            losses: shape::losses(&info.config),
            per_channel: shape::per_channel(&info.config),
            dedupe_ms: rules.dedupe_ms,
            replicas: info.config["num_replicas"].as_u64().unwrap_or(1),
            keep: rules.retain.messages,
            age_ms: rules.retain.age_ms,
            compact: rules.compact,
        };
        let is = (known.created.clone(), known.losses);
        let was = self.was.lock().replace(is.clone());
        if was.is_some_and(|was| was != is) {
            self.mark.forget();
            self.is_another.store(true, Ordering::Relaxed);
        }
        *self.known.lock() = Some(known.clone());
        known
    }

    /// Whether it was found to be another one since this was asked last.
    pub(super) fn takes_over(&self) -> bool {
        self.is_another.swap(false, Ordering::Relaxed)
    }

    async fn info(&self) -> Result<Option<Info>, BrokerError> {
        match self.link.api::<Info>(&format!("STREAM.INFO.{}", self.name), &Value::Null).await? {
            Ok(info) => Ok(Some(info)),
            Err(refusal) if refusal.err_code == STREAM_NOT_FOUND => Ok(None),
            Err(refusal) => Err(refusal.error()),
        }
    }

    async fn make(&self, rules: &Rules) -> Result<Info, BrokerError> {
        let mut config = json!({ "name": self.name, "retention": "limits", "storage": "file" });
        config["num_replicas"] = self.replicas.into();
        shape::set(&mut config, &self.names, &self.namespace, rules);
        let what = format!("STREAM.CREATE.{}", self.name);
        match self.link.api::<Info>(&what, &config).await? {
            Ok(info) => Ok(info),
            // Another node was first.
            Err(refusal) => self.info().await?.ok_or_else(|| refusal.error()),
        }
    }

    /// Changes a stream that is there where these rules need it.
    async fn fit(&self, info: Info, rules: &Rules) -> Result<Info, BrokerError> {
        let mut config = info.config.clone();
        shape::set(&mut config, &self.names, &self.namespace, rules);
        if config == info.config { Ok(info) } else { self.update(&config).await }
    }

    async fn update(&self, config: &Value) -> Result<Info, BrokerError> {
        let answer = self.link.api::<Info>(&format!("STREAM.UPDATE.{}", self.name), config).await?;
        answer.map_err(|refusal| refusal.error())
    }
}

impl Known {
    pub(super) fn compacts(&self) -> bool {
        self.compact
    }

    /// The life of a channel that nothing was stored in, the same for every node.
    pub(super) fn first_life(&self, channel: &Channel) -> u64 {
        number(&hash(&["life", &self.created, channel.as_str()]))
    }

    /// The epoch of a life.
    pub(super) fn epoch(&self, life: u64) -> u64 {
        match self.losses {
            0 => life,
            losses => number(&hash(&["lost", &losses.to_string(), &life.to_string()])),
        }
    }
}

/// A number that is not 0 out of a hash.
fn number(hash: &str) -> u64 {
    let folded = hash.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |number, byte| {
        (number ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    folded.max(1)
}
