//! The step that every stream repeats: take what follows, write it in one call, stand where the socket does.

use std::io;
use std::task::{Context, Poll};

use tidings_core::{End, Item, Subscription};

use super::{Line, Scratch, Unit};

/// A subscription whose items go out on a line.
pub struct Pump {
    /// What is read.
    pub subscription: Subscription,
    /// Messages that may still go out.
    left: Option<u64>,
}

/// What one step did.
#[derive(Debug)]
pub enum Step {
    /// Something went out. `more`: step again at once; else the task is woken when something follows.
    Wrote { more: bool },
    /// As many messages went out as were asked for.
    Limit,
    /// The subscription ended by itself.
    Ended(End),
}

/// Items taken from a subscription for one write.
const ITEMS_AT_ONCE: usize = 64;

impl Pump {
    /// A pump that stops after `limit` messages, if there is a limit.
    pub fn new(subscription: Subscription, limit: Option<u64>) -> Self {
        Pump { subscription, left: limit }
    }

    /// Writes what follows. `encode` gives a unit for each item, in order, and
    /// may add units behind the last. Call only while nothing is pending on the line.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        line: &mut Line,
        encode: impl FnOnce(&Subscription, &[(u32, Item)], &mut Vec<Unit>),
    ) -> Poll<io::Result<Step>> {
        let max = match self.left {
            None => ITEMS_AT_ONCE,
            Some(0) => return Poll::Ready(Ok(Step::Limit)),
            Some(left) => ITEMS_AT_ONCE.min(usize::try_from(left).unwrap_or(usize::MAX)),
        };
        Scratch::lend(|Scratch { batch, units, run, .. }| {
            match self.subscription.poll_next(cx, max, batch) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(end)) => return Poll::Ready(Ok(Step::Ended(end))),
                Poll::Pending => return Poll::Pending,
            }
            encode(&self.subscription, &batch.items, units);
            let begun = std::task::ready!(line.poll_send(cx, units, run))?;
            let items = &batch.items[..begun.min(batch.items.len())];
            let bytes = units.iter().take(begun).map(|unit| unit.private.len() + unit.shared.len());
            self.subscription.advance_all(items, bytes.sum::<usize>() as u64);
            if let Some(left) = &mut self.left {
                *left -= items.iter().filter(|(_, item)| matches!(item, Item::Entry(_))).count() as u64;
            }
            let all = begun >= batch.items.len();
            if all {
                // The socket took the messages and not what stands behind them.
                for unit in units.iter().skip(begun) {
                    line.push(unit.private.clone());
                    line.push(unit.shared.clone());
                }
            }
            Poll::Ready(Ok(Step::Wrote { more: batch.more || !all || self.left == Some(0) }))
        })
    }
}
