//! One node's live tail of one channel.
//!
//! A feed follows the broker once, whatever the number of readers, keeps the
//! newest messages in a ring, and rings the bells of those who wait. It joins
//! history to live by saying "below the ring": the reader then reads the broker
//! until it is in the ring. There is no hand-over buffer.

mod doorbell;
mod entry;
mod registry;
mod ring;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use parking_lot::Mutex;
use slab::Slab;
use tokio::time::Instant;

use crate::broker::{Broker, Tail};
use crate::log::{Channel, Position, Rules};

pub use doorbell::Bell;
pub use entry::{Entry, Slot};
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
    rules: Rules,
    state: Mutex<State>,
    bells: Mutex<Slab<(Arc<Bell>, u32)>>,
}

enum State {
    /// Not following (yet, or again); since when.
    Joining(Instant),
    Live(Ring),
}

/// The broker has not answered a feed for [`LOST_AFTER`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lost;

/// How long readers wait for a broker that does not answer, before they are told.
const LOST_AFTER: Duration = Duration::from_secs(10);
/// After this long without a message a ring gives its memory back.
const QUIET: Duration = Duration::from_secs(10);
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);

impl Feed {
    fn new(channel: Channel, rules: Rules) -> Self {
        Feed {
            channel,
            rules,
            state: Mutex::new(State::Joining(Instant::now())),
            bells: Mutex::new(Slab::new()),
        }
    }

    /// Appends up to `max` entries after a place to `out`.
    pub(crate) fn look(&self, after: Position, max: usize, out: &mut Vec<Arc<Entry>>) -> Result<Look, Lost> {
        match &*self.state.lock() {
            State::Live(ring) => Ok(ring.look(after, max, out)),
            State::Joining(since) if since.elapsed() >= LOST_AFTER => Err(Lost),
            State::Joining(_) => Ok(Look::End),
        }
    }

    /// Adds a bell, to be rung whenever something changes. Rings it once, for what came before.
    fn join(&self, bell: Arc<Bell>, reader: u32) -> usize {
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

    /// Follows the broker until `stop` says that nobody reads any more.
    async fn run(self: Arc<Self>, broker: Arc<dyn Broker>, stop: impl Fn(&Self) -> bool) {
        let mut retry = RETRY_FIRST;
        loop {
            match broker.follow(&self.channel, &self.rules).await {
                Ok(tail) => {
                    retry = RETRY_FIRST;
                    if self.follow(tail, &stop).await.is_break() {
                        return;
                    }
                    *self.state.lock() = State::Joining(Instant::now());
                }
                Err(error) => {
                    tracing::debug!(channel = %self.channel, %error, "cannot follow the broker");
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(RETRY_MAX);
                    self.ring_if_lost();
                    if stop(&self) {
                        return;
                    }
                }
            }
        }
    }

    async fn follow(&self, mut tail: Tail, stop: &impl Fn(&Self) -> bool) -> std::ops::ControlFlow<()> {
        *self.state.lock() = State::Live(Ring::new(tail.from));
        // Readers below the new ring must learn of it.
        self.ring();
        loop {
            match tokio::time::timeout(QUIET, tail.items.next()).await {
                Ok(Some(messages)) => {
                    let many = messages.len() > 8;
                    if let State::Live(ring) = &mut *self.state.lock() {
                        messages.into_iter().for_each(|message| ring.push(message));
                    }
                    self.ring();
                    if many {
                        // Let the readers take these before the next come, or they fall below the ring.
                        tokio::task::yield_now().await;
                    }
                }
                Ok(None) => return std::ops::ControlFlow::Continue(()),
                Err(_quiet) => {
                    if let State::Live(ring) = &mut *self.state.lock()
                        && !ring.is_empty()
                    {
                        ring.clear();
                    }
                    if stop(self) {
                        return std::ops::ControlFlow::Break(());
                    }
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
