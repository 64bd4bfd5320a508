//! The talk of a session: requests, and what they do to its readers and its watches.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use serde_json::value::RawValue;
use tidings_core::{Channel, Code, Cursor, Error, Hub, Result, Session, Watches};

use crate::stream::Pump;

use super::super::connection::{Connection, Received};
use super::super::ended::Ended;
use super::super::stream::Talk;
use super::answer::{Asking, Done, Joining};
use super::reply;
use super::request::{Ask, Request, Unreadable};

/// A session, as its client asked for it so far.
pub(super) struct Conversation {
    hub: Hub,
    session: Session,
    /// What is watched; made by the first who asks, since most never do.
    watches: Option<Box<Watches>>,
    channels_max: usize,
    /// The request under way; the next frame is read after it.
    asked: Option<Asked>,
    /// Whether a frame came: the first may carry a token.
    begun: bool,
}

/// A request, and what will become of it.
struct Asked {
    /// `None` where only a token came.
    id: Option<Box<RawValue>>,
    answer: Pin<Box<dyn Future<Output = Result<Done>> + Send>>,
}

impl Conversation {
    pub(super) fn new(hub: Hub, session: Session, channels_max: usize) -> Self {
        Conversation { hub, session, watches: None, channels_max, asked: None, begun: false }
    }
}

impl Talk for Conversation {
    fn is_composite(&self) -> bool {
        // A client of many channels keeps the cursor of each.
        false
    }

    fn is_busy(&self) -> bool {
        self.asked.is_some()
    }

    fn receive(&mut self, pump: &mut Pump, connection: &mut Connection, received: Received) -> Option<Code> {
        let Received::Text(text) = received else {
            let error = Error::new(Code::BadFrame, "this protocol has text frames alone");
            self.refuse(connection, None, error);
            return None;
        };
        let request = match Request::read(&Bytes::from(text)) {
            Ok(request) => request,
            Err(Unreadable { id, error }) => {
                self.refuse(connection, id.as_deref(), error);
                return None;
            }
        };
        let first = !std::mem::replace(&mut self.begun, true);
        let Request { id, token, ask } = request;
        if token.is_some() && !first {
            let error = Error::new(Code::BadFrame, "only the first frame carries a `token`: use `refresh`");
            self.refuse(connection, id.as_deref(), error);
            return None;
        }
        if token.is_none() && ask.is_none() {
            return None;
        }
        if let Some(Ask::Subscribe { channel, .. }) = &ask
            && pump.subscription.reader(channel).is_some()
        {
            let detail = format!("this connection reads `{channel}` already");
            self.refuse(connection, id.as_deref(), Error::new(Code::AlreadySubscribed, detail));
            return None;
        }
        let watch = match &ask {
            Some(Ask::Subscribe { presence: true, .. }) => {
                self.watches.get_or_insert_with(|| Box::new(Watches::new(self.channels_max))).place()
            }
            _ => Err(Error::new(Code::BadFrame, "nothing is watched")),
        };
        let asking = Asking { hub: self.hub.clone(), session: self.session.clone(), watch, id: id.clone() };
        let answer = Box::pin(asking.answer(token, ask));
        self.asked = Some(Asked { id, answer });
        None
    }

    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        pump: &mut Pump,
        connection: &mut Connection,
    ) -> Poll<Option<Code>> {
        let Some(asked) = &mut self.asked else { return Poll::Pending };
        let done = ready!(asked.answer.as_mut().poll(cx));
        let id = self.asked.take().and_then(|asked| asked.id);
        Poll::Ready(self.apply(pump, connection, id.as_deref(), done))
    }

    fn leave(
        &mut self,
        pump: &mut Pump,
        connection: &mut Connection,
        channels: Vec<(Channel, Error)>,
    ) -> Option<Ended> {
        for (channel, error) in channels {
            if let Some(reader) = pump.subscription.reader(&channel) {
                pump.subscription.leave(reader);
            }
            self.unwatch(&channel);
            connection.line.push(reply::unsubscribed(None, &channel, Some(error)));
        }
        None
    }

    fn forget_ended(&mut self, pump: &mut Pump) {
        for reader in pump.subscription.ended() {
            if let Some(channel) = pump.subscription.channel(reader).cloned() {
                self.unwatch(&channel);
            }
            pump.subscription.leave(reader);
        }
    }

    fn poll_news(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let Some(watches) = &mut self.watches else { return Poll::Pending };
        let (channel, change) = ready!(watches.poll_next(cx));
        Poll::Ready(reply::changed(&channel, &change))
    }
}

impl Conversation {
    /// Says that a request is refused, and goes on.
    fn refuse(&self, connection: &mut Connection, id: Option<&RawValue>, error: Error) -> Option<Code> {
        self.hub.metrics().error(error.code);
        connection.line.push(reply::error(id, error));
        None
    }

    /// Does what was found, and says so. Gives the code with which the connection ends, if it does.
    fn apply(
        &mut self,
        pump: &mut Pump,
        connection: &mut Connection,
        id: Option<&RawValue>,
        done: Result<Done>,
    ) -> Option<Code> {
        let said = match done {
            Ok(Done::Reply(said)) => said,
            Ok(Done::Join(joining)) => match self.join(pump, id, *joining) {
                Ok(said) => said,
                Err(error) => return self.refuse(connection, id, error),
            },
            Ok(Done::Leave(channel)) => {
                if let Some(reader) = pump.subscription.reader(&channel) {
                    pump.subscription.leave(reader);
                }
                self.unwatch(&channel);
                reply::unsubscribed(id, &channel, None)
            }
            Ok(Done::Refresh(session)) => {
                let expires_ms = session.expires_ms();
                match self.go_on_as(pump, connection, session) {
                    Ok(()) => reply::refreshed(id, expires_ms),
                    Err(error) => return self.refuse(connection, id, error),
                }
            }
            Ok(Done::Begin(session, then)) => match self.go_on_as(pump, connection, session) {
                Ok(()) => return then.and_then(|then| self.apply(pump, connection, id, *then)),
                Err(error) => return self.apply(pump, connection, id, Ok(Done::Unfit(error))),
            },
            Ok(Done::Unfit(error)) => {
                let code = error.code;
                connection.line.push(reply::error(id, error));
                return Some(code);
            }
            Err(error) => return self.refuse(connection, id, error),
        };
        connection.line.push(said);
        None
    }

    fn join(&mut self, pump: &mut Pump, id: Option<&RawValue>, joining: Joining) -> Result<Bytes> {
        let reader = self.session.join(&mut pump.subscription, joining.place)?;
        if let Some(pace) = joining.pace {
            pump.subscription.pace(reader, pace);
        }
        let subscription = &pump.subscription;
        let (Some(fact), Some(at)) = (subscription.facts().get(reader as usize), subscription.at(reader))
        else {
            return Err(Error::new(Code::BadFrame, "the channel was left at once"));
        };
        let cursor = Cursor::one(&fact.channel, at);
        let roster = joining.watcher.as_ref().map(|watcher| watcher.roster());
        let said = reply::subscribed(id, fact, &cursor, roster);
        if let (Some(watches), Some(watcher)) = (&mut self.watches, joining.watcher) {
            watches.add(watcher);
        }
        Ok(said)
    }

    /// Goes on with what another token allows; what it does not is read no more.
    fn go_on_as(&mut self, pump: &mut Pump, connection: &mut Connection, session: Session) -> Result<()> {
        session.take_over(&mut pump.subscription)?;
        self.session = session;
        let read: Vec<_> = pump.subscription.channels().map(|(_, channel)| channel.clone()).collect();
        let refused = read.into_iter().filter_map(|channel| {
            let error = self.session.may_read(std::slice::from_ref(&channel)).err()?;
            Some((channel, error))
        });
        let refused = refused.collect();
        self.leave(pump, connection, refused);
        Ok(())
    }

    fn unwatch(&mut self, channel: &Channel) {
        if let Some(watches) = &mut self.watches {
            watches.remove(channel);
        }
    }
}
