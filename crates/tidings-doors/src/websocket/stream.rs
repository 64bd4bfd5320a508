//! One open WebSocket over channels: a loop around a subscription and a connection.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use prometheus_client::metrics::gauge::Gauge;
use tidings_core::{Channel, Code, End, Error, Item, Session, Slot, Subscription};
use tokio::time::Instant;

use crate::Doors;
use crate::http::problem::Problem;
use crate::stream::{Deadline, ITEMS_AT_ONCE, Scratch, Unit};

use super::connection::{Closed, Connection};
use super::decoder::Violation;
use super::{frame, greeting, publishing};

/// A stream over one or many channels.
pub(super) struct Stream {
    session: Session,
    subscription: Subscription,
    /// The channel of the URL; `None` on `/v1/subscribe`.
    only: Option<Channel>,
    /// Messages that may still go out.
    left: Option<u64>,
    /// The answer that is being made; the next frame is read after it.
    answer: Option<Answer>,
    deadline: Deadline,
    open: Gauge,
}

/// A frame, and the code with which the connection ends after it, if it does.
type Answer = Pin<Box<dyn Future<Output = (Bytes, Option<Code>)> + Send>>;

/// Why the loop ended.
enum Ended {
    Limit,
    Error(Code),
    Closed(Closed),
}

const SLOT: Slot = Slot(0);

impl Stream {
    pub(super) fn new(
        doors: &Doors,
        session: Session,
        subscription: Subscription,
        limit: Option<u64>,
        single: bool,
    ) -> Self {
        let only = subscription.facts().first().filter(|_| single).map(|fact| fact.channel.clone());
        let open = doors.hub.metrics().connections("websocket");
        open.inc();
        Stream { session, subscription, only, left: limit, answer: None, deadline: Deadline::default(), open }
    }

    /// Runs until either side closes.
    pub(super) async fn run(mut self, mut connection: Connection) {
        connection.push(greeting::greeting(&self.subscription));
        let ended = poll_fn(|cx| self.poll(cx, &mut connection)).await;
        // Who is told to come back counts as lost for as long as that may take.
        if let Ended::Limit | Ended::Error(Code::TooLarge) | Ended::Closed(Closed::ByPeer(_)) = ended {
            self.subscription.left_cleanly();
        }
        // The read is over, however long the peer takes to close: the places are in its hands.
        drop(self);
        // The ends are boxed: a stream that lives for hours must not hold room for its last second.
        match ended {
            Ended::Limit => Box::pin(connection.close(1000, "")).await,
            Ended::Error(code) => {
                let (code, reason) = greeting::goodbye(code);
                Box::pin(connection.close(code, &reason)).await;
            }
            Ended::Closed(closed) => Box::pin(end(connection, closed)).await,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, connection: &mut Connection) -> Poll<Ended> {
        let lost = || Poll::Ready(Ended::Closed(Closed::Lost));
        // Once the socket has nothing to read, its wake is registered: asking again in this turn tells nothing.
        let mut nothing_to_read = false;
        loop {
            let mut idle = true;
            match connection.poll_flush(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return lost(),
                Poll::Pending => break,
            }
            if let Some(answer) = &mut self.answer {
                if let Poll::Ready((frame, ends)) = answer.as_mut().poll(cx) {
                    self.answer = None;
                    connection.push(frame);
                    if let Some(code) = ends {
                        return Poll::Ready(Ended::Error(code));
                    }
                    continue;
                }
            } else if !nothing_to_read {
                match connection.poll_receive(cx) {
                    Poll::Ready(Ok(received)) => {
                        let answer = publishing::publish(self.session.clone(), self.only.clone(), received);
                        self.answer = Some(Box::pin(answer));
                        continue;
                    }
                    Poll::Ready(Err(closed)) => return Poll::Ready(Ended::Closed(closed)),
                    Poll::Pending if !connection.is_flushed() => continue,
                    Poll::Pending => nothing_to_read = true,
                }
            }
            if self.left == Some(0) {
                return Poll::Ready(Ended::Limit);
            }
            match self.poll_items(cx, connection) {
                Err(_) => return lost(),
                Ok(Poll::Ready(Ok(()))) => idle = false,
                Ok(Poll::Ready(Err(end))) => return Poll::Ready(Ended::Error(code(&end))),
                Ok(Poll::Pending) => {}
            }
            if idle {
                break;
            }
        }
        self.poll_time(cx, connection)
    }

    /// Writes what follows, in one call.
    fn poll_items(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
    ) -> io::Result<Poll<Result<(), End>>> {
        Scratch::lend(|scratch| {
            let max = self
                .left
                .map_or(ITEMS_AT_ONCE, |left| ITEMS_AT_ONCE.min(left.try_into().unwrap_or(usize::MAX)));
            match self.subscription.poll_next(cx, max, &mut scratch.batch) {
                Poll::Ready(Ok(())) => {}
                other => return Ok(other),
            }
            let mut cursor = self.only.is_none().then(|| self.subscription.cursor());
            for (reader, item) in &scratch.batch.items {
                let Some(channel) = self.subscription.channel(*reader) else { continue };
                if let Some(cursor) = &mut cursor {
                    cursor.set(channel, item.position());
                }
                let shared = match item {
                    Item::Entry(entry) => entry.wire(SLOT, greeting::message),
                    Item::Gap(gap) => {
                        let one = tidings_core::Cursor::one(channel, gap.until);
                        greeting::gap(channel, gap, cursor.as_ref().unwrap_or(&one))
                    }
                };
                scratch.units.push(Unit { private: Bytes::new(), shared });
            }
            let items = scratch.units.len();
            if let Some(cursor) = cursor {
                scratch.units.push(Unit { private: Bytes::new(), shared: greeting::cursor(&cursor) });
            }
            let begun = match connection.poll_send(cx, &scratch.units) {
                Poll::Ready(begun) => begun?,
                Poll::Pending => return Ok(Poll::Pending),
            };
            for (reader, item) in &scratch.batch.items[..begun.min(items)] {
                self.subscription.advance(*reader, item);
                if let (Item::Entry(_), Some(left)) = (item, &mut self.left) {
                    *left -= 1;
                }
            }
            if begun == items && scratch.units.len() > items {
                // The socket took the messages and not the cursor behind them.
                connection.push(scratch.units[items].shared.clone());
            }
            Ok(Poll::Ready(Ok(())))
        })
    }

    /// Heartbeat, the end of the token, and a socket that takes nothing.
    fn poll_time(&mut self, cx: &mut Context<'_>, connection: &mut Connection) -> Poll<Ended> {
        loop {
            let now = Instant::now();
            let mut at = match connection.heartbeat(now) {
                Ok(at) => at,
                Err(closed) => return Poll::Ready(Ended::Closed(closed)),
            };
            if let Poll::Ready(Err(_)) = connection.poll_flush(cx) {
                return Poll::Ready(Ended::Closed(Closed::Lost));
            }
            if let Some(since) = connection.blocked_since() {
                let until = since + Duration::from_millis(self.subscription.max_lag_ms());
                if until <= now {
                    return Poll::Ready(Ended::Error(Code::Lagged));
                }
                at = at.min(until);
            }
            match self.subscription.expires_in_ms() {
                Some(0) => return Poll::Ready(Ended::Error(Code::TokenExpired)),
                Some(ms) => at = at.min(now + Duration::from_millis(ms)),
                None => {}
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

/// Ends a connection as its end asks for.
pub(super) async fn end(mut connection: Connection, closed: Closed) {
    let fail = |code, why| frame::close(code, &format!("{{\"code\":\"{why}\"}}"));
    let last = match closed {
        Closed::ByPeer(code) => frame::answer_close(code),
        Closed::Violation(Violation::Protocol) => fail(1002, Code::BadFrame),
        Closed::Violation(Violation::Utf8) => fail(1007, Code::BadText),
        Closed::Violation(Violation::TooLarge) => {
            let problem =
                Problem::from(Error::new(Code::TooLarge, "the message is larger than this connection takes"));
            connection.push(frame::text(format!("{{\"error\":{}}}", problem.to_json()).as_bytes()));
            fail(1009, Code::TooLarge)
        }
        Closed::Silent | Closed::Lost => return,
    };
    connection.finish(last).await;
}

fn code(end: &End) -> Code {
    match end {
        End::Expired => Code::TokenExpired,
        End::Draining => Code::Draining,
        End::Failed(error) => error.code,
    }
}
