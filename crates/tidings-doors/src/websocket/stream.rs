//! One open WebSocket over channels: a loop around a subscription and a connection.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tidings_core::{Channel, Code, Cursor, End, Error, Item, Session, Slot, Subscription};
use tokio::time::Instant;

use crate::Doors;
use crate::http::problem::Problem;
use crate::stream::{Deadline, Open, Pump, Step, Unit, two_acts};

use super::connection::{Closed, Connection};
use super::decoder::Violation;
use super::{frame, greeting, publishing};

/// A stream over one or many channels.
pub(super) struct Stream {
    session: Session,
    pump: Pump,
    /// The channel of the URL; `None` on `/v1/subscribe`.
    only: Option<Channel>,
    /// The answer that is being made; the next frame is read after it.
    answer: Option<Answer>,
    deadline: Deadline,
    _open: Open,
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
        let _open = Open::count(doors, "websocket");
        let pump = Pump::new(subscription, limit);
        Stream { session, pump, only, answer: None, deadline: Deadline::default(), _open }
    }

    /// Runs until either side closes.
    pub(super) fn run(self, mut connection: Connection) -> impl Future<Output = ()> {
        connection.line.push(greeting::greeting(&self.pump.subscription));
        two_acts(
            (self, connection),
            |(stream, connection), cx| stream.poll(cx, connection),
            |(stream, connection), ended| Box::pin(stream.end(connection, ended)),
        )
    }

    async fn end(mut self, connection: Connection, ended: Ended) {
        // Who is told to come back counts as lost for as long as that may take.
        if let Ended::Limit | Ended::Error(Code::TooLarge) | Ended::Closed(Closed::ByPeer(_)) = ended {
            self.pump.subscription.left_cleanly();
        }
        // The read is over, however long the peer takes to close: the places are in its hands.
        drop(self);
        match ended {
            Ended::Limit => connection.close(1000, "").await,
            Ended::Error(code) => {
                let (code, reason) = greeting::goodbye(code);
                connection.close(code, &reason).await;
            }
            Ended::Closed(closed) => end(connection, closed).await,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, connection: &mut Connection) -> Poll<Ended> {
        let lost = || Poll::Ready(Ended::Closed(Closed::Lost));
        // Once the socket has nothing to read, its wake is registered: asking again in this turn tells nothing.
        let mut nothing_to_read = false;
        loop {
            match connection.line.poll_flush(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return lost(),
                Poll::Pending => break,
            }
            if let Some(answer) = &mut self.answer {
                if let Poll::Ready((frame, ends)) = answer.as_mut().poll(cx) {
                    self.answer = None;
                    connection.line.push(frame);
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
                    Poll::Pending if !connection.line.is_empty() => continue,
                    Poll::Pending => nothing_to_read = true,
                }
            }
            let composite = self.only.is_none();
            let encode = |subscription: &_, items: &_, units: &mut _| {
                encode(subscription, composite, items, units);
            };
            match self.pump.poll(cx, &mut connection.line, encode) {
                Poll::Ready(Ok(Step::Wrote { more: true })) => {}
                Poll::Ready(Ok(Step::Wrote { more: false })) | Poll::Pending => break,
                Poll::Ready(Ok(Step::Limit)) => return Poll::Ready(Ended::Limit),
                Poll::Ready(Ok(Step::Ended(end))) => return Poll::Ready(Ended::Error(code(&end))),
                Poll::Ready(Err(_)) => return lost(),
            }
        }
        self.poll_time(cx, connection)
    }

    /// Heartbeat, the end of the token, and a socket that takes nothing.
    fn poll_time(&mut self, cx: &mut Context<'_>, connection: &mut Connection) -> Poll<Ended> {
        loop {
            let now = Instant::now();
            let mut at = match connection.heartbeat(now) {
                Ok(at) => at,
                Err(closed) => return Poll::Ready(Ended::Closed(closed)),
            };
            if let Poll::Ready(Err(_)) = connection.line.poll_flush(cx) {
                return Poll::Ready(Ended::Closed(Closed::Lost));
            }
            if let Some(since) = connection.line.blocked_since() {
                let until = since + Duration::from_millis(self.pump.subscription.max_lag_ms());
                if until <= now {
                    return Poll::Ready(Ended::Error(Code::Lagged));
                }
                at = at.min(until);
            }
            match self.pump.subscription.expires_in_ms() {
                Some(0) => return Poll::Ready(Ended::Error(Code::TokenExpired)),
                Some(ms) => at = at.min(now + Duration::from_millis(ms)),
                None => {}
            }
            if self.deadline.poll(cx, now, at).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

/// A frame for each item; over several channels also the cursor behind them.
fn encode(subscription: &Subscription, composite: bool, items: &[(u32, Item)], units: &mut Vec<Unit>) {
    let unit = |shared| Unit { private: Bytes::new(), shared };
    let mut cursor = composite.then(|| subscription.cursor());
    for (reader, item) in items {
        let Some(channel) = subscription.channel(*reader) else { continue };
        if let Some(cursor) = &mut cursor {
            cursor.set(channel, item.position());
        }
        units.push(unit(match item {
            Item::Entry(entry) => entry.wire(SLOT, greeting::message),
            Item::Gap(gap) => {
                let one = Cursor::one(channel, gap.until);
                greeting::gap(channel, gap, cursor.as_ref().unwrap_or(&one))
            }
        }));
    }
    units.extend(cursor.map(|cursor| unit(greeting::cursor(&cursor))));
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
            connection.line.push(frame::text(format!("{{\"error\":{}}}", problem.to_json()).as_bytes()));
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
