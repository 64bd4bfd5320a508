//! The users with a connection to this node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::log::Channel;

use super::Present;

/// A user in a channel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) channel: Channel,
    pub(super) user: Arc<str>,
}

/// Who is here, and what of it is not written yet. In the order of names, so that a seed gives one trace.
#[derive(Debug, Default)]
pub(super) struct Local {
    here: BTreeMap<Place, Here>,
    /// Places to look at again, by time.
    due: BTreeSet<(u64, Place)>,
    changed: BTreeMap<Place, Option<Present>>,
    refreshed_ms: u64,
}

#[derive(Debug)]
struct Here {
    connections: usize,
    stays_until_ms: u64,
    present: Present,
}

/// Records to write: a member, or that it is gone.
pub(super) type Changes = Vec<(Place, Option<Present>)>;

impl Local {
    pub(super) fn enter(&mut self, place: &Place, info: Option<Box<str>>, now_ms: u64) {
        if let Some(here) = self.here.get_mut(place) {
            here.connections += 1;
            return;
        }
        let present = Present { user: place.user.clone(), info, since_ms: now_ms };
        self.changed.insert(place.clone(), Some(present.clone()));
        self.here.insert(place.clone(), Here { connections: 1, stays_until_ms: now_ms, present });
    }

    pub(super) fn leave(&mut self, place: &Place, until_ms: u64) {
        let Some(here) = self.here.get_mut(place) else { return };
        here.connections -= 1;
        here.stays_until_ms = here.stays_until_ms.max(until_ms);
        if here.connections == 0 {
            self.due.insert((here.stays_until_ms, place.clone()));
        }
    }

    /// Removes those whose time is up.
    pub(super) fn let_go(&mut self, now_ms: u64) {
        while let Some((at_ms, _)) = self.due.first() {
            if *at_ms > now_ms {
                break;
            }
            let Some((_, place)) = self.due.pop_first() else { break };
            let gone = self
                .here
                .get(&place)
                .is_some_and(|here| here.connections == 0 && here.stays_until_ms <= now_ms);
            if gone {
                self.here.remove(&place);
                self.changed.insert(place, None);
            }
        }
    }

    /// Marks every member to be written again, once in `every_ms`.
    pub(super) fn refresh(&mut self, now_ms: u64, every_ms: u64) {
        if now_ms.saturating_sub(self.refreshed_ms) < every_ms {
            return;
        }
        self.refreshed_ms = now_ms;
        for (place, here) in &self.here {
            self.changed.insert(place.clone(), Some(here.present.clone()));
        }
    }

    pub(super) fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changed).into_iter().collect()
    }

    /// Keeps changes that could not be written; what changed since is newer.
    pub(super) fn put_back(&mut self, changes: Changes) {
        for (place, record) in changes {
            self.changed.entry(place).or_insert(record);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.here.is_empty()
    }

    pub(super) fn next_due_ms(&self) -> Option<u64> {
        if !self.changed.is_empty() {
            return Some(0);
        }
        self.due.first().map(|(at_ms, _)| *at_ms)
    }

    pub(super) fn members(&self, channel: &Channel) -> Vec<Present> {
        let first = Place { channel: channel.clone(), user: "".into() };
        let of_channel = self.here.range(first..).take_while(|(place, _)| place.channel == *channel);
        of_channel.map(|(_, here)| here.present.clone()).collect()
    }
}
