//! One node's live tail of one channel.
//!
//! A feed follows the broker once, whatever the number of readers, keeps the
//! newest messages in a ring, and rings the bells of those who wait. It joins
//! history to live by saying "below the ring": the reader then reads the broker
//! until it is in the ring. There is no hand-over buffer.

mod doorbell;
mod entry;
mod polled;
mod registry;
mod ring;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::Abortable;
use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use crate::broker::{Broker, BrokerError, Tail};
use crate::log::{Channel, Position, Rules};

pub use doorbell::Bell;
pub use entry::{Entry, Slot};
use registry::Turn;
pub(crate) use registry::{Feeds, Lease};
pub(crate) use ring::Look;
use ring::Ring;

mod sync {
    //! The doorbell's atomics; its loom test brings its own.
    pub use atomic_waker::AtomicWaker;
    pub use std::sync::atomic::{AtomicU64, Ordering};
}

/// The live tail of one channel.
pub(crate) struct Feed {
    channel: Channel,
    /// Read before a question to the broker alone, never for a message.
    rules: Mutex<Rules>,
    state: Mutex<State>,
    bells: Mutex<Slab<(Arc<Bell>, u32)>>,
    /// When it last had a message or a new reader, in microseconds since `began`.
    used_us: AtomicU64,
    began: Instant,
    /// Ends the pause of one that polls, and that nobody reads any more.
    left: Notify,
}

enum State {
    /// Not following (yet, or again); since when.
    Joining(Instant),
    Live(Ring),
}

/// How the following of a tail ended.
enum Ended {
    /// Nobody reads any more.
    Unread,
    /// The broker ended it before it gave anything.
    AtOnce,
    /// The broker ended it after it had worked.
    Later,
}

/// The broker has not answered a feed for [`LOST_AFTER`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lost;

/// How long readers wait for a broker that does not answer, before they are told.
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(10);
/// After this long without a message a ring gives its memory back.
const QUIET: Duration = Duration::from_secs(10);
/// A broker that fails is asked again after this, and then after twice as long, up to the longest.
pub(crate) const RETRY_FIRST: Duration = Duration::from_millis(50);
pub(crate) const RETRY_MAX: Duration = Duration::from_secs(2);

impl Feed {
    fn new(channel: Channel, rules: Rules, began: Instant) -> Self {
        Feed {
            channel,
            rules: Mutex::new(rules),
            state: Mutex::new(State::Joining(Instant::now())),
            bells: Mutex::new(Slab::new()),
            used_us: AtomicU64::new(0),
            began,
            left: Notify::new(),
        }
    }

    fn rules(&self) -> Rules {
        *self.rules.lock()
    }

    fn keep_by(&self, rules: Rules) {
        *self.rules.lock() = rules;
    }

    /// Notes that it is used now.
    fn touch(&self) {
        let us = self.began.elapsed().as_micros();
        self.used_us.store(u64::try_from(us).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn used_us(&self) -> u64 {
        self.used_us.load(Ordering::Relaxed)
    }

    /// Appends up to `max` entries after a place to `out`.
    pub(crate) fn look(&self, after: Position, max: usize, out: &mut Vec<Arc<Entry>>) -> Result<Look, Lost> {
        match &*self.state.lock() {
            State::Live(ring) => Ok(ring.look(after, max, out)),
            State::Joining(since) if since.elapsed() >= LOST_AFTER => Err(Lost),
            State::Joining(_) => Ok(Look::End),
        }
    }

    /// How many messages follow a place, as far as its ring goes.
    pub(crate) fn after(&self, place: Position) -> Option<usize> {
        match &*self.state.lock() {
            State::Live(ring) => ring.after(place),
            State::Joining(_) => None,
        }
    }

    /// Wakes all who read it, without anything to read; gives how many they are.
    fn wake(&self) -> usize {
        let bells = self.bells.lock();
        bells.iter().for_each(|(_, (bell, _))| bell.wake());
        bells.len()
    }

    /// Adds a bell, to be rung whenever something changes. Rings it once, for what came before.
    fn join(&self, bell: &Arc<Bell>, reader: u32) -> usize {
        let key = self.bells.lock().insert((bell.clone(), reader));
        bell.ring(reader);
        key
    }

    fn leave(&self, key: usize) {
        let mut bells = self.bells.lock();
        bells.try_remove(key);
        if bells.is_empty() {
            bells.shrink_to_fit();
        }
    }

    /// Follows the broker, or polls it, as its turn is, until nobody reads any more.
    async fn run(self: Arc<Self>, broker: Arc<dyn Broker>, feeds: Feeds, mut turn: Turn) {
        let mut retry = RETRY_FIRST;
        let mut since = Instant::now();
        loop {
            let mut pause = true;
            match timeout(LOST_AFTER, self.tail(&broker, &feeds, turn)).await {
                Ok(Ok(None)) => return,
                Ok(Ok(Some(tail))) => {
                    let ended = self.follow(tail, &|feed| feeds.ends(feed)).await;
                    match ended {
                        Ended::Unread => return,
                        // A broker that ends each tail at once is asked with pauses, and counts as one that does not answer.
                        Ended::AtOnce => {}
                        Ended::Later => (retry, pause, since) = (RETRY_FIRST, false, Instant::now()),
                    }
                    *self.state.lock() = State::Joining(since);
                }
                Ok(Err(error)) => {
                    tracing::debug!(channel = %self.channel, %error, "cannot follow the broker");
                }
                Err(_late) => tracing::debug!(channel = %self.channel, "the broker does not answer `follow`"),
            }
            if pause {
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(RETRY_MAX);
                self.ring_if_lost();
            }
            turn = feeds.turn(&self);
        }
    }

    /// The tail that its turn asks for; none where it is to end.
    async fn tail(
        self: &Arc<Self>,
        broker: &Arc<dyn Broker>,
        feeds: &Feeds,
        turn: Turn,
    ) -> Result<Option<Tail>, BrokerError> {
        let tail = match turn {
            Turn::End => return Ok(None),
            Turn::Poll(pause) => polled::tail(self.clone(), feeds.clone(), broker.clone(), pause).await?,
            Turn::Follow(until) => {
                let Tail { from, items } = broker.follow(&self.channel, &self.rules()).await?;
                Tail { from, items: Box::pin(Abortable::new(items, until)) }
            }
        };
        Ok(Some(tail))
    }

    async fn follow(&self, mut tail: Tail, stop: &impl Fn(&Self) -> bool) -> Ended {
        *self.state.lock() = State::Live(Ring::new(tail.from));
        // Readers below the new ring must learn of it.
        self.ring();
        let began = Instant::now();
        let mut rest_at = began + QUIET;
        let (mut worked, mut came) = (false, false);
        loop {
            match timeout_at(rest_at, tail.items.next()).await {
                Ok(Some(messages)) => {
                    let many = messages.len() > 8;
                    if let State::Live(ring) = &mut *self.state.lock() {
                        messages.into_iter().for_each(|message| ring.push(message));
                    }
                    self.ring();
                    self.touch();
                    (worked, came) = (true, true);
                    if many {
                        // Let the readers take these before the next come, or they fall below the ring.
                        tokio::task::yield_now().await;
                    }
                }
                Ok(None) if worked || began.elapsed() > RETRY_MAX => return Ended::Later,
                Ok(None) => return Ended::AtOnce,
                Err(_rest) => {}
            }
            // Not only where it is quiet: a busy channel may have lost its last reader, too.
            if Instant::now() >= rest_at {
                rest_at = Instant::now() + QUIET;
                if let State::Live(ring) = &mut *self.state.lock()
                    && !std::mem::take(&mut came)
                    && !ring.is_empty()
                {
                    ring.clear();
                }
                if stop(self) {
                    return Ended::Unread;
                }
            }
        }
    }

    fn ring(&self) {
        for (_, (bell, reader)) in self.bells.lock().iter() {
            bell.ring(*reader);
        }
    }

    fn ring_if_lost(&self) {
        let lost = matches!(&*self.state.lock(), State::Joining(since) if since.elapsed() >= LOST_AFTER);
        if lost {
            self.ring();
        }
    }
}
