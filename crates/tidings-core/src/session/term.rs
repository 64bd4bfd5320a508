//! For how long a live read may go on, and what ends it.

use std::sync::Arc;

use crate::error::Error;
use crate::feed::Bell;
use crate::hub::Shared;
use crate::log::Channel;
use crate::revocation::Watch;

use super::{Identity, Session};

/// Why a subscription ends by itself.
#[derive(Debug)]
pub enum End {
    /// Its token expired or was revoked, or its credentials are accepted no more.
    Expired,
    /// All its channels are closed, and everything in them, with the end, has begun to go out.
    Closed,
    /// These channels may be read no more, since the node is set to something else. Whoever does not end leaves
    /// them by [`Subscription::leave`], and reads on.
    Refused(Vec<(Channel, Error)>),
    /// The node is shutting down.
    Draining,
    /// An operator ended it.
    Dismissed {
        /// Whether its client is not to come back by itself.
        stay_away: bool,
    },
    /// The broker is lost.
    Failed(Error),
}

/// Whose read it is, by which settings it was judged, and what ends it before its client does.
pub(super) struct Term {
    pub(super) identity: Identity,
    /// The number of the settings that it was judged by last; 0: by none.
    pub(super) judged_by: u64,
    expires_ms: Option<u64>,
    watch: Option<Watch>,
}

impl Term {
    /// The term of a session, from now on. What ends it wakes the bell.
    pub(super) fn of(session: &Session, bell: &Arc<Bell>) -> Self {
        Term {
            identity: session.identity().clone(),
            judged_by: 0,
            expires_ms: session.expires_ms(),
            watch: session.watch_revocations(bell),
        }
    }

    /// Whether its token has ended.
    pub(super) fn is_over(&self, now_ms: u64) -> bool {
        self.is_revoked() || self.expires_ms.is_some_and(|at| at <= now_ms)
    }

    /// Milliseconds until the token ends, 0 once it is revoked or its credentials are accepted no more.
    pub(super) fn left_ms(&self, hub: &Shared) -> Option<u64> {
        let refused = || hub.settings.get().keys.renew(&self.identity).is_err();
        if self.is_revoked() || self.is_outdated(hub) && refused() {
            return Some(0);
        }
        self.expires_ms.map(|at| at.saturating_sub(hub.clock.now_ms()))
    }

    /// Whether it was judged by other settings than those in force.
    pub(super) fn is_outdated(&self, hub: &Shared) -> bool {
        self.judged_by != hub.settings.number()
    }

    fn is_revoked(&self) -> bool {
        self.watch.as_ref().is_some_and(Watch::is_revoked)
    }
}

impl Default for Term {
    /// That of nobody.
    fn default() -> Self {
        Term { identity: Identity::Anonymous, judged_by: 0, expires_ms: None, watch: None }
    }
}
