//! A cursor that moves: one way to read a channel.
//!
//! The loop has three arms. *Below the ring*: read a page from the broker.
//! *In the ring*: take a batch. *At its end*: wait for the bell. A reader
//! holds no messages between two calls; its place moves when its door says
//! that an item has begun to go out.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::{sleep, timeout};

use crate::broker::{Broker, BrokerError};
use crate::error::{Code, Error};
use crate::feed::{Entry, LOST_AFTER, Lease, Look, RETRY_FIRST, RETRY_MAX};
use crate::log::{Channel, Found, Gap, Limit, Page, Position, Rules};

/// One thing that a reader gives.
#[derive(Debug, Clone)]
pub enum Item {
    /// A message.
    Entry(Arc<Entry>),
    /// Messages that cannot be delivered.
    Gap(Gap),
    /// The channel is closed: nothing follows this place.
    End(Position),
}

impl Item {
    /// What a tail gave: a message, or the end.
    fn of(entry: Arc<Entry>) -> Self {
        match entry.message.is_end() {
            true => Item::End(entry.message.position),
            false => Item::Entry(entry),
        }
    }

    /// Where a reader stands that has got this item.
    pub fn position(&self) -> Position {
        match self {
            Item::Entry(entry) => entry.message.position,
            Item::Gap(gap) => gap.until,
            Item::End(position) => *position,
        }
    }
}

/// A place in one channel, and how to read on from there.
pub(crate) struct Reader {
    channel: Channel,
    rules: Rules,
    at: Position,
    gap: Option<Gap>,
    /// The place after the end, once it is known that the channel is closed.
    closed: Option<Position>,
    /// Whether its client was told.
    ended: bool,
    /// Where the ring ended at the last look, if the bell has not rung since.
    end: Option<Position>,
    lease: Lease,
    page: Option<PageRead>,
}

/// A page on its way, and where the ring ended when it was asked for.
type PageRead = Pin<Box<dyn Future<Output = (Position, Result<Page, BrokerError>)> + Send>>;

/// A page is small: what a full socket does not take is read again.
const PAGE: Limit = Limit { messages: 64, bytes: 64 * 1024 };

impl Reader {
    /// A reader at a place, which begins with a gap if one is known.
    pub(crate) fn new(channel: Channel, rules: Rules, at: Position, found: &Found, lease: Lease) -> Self {
        let closed = found.closed.then_some(found.end);
        Reader { channel, rules, at, gap: found.gap, closed, ended: false, end: None, lease, page: None }
    }

    /// The channel it reads.
    pub(crate) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Its place: just after the last item that began to go out.
    pub(crate) fn at(&self) -> Position {
        self.at
    }

    /// How many messages follow a place of it, as far as its feed knows.
    pub(crate) fn after(&self, place: Position) -> Option<usize> {
        self.lease.feed.after(place)
    }

    /// Reads by other rules from now on; but what becomes of it below the log stays, as its greeting said.
    pub(crate) fn keep_by(&mut self, rules: Rules) {
        self.rules = Rules { below: self.rules.below, ..rules };
    }

    /// Whether its channel is closed, and it stands after the end.
    pub(crate) fn is_past_the_end(&self) -> bool {
        self.closed == Some(self.at)
    }

    /// Notes that the bell rang for it.
    pub(crate) fn rung(&mut self) {
        self.end = None;
    }

    /// Whether it stands where the ring ended at its last look, so that only the bell can bring more.
    pub(crate) fn is_at_end(&self) -> bool {
        self.ended || self.end == Some(self.at)
    }

    /// Whether its channel is closed, and all of it, with the end, has begun to go out.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether the broker's answer will wake the task, so that no bell needs to.
    pub(crate) fn waits_for_broker(&self) -> bool {
        self.page.is_some()
    }

    /// Moves to the place after an item that began to go out.
    pub(crate) fn advance(&mut self, item: &Item) {
        self.at = item.position();
        match item {
            Item::Entry(_) => {}
            Item::Gap(_) => self.gap = None,
            Item::End(_) => self.ended = true,
        }
    }

    /// Appends up to `max` items after its place to `out`, and says whether more may
    /// follow at once. Pending: nothing there; the bell rings, or the broker's answer wakes the task.
    pub(crate) fn poll_items(
        &mut self,
        cx: &mut Context<'_>,
        broker: &Arc<dyn Broker>,
        max: usize,
        entries: &mut Vec<Arc<Entry>>,
        mut out: impl FnMut(Item),
    ) -> Poll<Result<bool, Error>> {
        if let Some(gap) = self.gap {
            out(Item::Gap(gap));
            return Poll::Ready(Ok(true));
        }
        if self.ended {
            return Poll::Pending;
        }
        if self.is_past_the_end() {
            out(Item::End(self.at));
            return Poll::Ready(Ok(true));
        }
        let mut nothing_below = None;
        loop {
            if self.page.is_none() {
                match self.lease.feed.look(self.at, max, entries) {
                    Ok(Look::Entries { more }) => {
                        let last = entries.last().map(|entry| entry.message.position);
                        self.end = last.filter(|_| !more);
                        entries.drain(..).for_each(|entry| out(Item::of(entry)));
                        return Poll::Ready(Ok(more));
                    }
                    Ok(Look::End) => return Poll::Pending,
                    // The broker has no more, and the feed begins later: it will ring when it gets there.
                    Ok(Look::Below(end)) if nothing_below == Some(end) => return Poll::Pending,
                    Ok(Look::Below(end)) => self.page = Some(self.read_page(broker, end)),
                    Err(_lost) => {
                        let detail = "the broker does not answer";
                        return Poll::Ready(Err(Error::new(Code::BrokerUnavailable, detail)));
                    }
                }
            }
            let Some(page) = &mut self.page else { return Poll::Pending };
            let (end, page) = std::task::ready!(page.as_mut().poll(cx));
            self.page = None;
            let page = page.map_err(Error::from)?;
            self.closed = page.end.or(self.closed);
            if let Some(gap) = page.gap {
                self.gap = Some(gap);
                out(Item::Gap(gap));
                // What was read with it goes with it: read apart, it may be gone by then, and so on for ever where
                // messages come faster than the broker gives pages.
                if page.messages.is_empty() {
                    return Poll::Ready(Ok(true));
                }
            }
            if page.messages.is_empty()
                && let Some(end) = page.end
            {
                out(Item::End(end));
                return Poll::Ready(Ok(true));
            }
            if page.messages.is_empty() {
                // What the feed rang for during the read is not in it: look again, until nothing changes meanwhile.
                nothing_below = Some(end);
                continue;
            }
            let messages = page.messages.into_iter().take(max);
            messages.for_each(|message| out(Item::Entry(Arc::new(Entry::new(message)))));
            return Poll::Ready(Ok(true));
        }
    }

    fn read_page(&self, broker: &Arc<dyn Broker>, end: Position) -> PageRead {
        let (broker, channel, rules, at) = (broker.clone(), self.channel.clone(), self.rules, self.at);
        Box::pin(async move {
            // One hiccup of the broker must not send everybody away who reads the past.
            let read = async {
                let mut pause = RETRY_FIRST;
                loop {
                    match broker.read(&channel, at, PAGE, &rules).await {
                        Err(BrokerError::Unavailable(_) | BrokerError::Lost(_)) => sleep(pause).await,
                        answer => return answer,
                    }
                    pause = (pause * 2).min(RETRY_MAX);
                }
            };
            let late = || BrokerError::Unavailable("it does not answer a read".into());
            (end, timeout(LOST_AFTER, read).await.unwrap_or_else(|_late| Err(late())))
        })
    }
}
