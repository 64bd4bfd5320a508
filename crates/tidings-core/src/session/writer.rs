//! The right to publish, and what becomes of it.

use std::sync::Arc;

use bytes::Bytes;

use crate::broker::answer_append;
use crate::error::{Code, Error, Result, Stored};
use crate::hub::Shared;
use crate::log::{Appended, Channel, Draft};
use crate::policy::Namespace;

/// The right to publish to one channel.
pub struct Writer {
    pub(super) hub: Arc<Shared>,
    pub(super) channel: Channel,
    pub(super) namespace: Arc<Namespace>,
    pub(super) from: Option<Arc<str>>,
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
    /// The largest message that it takes, in bytes.
    pub fn message_bytes_max(&self) -> usize {
        self.hub.limits.message_bytes
    }

    /// A draft's id where its publisher gave none: unique on all nodes.
    pub fn new_id(&self) -> Box<str> {
        self.hub.ids.next()
    }

    /// Checks a draft against the limits of this node.
    pub fn check(&self, draft: &Draft) -> Result<()> {
        let (bytes, most) = (draft.payload.bytes.len(), self.hub.limits.message_bytes);
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
        let Some(user) = &self.from else { return Ok(()) };
        let rate = self.hub.limits.publish;
        let times = u32::try_from(messages).unwrap_or(u32::MAX);
        self.hub.rates.take(user.clone(), times, rate, self.hub.clock.now_ms()).map_err(|wait_ms| {
            let detail = format!(
                "this user may publish {} messages a second, and {} at once",
                rate.each_second, rate.at_once
            );
            Error::new(Code::RateLimited, detail).after(wait_ms).stored(Stored::No)
        })
    }

    /// Most messages that [`Writer::spend`] takes at once.
    pub fn at_once_max(&self) -> usize {
        match self.from {
            Some(_) => self.hub.limits.publish.at_once as usize,
            None => usize::MAX,
        }
    }

    /// Stores drafts in order; see [`crate::broker::Broker::append`].
    pub async fn append(&self, mut drafts: Vec<Draft>) -> Result<Vec<Appended>, Stopped> {
        let stop = |error: Error| Stopped { stored: Vec::new(), error };
        if self.hub.is_draining() {
            return Err(stop(Error::new(Code::Draining, "this node is shutting down").stored(Stored::No)));
        }
        for draft in &mut drafts {
            self.check(draft).map_err(stop)?;
            draft.from.clone_from(&self.from);
            // What is kept must not keep the buffer that it came in, which may be far larger.
            draft.payload.bytes = Bytes::copy_from_slice(&draft.payload.bytes);
        }
        let rules = self.namespace.rules();
        match answer_append(self.hub.broker.append(&self.channel, drafts, &rules)).await {
            Ok(appended) => {
                self.count(&appended);
                Ok(appended)
            }
            Err(failed) => {
                self.count(&failed.stored);
                let stored = failed.error.stored();
                Err(Stopped { stored: failed.stored, error: Error::from(failed.error).stored(stored) })
            }
        }
    }

    fn count(&self, stored: &[Appended]) {
        let new = stored.iter().filter(|one| !one.duplicate).count() as u64;
        self.hub.metrics.published(self.channel.namespace(), new);
    }
}
