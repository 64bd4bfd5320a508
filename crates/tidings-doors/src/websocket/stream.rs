//! One open WebSocket: a loop around what is read, what the client asks for, and a connection.

use std::pin::pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tidings_core::{Channel, Code, End, Error};
use tokio::task::yield_now;

use crate::stream::{Deadline, Open, Pump, Step, two_acts};

use super::connection::{Closed, Connection, Received};
use super::ended::Ended;
use super::greeting::encode;
use super::timing;

/// A stream of items, and a talk with the client beside it.
pub(super) struct Stream<T> {
    pump: Pump,
    talk: T,
    deadline: Deadline,
    _open: Open,
}

/// What becomes of the frames of a client. One request at a time is under way: the next frame is
/// read after it.
pub(super) trait Talk: Send + 'static {
    /// Whether the items of a write are followed by one cursor for all channels.
    fn is_composite(&self) -> bool;

    /// Whether a request is under way.
    fn is_busy(&self) -> bool;

    /// Begins what a frame asks for, or answers it at once. Gives the code with which the
    /// connection ends, if it does.
    fn receive(&mut self, pump: &mut Pump, connection: &mut Connection, received: Received) -> Option<Code>;

    /// Goes on with the request under way. Ready once it is answered, with the code with which the
    /// connection ends, if it does.
    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        pump: &mut Pump,
        connection: &mut Connection,
    ) -> Poll<Option<Code>>;

    /// Goes on without channels that may be read no more. Gives how the connection ends, if it does.
    fn leave(
        &mut self,
        _pump: &mut Pump,
        _connection: &mut Connection,
        channels: Vec<(Channel, Error)>,
    ) -> Option<Ended> {
        Some(End::Refused(channels).into())
    }

    /// Forgets what has nothing more to tell, where the connection outlives its channels.
    fn forget_ended(&mut self, _pump: &mut Pump) {}

    /// The next frame that nobody asked for, beside the items.
    fn poll_news(&mut self, _cx: &mut Context<'_>) -> Poll<Bytes> {
        Poll::Pending
    }
}

/// Frames of a client that are answered in one go. The other connections of the thread have their turn then, and so
/// have this one's messages.
const REQUESTS_A_TURN: usize = 4;

impl<T: Talk> Stream<T> {
    pub(super) fn new(pump: Pump, talk: T, open: Open) -> Self {
        Stream { pump, talk, deadline: Deadline::default(), _open: open }
    }

    /// Runs until either side closes.
    pub(super) fn run(self, connection: Connection) -> impl Future<Output = ()> {
        two_acts(
            (self, connection),
            |(stream, connection), cx| stream.poll(cx, connection),
            |(stream, connection), ended| Box::pin(stream.end(connection, ended)),
        )
    }

    async fn end(mut self, connection: Connection, ended: Ended) {
        if let Ended::Error(code) = &ended {
            self.pump.subscription.count_error(*code);
        }
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
        let mut requests = 0;
        loop {
            match connection.line.poll_flush(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return lost(),
                Poll::Pending => break,
            }
            if self.talk.is_busy() {
                match self.talk.poll_answer(cx, &mut self.pump, connection) {
                    Poll::Ready(Some(code)) => return Poll::Ready(Ended::Error(code)),
                    Poll::Ready(None) => continue,
                    Poll::Pending => {}
                }
            } else if !nothing_to_read && requests == REQUESTS_A_TURN {
                nothing_to_read = true;
                // A wake would put it into the queue of its worker, which is then never empty: those who were
                // handed to all workers would wait for as long as this client has requests. So it yields, to all.
                let _ = pin!(yield_now()).poll(cx);
            } else if !nothing_to_read {
                requests += 1;
                match connection.poll_receive(cx) {
                    Poll::Ready(Ok(received)) => {
                        match self.talk.receive(&mut self.pump, connection, received) {
                            Some(code) => return Poll::Ready(Ended::Error(code)),
                            None => continue,
                        }
                    }
                    Poll::Ready(Err(closed)) => return Poll::Ready(Ended::Closed(closed)),
                    Poll::Pending if !connection.line.is_empty() => continue,
                    Poll::Pending => nothing_to_read = true,
                }
            }
            if let Poll::Ready(news) = self.talk.poll_news(cx) {
                connection.line.push(news);
                continue;
            }
            let (composite, deflate) = (self.talk.is_composite(), connection.deflate);
            let encode = |subscription: &_, items: &_, units: &mut _| {
                encode(subscription, composite, deflate, items, units);
            };
            match self.pump.poll(cx, &mut connection.line, encode) {
                Poll::Ready(Ok(Step::Wrote { more })) => {
                    self.talk.forget_ended(&mut self.pump);
                    if !more {
                        break;
                    }
                }
                Poll::Pending => break,
                Poll::Ready(Ok(Step::Limit)) => return Poll::Ready(Ended::Limit),
                Poll::Ready(Ok(Step::Ended(End::Refused(channels)))) => {
                    if let Some(ended) = self.talk.leave(&mut self.pump, connection, channels) {
                        return Poll::Ready(ended);
                    }
                }
                Poll::Ready(Ok(Step::Ended(end))) => return Poll::Ready(end.into()),
                Poll::Ready(Err(_)) => return lost(),
            }
        }
        timing::poll(cx, connection, &mut self.pump.subscription, &mut self.deadline)
    }
}
