//! What all calls of a broker share.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tidings_core::Clock;
use tidings_core::broker::BrokerError;
use tidings_core::log::{Channel, Rules};

use super::link::Link;
use super::log::Log;
use super::name::Names;
use super::slots::Slots;
use super::stream::Stream;

/// The connection, the streams in use, the channels in use.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) link: Arc<Link>,
    pub(super) names: Names,
    pub(super) clock: Clock,
    pub(super) replicas: u8,
    streams: Mutex<HashMap<String, Arc<Stream>>>,
    slots: Slots,
}

impl Shared {
    pub(super) fn new(link: Arc<Link>, names: Names, clock: Clock, replicas: u8) -> Self {
        Shared { link, names, clock, replicas, streams: Mutex::default(), slots: Slots::default() }
    }

    /// A channel, whose stream is there.
    pub(super) async fn log<'a>(
        &'a self,
        channel: &'a Channel,
        rules: &Rules,
    ) -> Result<Log<'a>, BrokerError> {
        let stream = self.stream(channel.namespace());
        let known = stream.ready(rules).await?;
        if stream.takes_over() {
            self.slots.forget(stream.namespace());
            self.link.cut();
        }
        let (slot, subject) = (self.slots.slot(channel), self.names.channel(channel));
        let now_ms = self.clock.now_ms();
        Ok(Log { shared: self, stream, known, slot, channel, subject, rules: *rules, now_ms })
    }

    fn stream(&self, namespace: &str) -> Arc<Stream> {
        let mut streams = self.streams.lock();
        let make = || Arc::new(Stream::new(self.link.clone(), &self.names, namespace, self.replicas));
        streams.entry(namespace.to_owned()).or_insert_with(make).clone()
    }

    /// The streams in use.
    pub(super) fn streams(&self) -> Vec<Arc<Stream>> {
        self.streams.lock().values().cloned().collect()
    }

    /// Looks whether a stream is the one that it was. If not, nothing that was known of it holds.
    /// `went_back`: it has lost something for sure.
    pub(super) async fn doubt(&self, stream: &Stream, went_back: bool) -> Result<bool, BrokerError> {
        let is_same = stream.is_same(went_back).await?;
        if !is_same {
            self.slots.forget(stream.namespace());
            self.link.cut();
        }
        Ok(is_same)
    }
}
