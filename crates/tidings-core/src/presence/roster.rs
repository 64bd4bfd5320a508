//! Records and leases, folded to the members of a channel.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::broker::{Broker, BrokerError, answer};
use crate::log::{Channel, Limit, Message, Start};

use super::RULES;

/// One member: a user, whatever the number of its connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// The user id.
    pub user: Arc<str>,
    /// What the token says of the user, as JSON.
    pub info: Option<Box<str>>,
    /// When its oldest connection opened, in milliseconds since the Unix epoch.
    pub since_ms: u64,
}

/// The members of a channel, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    /// The members.
    pub members: Vec<Present>,
}

#[derive(Serialize, Deserialize)]
struct Record<'a> {
    user: Arc<str>,
    #[serde(borrow)]
    info: Option<&'a RawValue>,
    since_ms: u64,
}

#[derive(Deserialize)]
struct Lease {
    until_ms: u64,
}

/// The fold of one reading.
pub(super) struct Fold {
    own: String,
    now_ms: u64,
    alive: HashMap<String, bool>,
    members: BTreeMap<Arc<str>, Present>,
}

impl Present {
    pub(super) fn to_json(&self) -> String {
        let info = self.info.as_deref().and_then(|info| serde_json::from_str::<&RawValue>(info).ok());
        let record = Record { user: self.user.clone(), info, since_ms: self.since_ms };
        serde_json::to_string(&record).unwrap_or_else(|_| "null".into())
    }
}

impl Fold {
    pub(super) fn new(incarnation: u64, now_ms: u64) -> Self {
        Fold { own: format!("{incarnation:016x}"), now_ms, alive: HashMap::new(), members: BTreeMap::new() }
    }

    pub(super) async fn read_leases(
        &mut self,
        broker: &Arc<dyn Broker>,
        leases: &Channel,
    ) -> Result<(), BrokerError> {
        let now_ms = self.now_ms;
        each(broker, leases, |message| {
            let lease = serde_json::from_slice::<Lease>(&message.payload.bytes);
            if let (Some(node), Ok(lease)) = (&message.key, lease) {
                self.alive.insert(node.to_string(), lease.until_ms > now_ms);
            }
        })
        .await
    }

    pub(super) async fn read_records(
        &mut self,
        broker: &Arc<dyn Broker>,
        log: &Channel,
    ) -> Result<(), BrokerError> {
        each(broker, log, |message| {
            let node =
                message.key.as_deref().and_then(|key| key.split_once('/')).map_or("", |(node, _)| node);
            // What this node wrote, it knows better by itself.
            if node != self.own
                && self.alive.get(node) == Some(&true)
                && let Ok(Some(record)) = serde_json::from_slice::<Option<Record<'_>>>(&message.payload.bytes)
            {
                let info = record.info.map(|info| info.get().into());
                self.add(Present { user: record.user, info, since_ms: record.since_ms });
            }
        })
        .await
    }

    /// The members, with those that this node knows by itself.
    pub(super) fn finish(mut self, own: Vec<Present>) -> Roster {
        own.into_iter().for_each(|present| self.add(present));
        let mut members: Vec<_> = self.members.into_values().collect();
        members.sort_by(|a, b| (a.since_ms, &a.user).cmp(&(b.since_ms, &b.user)));
        Roster { members }
    }

    fn add(&mut self, present: Present) {
        match self.members.get_mut(&present.user) {
            Some(known) => known.since_ms = known.since_ms.min(present.since_ms),
            None => drop(self.members.insert(present.user.clone(), present)),
        }
    }
}

/// Calls `work` with every message of a log.
async fn each(
    broker: &Arc<dyn Broker>,
    log: &Channel,
    mut work: impl FnMut(&Message) + Send,
) -> Result<(), BrokerError> {
    let mut at = answer(broker.find(log, Start::Earliest, &RULES)).await?.at;
    loop {
        let limit = Limit { messages: 1_000, bytes: usize::MAX };
        let page = answer(broker.read(log, at, limit, &RULES)).await?;
        let Some(last) = page.messages.last() else { return Ok(()) };
        at = last.position;
        page.messages.iter().for_each(|message| work(message));
    }
}
