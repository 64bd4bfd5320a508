//! One open stream: a loop around a subscription and a socket.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tidings_core::{Cursor, End, Item, Subscription};
use tokio::time::Instant;

use crate::Doors;
use crate::stream::{Deadline, Line, Open, Pump, Scratch, Socket, Step, Unit, come_back_ms, two_acts};

use super::encode::{self, Form};

/// A stream over one or many channels.
pub(super) struct Stream {
    pump: Pump,
    form: Form,
    deadline: Deadline,
    /// When something last went out, as of the last look at the clock.
    wrote: Instant,
    heartbeat: Duration,
    _open: Open,
}

/// How a stream ended.
enum Ended {
    /// All that was asked for, or all that there ever will be, has been written.
    Whole,
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
    pub(super) fn new(doors: &Doors, pump: Pump, form: Form, open: Open) -> Self {
        Stream {
            pump,
            form,
            deadline: Deadline::default(),
            wrote: Instant::now(),
            heartbeat: doors.heartbeat,
            _open: open,
        }
    }

    /// Runs until the peer goes, the limit is reached, or the session ends.
    pub(super) fn run(self, socket: Socket, greeting: [Bytes; 2]) -> impl Future<Output = ()> {
        let mut line = Line::new(socket);
        greeting.into_iter().for_each(|part| line.push(part));
        two_acts(
            (self, line, 0),
            |(stream, line, ignored), cx| stream.poll(cx, line, ignored),
            |(stream, line, _), ended| Box::pin(stream.end(line, ended)),
        )
    }

    async fn end(mut self, mut line: Line, ended: io::Result<Ended>) {
        let Ok(ended) = ended else { return };
        if let Ended::Whole | Ended::ByPeer = ended {
            self.pump.subscription.left_cleanly();
        }
        // The read is over, however long the last block takes to leave.
        drop(self);
        if let Ended::Whole | Ended::Cut = ended {
            let flushed = poll_fn(|cx| line.poll_flush(cx));
            // A peer that takes nothing now loses no message: it has its cursor.
            if let Ok(Ok(())) = tokio::time::timeout(LAST_WRITE, flushed).await {
                line.linger().await;
            }
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        line: &mut Line,
        ignored: &mut usize,
    ) -> Poll<io::Result<Ended>> {
        if let Poll::Ready(gone) = poll_gone(cx, line, ignored) {
            return Poll::Ready(gone.map(|()| Ended::ByPeer));
        }
        loop {
            if line.poll_flush(cx)?.is_pending() {
                break;
            }
            let form = self.form;
            let encode =
                |subscription: &_, items: &_, units: &mut _| encode(subscription, form, items, units);
            match self.pump.poll(cx, line, encode)? {
                Poll::Ready(Step::Wrote { more: true }) => {}
                Poll::Ready(Step::Wrote { more: false }) | Poll::Pending => break,
                Poll::Ready(Step::Limit | Step::Ended(End::Closed)) => return Poll::Ready(Ok(Ended::Whole)),
                Poll::Ready(Step::Ended(end)) => {
                    self.say_end(line, &end);
                    return Poll::Ready(Ok(Ended::Cut));
                }
            }
        }
        self.poll_time(cx, line)
    }

    fn say_end(&self, line: &mut Line, end: &End) {
        let retry_ms = match end {
            // It needs a new token first; there is nothing to wait for.
            End::Expired => super::RETRY_MS,
            // Whoever is refused is told so when it comes back: a stream has no other word for it.
            End::Refused(_) | End::Draining | End::Dismissed { .. } | End::Failed(_) | End::Closed => {
                come_back_ms()
            }
        };
        let block = format!("retry: {retry_ms}\nid: {}\n\n", self.pump.subscription.cursor());
        line.push(block.into());
    }

    /// Heartbeat, the end of the token, and a socket that takes nothing.
    fn poll_time(&mut self, cx: &mut Context<'_>, line: &mut Line) -> Poll<io::Result<Ended>> {
        loop {
            let now = Instant::now();
            if line.take_wrote() {
                self.wrote = now;
            }
            let mut at = now + Duration::from_secs(3_600);
            let stuck_at = self.pump.subscription.note_blocked(line.blocked_since(), now);
            at = stuck_at.unwrap_or(at).min(at);
            match line.blocked_since() {
                Some(since) => {
                    let max_lag = Duration::from_millis(self.pump.subscription.max_lag_ms());
                    if since + max_lag <= now {
                        return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                    }
                    at = at.min(since + max_lag);
                    self.pump.subscription.wake_at_end(cx);
                }
                None if self.wrote + self.heartbeat <= now => {
                    self.wrote = now;
                    line.push(COMMENT);
                    // Pending: the socket is full, which the next turn of the loop notes.
                    let _ = line.poll_flush(cx)?;
                    continue;
                }
                None => at = at.min(self.wrote + self.heartbeat),
            }
            if let Some(ms) = self.pump.subscription.expires_in_ms() {
                if ms == 0 {
                    self.say_end(line, &self.pump.subscription.why());
                    return Poll::Ready(Ok(Ended::Cut));
                }
                at = at.min(now + Duration::from_millis(ms));
            }
            if self.deadline.poll(cx, now, at).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

/// A unit for each item. Over several channels the last event of the write carries their cursor as its id.
fn encode(subscription: &Subscription, form: Form, items: &[(u32, Item)], units: &mut Vec<Unit>) {
    let last = items.len().saturating_sub(1);
    let mut cursor = (form == Form::Full).then(|| subscription.cursor());
    for (at, (reader, item)) in items.iter().enumerate() {
        let Some(channel) = subscription.channel(*reader) else { continue };
        if let Some(cursor) = &mut cursor {
            cursor.set(channel, item.position());
        }
        units.push(match (item, &cursor) {
            (Item::Entry(entry), cursor) => Unit {
                private: cursor.as_ref().filter(|_| at == last).map_or_else(Bytes::new, encode::id),
                shared: entry.wire(form.slot(), |message| encode::event(form, message)),
            },
            (Item::Gap(gap), cursor) => {
                let one = Cursor::one(channel, gap.until);
                let shared = encode::gap(channel, gap, cursor.as_ref().unwrap_or(&one));
                Unit { private: Bytes::new(), shared }
            }
            (Item::End(end), cursor) => {
                let one = Cursor::one(channel, *end);
                let shared = encode::end(channel, *end, cursor.as_ref().unwrap_or(&one));
                Unit { private: Bytes::new(), shared }
            }
        });
    }
}

/// Ready once the peer has gone. What it sends is not for us: requests behind a
/// stream are not answered (`Connection: close`, RFC 9112 section 9.6).
fn poll_gone(cx: &mut Context<'_>, line: &mut Line, ignored: &mut usize) -> Poll<io::Result<()>> {
    Scratch::lend(|scratch| {
        loop {
            match std::task::ready!(line.poll_read(cx, &mut scratch.read))? {
                0 => return Poll::Ready(Ok(())),
                bytes => *ignored += bytes,
            }
            if *ignored > IGNORED_BYTES_MAX {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
        }
    })
}
