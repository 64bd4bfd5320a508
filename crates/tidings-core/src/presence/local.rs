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

/// One user's connections to one channel. Times are milliseconds since the Unix epoch.
#[derive(Debug)]
struct Here {
    /// Since when each open connection counts, oldest first.
    open: Vec<u64>,
    /// The same of connections that ended and may come back, and until when they count.
    away: Vec<(u64, u64)>,
    present: Present,
}

/// Records to write: a member, or that it is gone.
pub(super) type Changes = Vec<(Place, Option<Present>)>;

impl Local {
    /// Counts a connection, and gives since when: one that may be the return of another takes its place.
    pub(super) fn enter(&mut self, place: &Place, info: Option<Box<str>>, now_ms: u64) -> u64 {
        let here = self.here.entry(place.clone()).or_insert_with(|| Here {
            open: Vec::new(),
            away: Vec::new(),
            present: Present { user: place.user.clone(), info: None, since_ms: 0, told_ms: 0 },
        });
        here.away.retain(|(_, until_ms)| *until_ms > now_ms);
        let since_ms = match here.away.is_empty() {
            true => now_ms,
            false => here.away.remove(0).0,
        };
        let at = here.open.partition_point(|one| *one <= since_ms);
        here.open.insert(at, since_ms);
        let before = here.present.clone();
        here.present.since_ms = here.oldest_ms().unwrap_or(since_ms);
        // A token that says nothing of the user takes nothing back.
        if info.is_some() && here.present.info != info {
            (here.present.info, here.present.told_ms) = (info, now_ms);
        }
        if here.present != before {
            self.changed.insert(place.clone(), Some(here.present.clone()));
        }
        since_ms
    }

    /// Ends a connection that counts since `since_ms`; it still does until `until_ms`.
    pub(super) fn leave(&mut self, place: &Place, since_ms: u64, until_ms: u64) {
        let Some(here) = self.here.get_mut(place) else { return };
        let Ok(at) = here.open.binary_search(&since_ms) else { return };
        here.open.remove(at);
        let away = (since_ms, until_ms);
        let at = here.away.partition_point(|one| *one <= away);
        here.away.insert(at, away);
        self.due.insert((until_ms, place.clone()));
    }

    /// Removes connections whose time is up, and members who have no other.
    pub(super) fn let_go(&mut self, now_ms: u64) {
        while self.due.first().is_some_and(|(at_ms, _)| *at_ms <= now_ms) {
            let Some((_, place)) = self.due.pop_first() else { return };
            let Some(here) = self.here.get_mut(&place) else { continue };
            here.away.retain(|(_, until_ms)| *until_ms > now_ms);
            match here.oldest_ms() {
                None => {
                    self.here.remove(&place);
                    self.changed.insert(place, None);
                }
                Some(oldest_ms) if oldest_ms != here.present.since_ms => {
                    here.present.since_ms = oldest_ms;
                    self.changed.insert(place, Some(here.present.clone()));
                }
                Some(_) => {}
            }
        }
    }

    /// Marks every member to be written again, once in `every_ms`.
    pub(super) fn refresh(&mut self, now_ms: u64, every_ms: u64) {
        if now_ms.saturating_sub(self.refreshed_ms) < every_ms {
            return;
        }
        self.refreshed_ms = now_ms;
        self.write_again();
    }

    /// Marks every member to be written again.
    pub(super) fn write_again(&mut self) {
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

impl Here {
    /// Since when the oldest connection counts that is open, or may come back.
    fn oldest_ms(&self) -> Option<u64> {
        let away = self.away.first().map(|(since_ms, _)| since_ms);
        self.open.first().into_iter().chain(away).min().copied()
    }
}
