//! One open WebSocket over channels: a loop around a subscription and a connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tidings_core::{Channel, Code, Session, Subscription};

use crate::Doors;
use crate::stream::{Deadline, Open, Pump, Step, two_acts};

use super::connection::{Closed, Connection};
use super::ended::Ended;
use super::greeting::encode;
use super::{greeting, publishing, timing};

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
        if ended.is_for_good() {
            self.pump.subscription.left_cleanly();
        }
        // The read is over, however long the peer takes to close: the places are in its hands.
        drop(self);
        ended.finish(connection).await;
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
            let (composite, deflate) = (self.only.is_none(), connection.deflate);
            let encode = |subscription: &_, items: &_, units: &mut _| {
                encode(subscription, composite, deflate, items, units);
            };
            match self.pump.poll(cx, &mut connection.line, encode) {
                Poll::Ready(Ok(Step::Wrote { more: true })) => {}
                Poll::Ready(Ok(Step::Wrote { more: false })) | Poll::Pending => break,
                Poll::Ready(Ok(Step::Limit)) => return Poll::Ready(Ended::Limit),
                Poll::Ready(Ok(Step::Ended(end))) => return Poll::Ready(end.into()),
                Poll::Ready(Err(_)) => return lost(),
            }
        }
        timing::poll(cx, connection, &self.pump.subscription, &mut self.deadline)
    }
}
