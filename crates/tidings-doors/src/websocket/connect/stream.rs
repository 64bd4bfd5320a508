//! One open session: a loop around its readers, its watches and a connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use serde_json::value::RawValue;
use tidings_core::{Code, Cursor, Error, Hub, Result, Session, Watches};

use crate::Doors;
use crate::stream::{Deadline, Open, Pump, Step, two_acts};

use super::super::connection::{Closed, Connection, Received};
use super::super::ended::Ended;
use super::super::greeting::encode;
use super::super::timing;
use super::answer::{self, Done, Joining, answer};
use super::reply;
use super::request::{Ask, Request, Unreadable};

/// An open session.
pub(super) struct Stream {
    hub: Hub,
    session: Session,
    pump: Pump,
    /// What is watched; made by the first who asks, since most never do.
    watches: Option<Box<Watches>>,
    channels_max: usize,
    /// The request under way; the next frame is read after it.
    asked: Option<Asked>,
    /// Whether a frame came: the first may carry a token.
    begun: bool,
    deadline: Deadline,
    _open: Open,
}

/// A request, and what will become of it.
struct Asked {
    id: Box<RawValue>,
    answer: Pin<Box<dyn Future<Output = Result<Done>> + Send>>,
}

impl Stream {
    pub(super) fn new(doors: &Doors, session: Session) -> Result<Self> {
        session.may_stay()?;
        let subscription = session.subscription(doors.connection_channels)?;
        Ok(Stream {
            hub: doors.hub.clone(),
            session,
            pump: Pump::new(subscription, None),
            watches: None,
            channels_max: doors.connection_channels,
            asked: None,
            begun: false,
            deadline: Deadline::default(),
            _open: Open::count(doors, "session"),
        })
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
        if ended.is_for_good() {
            self.pump.subscription.left_cleanly();
        }
        // The reads are over, however long the peer takes to close: the places are in its hands.
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
            if let Some(asked) = &mut self.asked {
                if let Poll::Ready(done) = asked.answer.as_mut().poll(cx) {
                    let Some(asked) = self.asked.take() else { break };
                    self.apply(connection, &asked.id, done);
                    continue;
                }
            } else if !nothing_to_read {
                match connection.poll_receive(cx) {
                    Poll::Ready(Ok(received)) => {
                        if let Some(code) = self.receive(connection, received) {
                            return Poll::Ready(Ended::Error(code));
                        }
                        continue;
                    }
                    Poll::Ready(Err(closed)) => return Poll::Ready(Ended::Closed(closed)),
                    Poll::Pending if !connection.line.is_empty() => continue,
                    Poll::Pending => nothing_to_read = true,
                }
            }
            if let Some(watches) = &mut self.watches
                && let Poll::Ready((channel, change)) = watches.poll_next(cx)
            {
                connection.line.push(reply::changed(&channel, &change));
                continue;
            }
            let deflate = connection.deflate;
            // Each message has its own cursor: a client of many channels keeps one for each.
            match self.pump.poll(cx, &mut connection.line, |subscription, items, units| {
                encode(subscription, false, deflate, items, units);
            }) {
                Poll::Ready(Ok(Step::Wrote { more: true })) => {}
                Poll::Ready(Ok(Step::Wrote { more: false })) | Poll::Pending => break,
                Poll::Ready(Ok(Step::Limit)) => return Poll::Ready(Ended::Limit),
                Poll::Ready(Ok(Step::Ended(end))) => return Poll::Ready(end.into()),
                Poll::Ready(Err(_)) => return lost(),
            }
        }
        timing::poll(cx, connection, &self.pump.subscription, &mut self.deadline)
    }

    /// Begins what a frame asks for. Gives the code with which the connection ends, if it does.
    fn receive(&mut self, connection: &mut Connection, received: Received) -> Option<Code> {
        let Received::Text(text) = received else {
            let error = Error::new(Code::BadFrame, "this protocol has text frames alone");
            connection.line.push(reply::error(None, error));
            return None;
        };
        let request = match Request::read(&Bytes::from(text)) {
            Ok(request) => request,
            Err(Unreadable { id, error }) => {
                connection.line.push(reply::error(id.as_deref(), error));
                return None;
            }
        };
        let first = !std::mem::replace(&mut self.begun, true);
        if let Some(token) = request.token {
            let opened = match first {
                true => answer::refresh(&self.hub, &self.session, token),
                false => {
                    Err(Error::new(Code::BadFrame, "only the first frame carries a `token`: use `refresh`"))
                }
            };
            match opened {
                Ok(session) => self.go_on_as(connection, session),
                // Without the token that it was to have, the connection is of no use.
                Err(error) if first => {
                    let code = error.code;
                    connection.line.push(reply::error(request.id.as_deref(), error));
                    return Some(code);
                }
                Err(error) => {
                    connection.line.push(reply::error(request.id.as_deref(), error));
                    return None;
                }
            }
        }
        let (Some(id), Some(ask)) = (request.id, request.ask) else { return None };
        if let Ask::Subscribe { channel, .. } = &ask
            && self.pump.subscription.reader(channel).is_some()
        {
            let detail = format!("this connection reads `{channel}` already");
            connection.line.push(reply::error(Some(&id), Error::new(Code::AlreadySubscribed, detail)));
            return None;
        }
        let watch = match &ask {
            Ask::Subscribe { presence: true, .. } => {
                self.watches.get_or_insert_with(|| Box::new(Watches::new(self.channels_max))).place()
            }
            _ => Err(Error::new(Code::BadFrame, "nothing is watched")),
        };
        let answer = Box::pin(answer(self.hub.clone(), self.session.clone(), watch, id.clone(), ask));
        self.asked = Some(Asked { id, answer });
        None
    }

    fn apply(&mut self, connection: &mut Connection, id: &RawValue, done: Result<Done>) {
        let said = match done {
            Ok(Done::Reply(said)) => said,
            Ok(Done::Join(joining)) => match self.join(id, *joining) {
                Ok(said) => said,
                Err(error) => reply::error(Some(id), error),
            },
            Ok(Done::Leave(channel)) => {
                if let Some(reader) = self.pump.subscription.reader(&channel) {
                    self.pump.subscription.leave(reader);
                }
                self.unwatch(&channel);
                reply::unsubscribed(Some(id), &channel, None)
            }
            Ok(Done::Refresh(session)) => {
                let expires_ms = session.expires_ms();
                self.go_on_as(connection, session);
                reply::refreshed(id, expires_ms)
            }
            Err(error) => reply::error(Some(id), error),
        };
        connection.line.push(said);
    }

    fn join(&mut self, id: &RawValue, joining: Joining) -> Result<Bytes> {
        let reader = self.session.join(&mut self.pump.subscription, joining.place)?;
        let subscription = &self.pump.subscription;
        let (Some(fact), Some(at)) = (subscription.facts().get(reader as usize), subscription.at(reader))
        else {
            return Err(Error::new(Code::BadFrame, "the channel was left at once"));
        };
        let cursor = Cursor::one(&fact.channel, at);
        let roster = joining.watcher.as_ref().map(|watcher| watcher.roster());
        let said = reply::subscribed(Some(id), fact, &cursor, roster);
        if let (Some(watches), Some(watcher)) = (&mut self.watches, joining.watcher) {
            watches.add(watcher);
        }
        Ok(said)
    }

    /// Goes on with what another token allows; what it does not is read no more.
    fn go_on_as(&mut self, connection: &mut Connection, session: Session) {
        self.session = session;
        self.pump.subscription.expires_with(&self.session);
        let read: Vec<_> =
            self.pump.subscription.channels().map(|(reader, channel)| (reader, channel.clone())).collect();
        for (reader, channel) in read {
            if let Err(error) = self.session.may_read(std::slice::from_ref(&channel)) {
                self.pump.subscription.leave(reader);
                self.unwatch(&channel);
                connection.line.push(reply::unsubscribed(None, &channel, Some(error)));
            }
        }
    }

    fn unwatch(&mut self, channel: &tidings_core::Channel) {
        if let Some(watches) = &mut self.watches {
            watches.remove(channel);
        }
    }
}
