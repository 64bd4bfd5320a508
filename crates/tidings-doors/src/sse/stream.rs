//! One open stream: a loop around a subscription and a socket.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use prometheus_client::metrics::gauge::Gauge;
use tidings_core::{End, Item, Subscription};
use tokio::time::Instant;

use crate::Doors;
use crate::stream::{Deadline, ITEMS_AT_ONCE, Out, Scratch, Socket, Unit, come_back_ms};

use super::encode::{self, Form};

/// A stream over one or many channels.
pub(super) struct Stream {
    subscription: Subscription,
    form: Form,
    /// Messages that may still go out.
    left: Option<u64>,
    out: Out,
    deadline: Deadline,
    /// When something last went out.
    wrote: Instant,
    heartbeat: Duration,
    open: Gauge,
}

/// How a stream ended.
enum Ended {
    /// All that was asked for has been written.
    Limit,
    /// The last block is written or pending; the client is to come back.
    Cut,
    ByPeer,
}

/// A comment: nothing for the application, life for the connection.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");
/// A client of a stream has nothing to send; more than this is refused.
const IGNORED_BYTES_MAX: usize = 64 * 1024;
/// How long the last block may take to leave.
const LAST_WRITE: Duration = Duration::from_secs(5);

impl Stream {
    pub(super) fn new(
        doors: &Doors,
        subscription: Subscription,
        form: Form,
        limit: Option<u64>,
        greeting: [Bytes; 2],
    ) -> Self {
        let mut out = Out::default();
        greeting.into_iter().for_each(|part| out.push(part));
        let open = doors.hub.metrics().connections("sse");
        open.inc();
        Stream {
            subscription,
            form,
            left: limit,
            out,
            deadline: Deadline::default(),
            wrote: Instant::now(),
            heartbeat: doors.heartbeat,
            open,
        }
    }

    /// Runs until the peer goes, the limit is reached, or the session ends.
    pub(super) async fn run(mut self, mut socket: Socket) {
        let mut ignored = 0;
        let ended = poll_fn(|cx| self.poll(cx, &mut socket, &mut ignored)).await;
        let Ok(ended) = ended else { return };
        if let Ended::Limit | Ended::ByPeer = ended {
            self.subscription.left_cleanly();
        }
        let mut out = std::mem::take(&mut self.out);
        // The read is over, however long the last block takes to leave.
        drop(self);
        if let Ended::ByPeer = ended {
            return;
        }
        // Boxed: a stream that lives for hours must not hold room for its last second.
        Box::pin(async move {
            let flushed = poll_fn(|cx| out.poll_flush(cx, &mut socket));
            // A peer that takes nothing now loses no message: it has its cursor.
            if let Ok(Ok(())) = tokio::time::timeout(LAST_WRITE, flushed).await {
                socket.linger().await;
            }
        })
        .await;
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut Socket,
        ignored: &mut usize,
    ) -> Poll<io::Result<Ended>> {
        if let Poll::Ready(gone) = poll_gone(cx, socket, ignored) {
            return Poll::Ready(gone.map(|()| Ended::ByPeer));
        }
        loop {
            if self.out.poll_flush(cx, socket)?.is_pending() {
                break;
            }
            if self.left == Some(0) {
                return Poll::Ready(Ok(Ended::Limit));
            }
            match self.poll_items(cx, socket)? {
                Poll::Ready(Ok(())) => self.wrote = Instant::now(),
                Poll::Ready(Err(end)) => {
                    self.say_end(&end);
                    return Poll::Ready(Ok(Ended::Cut));
                }
                Poll::Pending => break,
            }
        }
        self.poll_time(cx, socket)
    }

    /// Writes what follows, in one call.
    fn poll_items(&mut self, cx: &mut Context<'_>, socket: &mut Socket) -> io::Result<Poll<Result<(), End>>> {
        Scratch::lend(|scratch| {
            let max = self
                .left
                .map_or(ITEMS_AT_ONCE, |left| ITEMS_AT_ONCE.min(left.try_into().unwrap_or(usize::MAX)));
            match self.subscription.poll_next(cx, max, &mut scratch.batch) {
                Poll::Ready(Ok(())) => {}
                other => return Ok(other),
            }
            self.encode(scratch);
            let begun = match self.out.poll_send(cx, socket, &scratch.units) {
                Poll::Ready(begun) => begun?,
                Poll::Pending => return Ok(Poll::Pending),
            };
            for (reader, item) in &scratch.batch.items[..begun] {
                self.subscription.advance(*reader, item);
                if let (Item::Entry(_), Some(left)) = (item, &mut self.left) {
                    *left -= 1;
                }
            }
            Ok(Poll::Ready(Ok(())))
        })
    }

    fn encode(&self, scratch: &mut Scratch) {
        let last = scratch.batch.items.len().saturating_sub(1);
        let mut cursor = None;
        if self.form == Form::Full {
            cursor = Some(self.subscription.cursor());
        }
        for (at, (reader, item)) in scratch.batch.items.iter().enumerate() {
            let Some(channel) = self.subscription.channel(*reader) else { continue };
            if let Some(cursor) = &mut cursor {
                cursor.set(channel, item.position());
            }
            let unit = match (item, &cursor) {
                (Item::Entry(entry), None) => Unit {
                    private: Bytes::new(),
                    shared: entry.wire(self.form.slot(), |m| encode::event(self.form, m)),
                },
                (Item::Entry(entry), Some(cursor)) => Unit {
                    private: if at == last { encode::id(cursor) } else { Bytes::new() },
                    shared: entry.wire(self.form.slot(), |message| encode::event(self.form, message)),
                },
                (Item::Gap(gap), cursor) => {
                    let one = tidings_core::Cursor::one(channel, gap.until);
                    let shared = encode::gap(channel, gap, cursor.as_ref().unwrap_or(&one));
                    Unit { private: Bytes::new(), shared }
                }
            };
            scratch.units.push(unit);
        }
    }

    fn say_end(&mut self, end: &End) {
        let retry_ms = match end {
            // It needs a new token first; there is nothing to wait for.
            End::Expired => super::RETRY_MS,
            End::Draining | End::Failed(_) => come_back_ms(),
        };
        let block = format!("retry: {retry_ms}\nid: {}\n\n", self.subscription.cursor());
        self.out.push(block.into());
    }

    /// Heartbeat, the end of the token, and a socket that takes nothing.
    fn poll_time(&mut self, cx: &mut Context<'_>, socket: &mut Socket) -> Poll<io::Result<Ended>> {
        loop {
            let now = Instant::now();
            let mut at = now + Duration::from_secs(3_600);
            match self.out.blocked_since() {
                Some(since) => {
                    let max_lag = Duration::from_millis(self.subscription.max_lag_ms());
                    if since + max_lag <= now {
                        return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                    }
                    at = at.min(since + max_lag);
                }
                None if self.wrote + self.heartbeat <= now => {
                    self.wrote = now;
                    self.out.push(COMMENT);
                    // Pending: the socket is full, which the next turn of the loop notes.
                    let _ = self.out.poll_flush(cx, socket)?;
                    continue;
                }
                None => at = at.min(self.wrote + self.heartbeat),
            }
            if let Some(ms) = self.subscription.expires_in_ms() {
                if ms == 0 {
                    self.say_end(&End::Expired);
                    return Poll::Ready(Ok(Ended::Cut));
                }
                at = at.min(now + Duration::from_millis(ms));
            }
            if self.deadline.poll(cx, at).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// Ready once the peer has gone. What it sends is not for us: requests behind a
/// stream are not answered (`Connection: close`, RFC 9112 section 9.6).
fn poll_gone(cx: &mut Context<'_>, socket: &mut Socket, ignored: &mut usize) -> Poll<io::Result<()>> {
    Scratch::lend(|scratch| {
        loop {
            match std::task::ready!(socket.poll_read(cx, &mut scratch.read))? {
                0 => return Poll::Ready(Ok(())),
                bytes => *ignored += bytes,
            }
            if *ignored > IGNORED_BYTES_MAX {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
        }
    })
}
