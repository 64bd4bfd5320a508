//! The members of a channel, and the records that say so.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One member: a user, whatever the number of its connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// The user id.
    pub user: Arc<str>,
    /// What the newest token with such words says of the user, as JSON.
    pub info: Option<Box<str>>,
    /// When its oldest connection opened, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// When `info` was said. Of two nodes that say different things, the later is right.
    pub(super) told_ms: u64,
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
    told_ms: u64,
}

impl Present {
    pub(super) fn to_json(&self) -> String {
        let info = self.info.as_deref().and_then(|info| serde_json::from_str::<&RawValue>(info).ok());
        let record = Record { user: self.user.clone(), info, since_ms: self.since_ms, told_ms: self.told_ms };
        serde_json::to_string(&record).unwrap_or_else(|_| "null".into())
    }

    /// Reads a record; one that says that the member is gone is none.
    pub(super) fn from_json(text: &[u8]) -> Option<Self> {
        let record = serde_json::from_slice::<Option<Record<'_>>>(text).ok()??;
        let info = record.info.map(|info| info.get().into());
        Some(Present { user: record.user, info, since_ms: record.since_ms, told_ms: record.told_ms })
    }
}

impl Roster {
    /// What several nodes say, as one member a user.
    pub(super) fn of(records: impl IntoIterator<Item = Present>) -> Self {
        let mut members: BTreeMap<Arc<str>, Present> = BTreeMap::new();
        for record in records {
            let Some(known) = members.get_mut(&record.user) else {
                members.insert(record.user.clone(), record);
                continue;
            };
            known.since_ms = known.since_ms.min(record.since_ms);
            // Two that were told at once: whichever, but the same on every node.
            if (record.told_ms, &record.info) > (known.told_ms, &known.info) {
                (known.told_ms, known.info) = (record.told_ms, record.info);
            }
        }
        let mut members: Vec<_> = members.into_values().collect();
        members.sort_by(|a, b| (a.since_ms, &a.user).cmp(&(b.since_ms, &b.user)));
        Roster { members }
    }
}
