//! Public keys that change while a node runs (JWKS). Whoever fetches them is outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jsonwebtoken::Algorithm;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::error::{Code, Error, Result};

use super::PublicKey;

/// The keys of who signs tokens, as they were fetched last. What is fetched in vain changes nothing.
pub struct KeySet {
    keys: RwLock<Option<Arc<[NamedKey]>>>,
    state: watch::Sender<State>,
    /// When a token last asked for keys to be fetched.
    asked: Mutex<Option<Instant>>,
    wanted: Notify,
    /// Which set it is, of all that this process made.
    number: u64,
}

/// A key, and what tokens call it (`kid`).
#[derive(Debug, Clone)]
pub struct NamedKey {
    /// Its name, if it has one.
    pub id: Option<String>,
    /// The key.
    pub key: PublicKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Keys are on their way.
    Fetching,
    /// The last fetch brought keys.
    Fresh,
    /// The last fetch brought none.
    Stale,
}

/// Strangers can make up names of keys: they make the node fetch no more often than this.
const ASK_PAUSE: Duration = Duration::from_secs(10);
/// Keys that are tried on one token: those of one name, or those without one.
const TRIED_MAX: usize = 4;
/// How long a request waits for keys: longer than a fetch may take.
const SETTLE_MAX: Duration = Duration::from_secs(6);

impl Default for KeySet {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        KeySet {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            keys: RwLock::default(),
            state: watch::Sender::new(State::Fetching),
            asked: Mutex::default(),
            wanted: Notify::new(),
        }
    }
}

impl KeySet {
    /// Says that keys are being fetched: requests with a token of an unknown key wait for them.
    pub fn fetching(&self) {
        self.state.send_replace(State::Fetching);
    }

    /// Puts keys in the place of all there were.
    pub fn replace(&self, keys: Vec<NamedKey>) {
        *self.keys.write() = Some(keys.into());
        self.state.send_replace(State::Fresh);
    }

    /// Says that a fetch failed. The keys that there are stay.
    pub fn failed(&self) {
        self.state.send_replace(State::Stale);
    }

    /// Waits until a token names a key that is not here; at most once in ten seconds.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// A number of its own.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Waits for the fetch that is under way, for six seconds at most.
    pub(crate) async fn settled(&self) {
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| *state != State::Fetching);
        // It is late, or its sender is gone: either way there is nothing more to wait for.
        let _ = tokio::time::timeout(SETTLE_MAX, settled).await;
    }

    /// The keys that a token can be of, by its header: those of its name, and those without one.
    ///
    /// # Errors
    ///
    /// [`Code::KeysUnavailable`] where the key may come by another fetch; [`Code::BadToken`] where there is none.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Vec<PublicKey>> {
        if !matches!(algorithm, Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA) {
            return bad("the token's algorithm is none of RS256, ES256 and EdDSA");
        }
        let keys = self.keys.read().clone();
        let named = |key: &&NamedKey| match (id, &key.id) {
            (Some(id), Some(known)) => id == known,
            _ => true,
        };
        let named = || keys.iter().flat_map(|keys| keys.iter()).filter(named);
        let found = named().filter(|key| key.key.algorithm() == algorithm).take(TRIED_MAX);
        let found: Vec<_> = found.map(|key| key.key.clone()).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        if named().next().is_some() {
            return bad("the token's algorithm is not that of its key");
        }
        self.ask(keys.is_some())
    }

    /// Has keys fetched, if it is time.
    fn ask<T>(&self, have_keys: bool) -> Result<T> {
        let unavailable = |detail: &str| Err(Error::new(Code::KeysUnavailable, detail));
        let state = *self.state.borrow();
        if state == State::Fetching {
            return unavailable("the keys of tokens are being fetched");
        }
        {
            let mut asked = self.asked.lock();
            if asked.is_none_or(|at| at.elapsed() >= ASK_PAUSE) {
                *asked = Some(Instant::now());
                self.fetching();
                self.wanted.notify_one();
                return unavailable("the keys of tokens are being fetched");
            }
        }
        match state {
            State::Fresh if have_keys => bad("the token is signed with a key that the JWKS does not have"),
            _ => unavailable("the keys of tokens cannot be fetched"),
        }
    }
}

fn bad<T>(detail: &str) -> Result<T> {
    Err(Error::new(Code::BadToken, detail))
}
