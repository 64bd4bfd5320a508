//! A compacted log, folded to the newest value of each key.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::broker::{Broker, BrokerError, answer};
use crate::log::{Channel, Limit, Message, Position, Start};

use super::RULES;

/// What was read of a log, so that only what is new has to be read again.
#[derive(Debug)]
pub(super) struct Fold<V> {
    at: Option<Position>,
    /// By key: when it was stored, and what.
    values: BTreeMap<Box<str>, (u64, V)>,
}

/// A fold that one request at a time reads on.
pub(super) type Shared<V> = Arc<tokio::sync::Mutex<Fold<V>>>;

/// The folds that were asked for not long ago.
#[derive(Debug)]
pub(super) struct Folds<V> {
    /// With the time of the last question.
    kept: Mutex<HashMap<Channel, (u64, Shared<V>)>>,
}

/// Messages that are read at once.
const PAGE: usize = 1_000;
/// A fold that nobody asks for is forgotten after this.
const KEEP_MS: u64 = 60_000;
/// Folds that are kept.
const FOLDS_MAX: usize = 1_000;

impl<V> Default for Fold<V> {
    fn default() -> Self {
        Fold { at: None, values: BTreeMap::new() }
    }
}

impl<V> Fold<V> {
    /// Reads what was appended since the last time. `parse` gives `None` for a key that has no value now.
    pub(super) async fn read_on(
        &mut self,
        broker: &Arc<dyn Broker>,
        log: &Channel,
        now_ms: u64,
        parse: impl Fn(&Message) -> Option<V> + Send,
    ) -> Result<(), BrokerError> {
        // What has left the log was written by nobody who still lives.
        self.values.retain(|_, (time_ms, _)| time_ms.saturating_add(RULES.retain.age_ms) > now_ms);
        let mut at = match self.at {
            Some(at) => at,
            None => answer(broker.find(log, Start::Earliest, &RULES)).await?.at,
        };
        loop {
            let limit = Limit { messages: PAGE, bytes: usize::MAX };
            let page = answer(broker.read(log, at, limit, &RULES)).await?;
            if let Some(gap) = page.gap {
                // The log is another, or what is missing may have been about any key: it is read from its start.
                self.values.clear();
                at = gap.until;
                self.at = Some(at);
                continue;
            }
            for message in &page.messages {
                let Some(key) = &message.key else { continue };
                match parse(message) {
                    Some(value) => drop(self.values.insert(key.clone(), (message.time_ms, value))),
                    None => drop(self.values.remove(key)),
                }
            }
            at = page.messages.last().map_or(at, |message| message.position);
            self.at = Some(at);
            if page.messages.len() < PAGE {
                return Ok(());
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.values.iter().map(|(key, (_, value))| (&**key, value))
    }
}

impl<V> Default for Folds<V> {
    fn default() -> Self {
        Folds { kept: Mutex::default() }
    }
}

impl<V> Folds<V> {
    /// The fold of a log.
    pub(super) fn of(&self, log: &Channel, now_ms: u64) -> Shared<V> {
        let mut kept = self.kept.lock();
        if let Some((asked_ms, fold)) = kept.get_mut(log) {
            *asked_ms = now_ms;
            return fold.clone();
        }
        if kept.len() >= FOLDS_MAX
            && let Some(oldest) = kept.iter().min_by_key(|(_, (ms, _))| *ms).map(|(log, _)| log.clone())
        {
            kept.remove(&oldest);
        }
        let fold = Shared::default();
        kept.insert(log.clone(), (now_ms, fold.clone()));
        fold
    }

    /// Forgets what nobody asks for.
    pub(super) fn forget(&self, now_ms: u64) {
        self.kept.lock().retain(|_, (asked_ms, _)| asked_ms.saturating_add(KEEP_MS) > now_ms);
    }
}
