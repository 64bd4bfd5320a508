//! The right to publish, and what becomes of it.

use std::sync::Arc;

use bytes::Bytes;

use crate::broker::{BrokerError, answer_append};
use crate::error::{Code, Error, Result, Stored};
use crate::limit::Limits;
use crate::log::{Appended, Channel, Cursor, Draft};
use crate::policy::Namespace;

use super::{Identity, Judge, Session};

/// The right to publish to one channel.
pub struct Writer {
    session: Session,
    channel: Channel,
    namespace: Arc<Namespace>,
    limits: Limits,
    /// The number of the settings that it was judged by.
    judged_by: u64,
}

/// An append of which a prefix was stored.
#[derive(Debug)]
pub struct Stopped {
    /// The messages that are stored.
    pub stored: Vec<Appended>,
    /// Why the rest is not.
    pub error: Error,
}

impl Writer {
    pub(super) fn new(session: &Session, channel: &Channel) -> Result<Self> {
        let Judge { settings, number, identity } = session.judge()?;
        Ok(Writer {
            namespace: settings.may_publish(&identity, channel)?,
            session: session.clone(),
            channel: channel.clone(),
            limits: settings.limits,
            judged_by: number,
        })
    }

    /// The largest message that it takes, in bytes.
    pub fn message_bytes_max(&self) -> usize {
        self.limits.message_bytes
    }

    /// A draft's id where its publisher gave none: unique on all nodes.
    pub fn new_id(&self) -> Box<str> {
        self.session.hub.ids.next()
    }

    /// Checks a draft against the limits of this node.
    pub fn check(&self, draft: &Draft) -> Result<()> {
        let (bytes, most) = (draft.payload.bytes.len(), self.limits.message_bytes);
        if bytes > most {
            return Err(Error::new(
                Code::TooLarge,
                format!("the message has {bytes} bytes, of at most {most}"),
            ));
        }
        Ok(())
    }

    /// Counts so many messages against what the user may publish. A refusal says after how many
    /// milliseconds they may be tried again, and costs nothing. Backends publish as fast as they can.
    pub fn spend(&self, messages: usize) -> Result<()> {
        let Some(user) = self.from() else { return Ok(()) };
        let (hub, rate) = (&self.session.hub, self.limits.publish);
        let times = u32::try_from(messages).unwrap_or(u32::MAX);
        hub.rates.take(user, times, rate, hub.clock.now_ms()).map_err(|wait_ms| {
            let detail = format!(
                "this user may publish {} messages a second, and {} at once",
                rate.each_second, rate.at_once
            );
            Error::new(Code::RateLimited, detail).after(wait_ms).stored(Stored::No)
        })
    }

    /// Most messages that [`Writer::spend`] takes at once.
    pub fn at_once_max(&self) -> usize {
        self.from().map_or(usize::MAX, |_| self.limits.publish.at_once as usize)
    }

    /// Stores drafts in order; see [`crate::broker::Broker::append`].
    pub async fn append(&self, mut drafts: Vec<Draft>) -> Result<Vec<Appended>, Stopped> {
        let stop = |error: Error| Stopped { stored: Vec::new(), error };
        let hub = &self.session.hub;
        if hub.is_draining() {
            return Err(stop(Error::new(Code::Draining, "this node is shutting down").stored(Stored::No)));
        }
        let rules = self.namespace().map_err(|error| stop(error.stored(Stored::No)))?.rules();
        let from = self.from();
        for draft in &mut drafts {
            self.check(draft).map_err(stop)?;
            draft.from.clone_from(&from);
            // What is kept must not keep the buffer that it came in, which may be far larger.
            draft.payload.bytes = Bytes::copy_from_slice(&draft.payload.bytes);
        }
        match answer_append(hub.broker.append(&self.channel, drafts, &rules)).await {
            Ok(appended) => {
                self.count(&appended);
                Ok(appended)
            }
            Err(failed) => {
                self.count(&failed.stored);
                let stored = failed.error.stored();
                let mut error = Error::from(failed.error.clone()).stored(stored);
                if let BrokerError::Closed(end) = failed.error {
                    error = error.ends_at(Cursor::one(&self.channel, end));
                }
                Err(Stopped { stored: failed.stored, error })
            }
        }
    }

    /// Closes the channel: what would follow does not exist, and readers are told. Closing it once more
    /// gives the same place. Needs an API key: a client that may publish may not silence the others.
    pub async fn close(&self) -> Result<Appended> {
        self.may_close()?;
        let hub = &self.session.hub;
        if hub.is_draining() {
            return Err(Error::new(Code::Draining, "this node is shutting down").stored(Stored::No));
        }
        let rules = self.namespace()?.rules();
        let failed = |error: BrokerError| {
            let stored = error.stored();
            Error::from(error).stored(stored)
        };
        let closed = answer_append(hub.broker.append(&self.channel, vec![Draft::end()], &rules)).await;
        let closed = closed.map_err(|append| failed(append.error))?;
        closed.into_iter().next().ok_or_else(|| failed(BrokerError::Lost("it gave no place".into())))
    }

    /// Checks the right to close the channel.
    pub fn may_close(&self) -> Result<()> {
        match &self.session.identity {
            Identity::Backend(_) => Ok(()),
            Identity::Client(_) | Identity::Anonymous => {
                Err(Error::new(Code::Forbidden, "closing a channel needs an API key"))
            }
        }
    }

    /// The rules of the channel, judged again where other settings came into force: a body may take hours.
    fn namespace(&self) -> Result<Arc<Namespace>> {
        if self.session.hub.settings.number() == self.judged_by {
            return Ok(self.namespace.clone());
        }
        let Judge { settings, identity, .. } = self.session.judge()?;
        settings.may_publish(&identity, &self.channel)
    }

    fn from(&self) -> Option<Arc<str>> {
        match &self.session.identity {
            Identity::Client(client) => client.user.clone(),
            Identity::Anonymous | Identity::Backend(_) => None,
        }
    }

    fn count(&self, stored: &[Appended]) {
        let new = stored.iter().filter(|one| !one.duplicate).count() as u64;
        self.session.hub.metrics.published(self.channel.namespace(), new);
    }
}
