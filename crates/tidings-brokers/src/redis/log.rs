//! What is done to one channel: the calls of a broker, as questions to the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidings_core::broker::{AppendError, BrokerError};
use tidings_core::log::{
    Appended, Below, Channel, Created, Draft, Found, Limit, Page, Position, Rules, Start, Terms,
};

use super::answer::{Answer, Looked};
use super::call::{Calls, Question};
use super::name::Bucket;
use super::server::Server;
use super::value;

/// The logs of the servers that are configured.
#[derive(Debug)]
pub(super) struct Logs {
    pub(super) calls: Calls,
    /// Whether what is durable waits for replicas.
    pub(super) copied: bool,
    pub(super) settling: AtomicUsize,
}

/// Where a look begins, and how much it brings.
struct Look {
    after: u64,
    messages: u64,
    bytes: u64,
    last: u64,
}

/// Drafts, and bytes of them, that are stored in one step; a step stops everybody else's.
const DRAFTS: usize = 256;
const BYTES: usize = 1 << 20;
/// Numbers that the scripts can count with.
const COUNTED: u64 = 1 << 53;
/// Looks at a log that changes meanwhile.
const LOOKS: usize = 8;
/// Channels at once whose unacknowledged messages are taken up.
const SETTLING: usize = 64;

impl Logs {
    pub(super) async fn append(
        &self,
        channel: &Channel,
        drafts: &[Draft],
        rules: &Rules,
    ) -> Result<Vec<Appended>, AppendError> {
        let mut stored = Vec::with_capacity(drafts.len());
        let mut rest = drafts;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fit = rest.iter().take(DRAFTS).take_while(|draft| {
                bytes += draft.payload.bytes.len();
                bytes <= BYTES
            });
            let (step, after) = rest.split_at(fit.count().max(1));
            match self.step(channel, step, rules, &mut stored).await {
                Ok(()) => rest = after,
                Err(error) => return Err(AppendError { stored, error }),
            }
        }
        Ok(stored)
    }

    /// Stores some drafts in one step.
    async fn step(
        &self,
        channel: &Channel,
        drafts: &[Draft],
        rules: &Rules,
        stored: &mut Vec<Appended>,
    ) -> Result<(), BrokerError> {
        let flag = |is: bool| number(u64::from(is));
        let held = self.copied && rules.durable;
        let mut arguments = vec![
            number(rules.retain.messages.max(1)),
            number(rules.retain.age_ms),
            number(rules.dedupe_ms),
            flag(rules.compact),
            flag(rules.implicit),
            flag(held),
        ];
        let mut keys = Vec::new();
        for draft in drafts {
            let (own, stream) = self.calls.names.once(channel, draft);
            let index = stream.as_ref().map_or(0, |(_, index)| *index);
            let once = match draft.once {
                tidings_core::log::Once::No => 'n',
                tidings_core::log::Once::Id => 'i',
                tidings_core::log::Once::Stream { .. } => 's',
            };
            let mut place = |key: Option<String>| {
                key.map_or(0, |key| {
                    keys.push(key);
                    // After those of the channel.
                    keys.len() + 5
                })
            };
            let (own, stream) = (place(own), place(stream.map(|(key, _)| key)));
            let ends = u8::from(draft.is_end());
            arguments.push(format!("{ends} {once} {own} {stream} {}", index.min(COUNTED)).into());
            arguments.push(draft.key.as_ref().map_or_else(Vec::new, |key| [b"k", key.as_bytes()].concat()));
            arguments.push(value::encode(draft));
        }
        let script = &self.calls.scripts.append;
        let question = Question { script, channel, keys: &keys, arguments: &arguments, changes: true };
        let (mut answer, server) = self.calls.ask(question).await?;
        let (last, status) = (answer.number()?, answer.text()?);
        let offsets: Vec<i64> = answer.numbers().collect();
        if held && let Some(upto) = offsets.iter().map(|offset| offset.unsigned_abs()).max() {
            self.copy(&server, channel, &answer.seed, upto).await?;
        }
        for (draft, offset) in drafts.iter().zip(&offsets) {
            let position = answer.at(offset.unsigned_abs());
            stored.push(Appended { position, id: draft.id.clone(), duplicate: *offset < 0 });
        }
        match &*status {
            "ok" if offsets.len() == drafts.len() => Ok(()),
            "closed" => Err(BrokerError::Closed(answer.at(last))),
            "unknown" => Err(BrokerError::Unknown),
            _ => Err(BrokerError::Lost("the server answered for other messages".into())),
        }
    }

    /// Waits until replicas have everything up to an offset, and shows it to readers.
    async fn copy(
        &self,
        server: &Server,
        channel: &Channel,
        seed: &str,
        upto: u64,
    ) -> Result<(), BrokerError> {
        let Some(copies) = &server.copies else { return Ok(()) };
        copies.wait(self.calls.names.life(Bucket::of(channel))).await?;
        let arguments = [number(upto), seed.into()];
        let script = &self.calls.scripts.release;
        let question = Question { script, channel, keys: &[], arguments: &arguments, changes: true };
        self.calls.ask(question).await.map(drop)
    }

    async fn look(
        &self,
        channel: &Channel,
        look: Look,
        rules: &Rules,
    ) -> Result<(Answer, Looked, Arc<Server>), BrokerError> {
        let arguments = [
            number(rules.retain.messages.max(1)),
            number(rules.retain.age_ms),
            number(look.after),
            number(u64::from(rules.below == Below::Newest)),
            number(look.messages),
            number(look.bytes),
            number(look.last),
        ];
        let script = &self.calls.scripts.look;
        let question = Question { script, channel, keys: &[], arguments: &arguments, changes: false };
        let (mut answer, server) = self.calls.ask(question).await?;
        let looked = answer.looked(channel)?;
        Ok((answer, looked, server))
    }

    pub(super) async fn find(
        self: &Arc<Self>,
        channel: &Channel,
        start: Start,
        rules: &Rules,
    ) -> Result<Found, BrokerError> {
        let last = if let Start::Last(n) = start { n } else { 0 };
        let look = Look { after: 0, messages: 0, bytes: 0, last };
        let (answer, looked, server) = self.look(channel, look, rules).await?;
        self.settle(channel, &answer, &looked, server);
        let bounds = looked.bounds(answer.epoch, rules.compact);
        let found = bounds.find(start, rules, looked.newest_ms, |_| looked.before_last);
        Ok(Found { created: looked.created, ..found })
    }

    pub(super) async fn read(
        self: &Arc<Self>,
        channel: &Channel,
        after: Position,
        limit: Limit,
        rules: &Rules,
    ) -> Result<Page, BrokerError> {
        let wide = |size: usize| u64::try_from(size).unwrap_or(COUNTED);
        let mut from = after.offset.min(COUNTED);
        for _ in 0..LOOKS {
            let look =
                Look { after: from, messages: wide(limit.messages), bytes: wide(limit.bytes), last: 0 };
            let (answer, looked, server) = self.look(channel, look, rules).await?;
            self.settle(channel, &answer, &looked, server);
            let bounds = looked.bounds(answer.epoch, rules.compact);
            let gap = bounds.gap_after(Some(after), rules);
            let wanted = gap.map_or(after, |gap| gap.until).offset;
            // It began to read before it was known where.
            if wanted != looked.from {
                from = wanted;
                continue;
            }
            let mut messages = looked.messages;
            let mut bytes = 0;
            let fit = messages.iter().take_while(|message| {
                bytes += message.weight();
                bytes <= limit.bytes
            });
            let fit = fit.count().max(1).min(messages.len());
            let more = looked.more || fit < messages.len();
            messages.truncate(fit);
            let end = (looked.closed && !more).then(|| bounds.end());
            return Ok(Page { gap, messages, end });
        }
        Err(BrokerError::Unavailable("the log changes with each look".into()))
    }

    /// The end of a log as readers see it, and the channel's time to live with what is left of it.
    pub(super) async fn end(
        self: &Arc<Self>,
        channel: &Channel,
        rules: &Rules,
    ) -> Result<(Position, Option<(u64, u64)>), BrokerError> {
        let look = Look { after: 0, messages: 0, bytes: 0, last: 0 };
        let (answer, looked, server) = self.look(channel, look, rules).await?;
        self.settle(channel, &answer, &looked, server);
        Ok((answer.at(looked.last), looked.ttl))
    }

    pub(super) async fn create(
        &self,
        channel: &Channel,
        terms: Terms,
        rules: &Rules,
    ) -> Result<Created, BrokerError> {
        let own = |value: Option<u64>| value.map_or_else(Vec::new, number);
        let arguments = [
            b"create".to_vec(),
            number(rules.retain.messages.max(1)),
            number(rules.retain.age_ms),
            own(terms.retain.map(|retain| retain.messages.max(1))),
            own(terms.retain.map(|retain| retain.age_ms)),
            own(terms.ttl_ms),
        ];
        let mut answer = self.change(channel, &arguments, rules).await?;
        let (last, was_there, closed) = (answer.number()?, answer.number()? == 1, answer.number()? == 1);
        Ok(Created { end: answer.at(last), new: !was_there, closed })
    }

    pub(super) async fn delete(&self, channel: &Channel, rules: &Rules) -> Result<bool, BrokerError> {
        let mut answer = self.change(channel, &[b"delete".to_vec()], rules).await?;
        answer.number()?;
        Ok(answer.number()? == 1)
    }

    async fn change(
        &self,
        channel: &Channel,
        arguments: &[Vec<u8>],
        rules: &Rules,
    ) -> Result<Answer, BrokerError> {
        let script = &self.calls.scripts.change;
        let question = Question { script, channel, keys: &[], arguments, changes: true };
        let (answer, server) = self.calls.ask(question).await?;
        if let Some(copies) = server.copies.as_ref().filter(|_| rules.durable) {
            copies.wait(self.calls.names.life(Bucket::of(channel))).await?;
        }
        Ok(answer)
    }

    /// Takes up what a node left that went away before replicas had it.
    fn settle(self: &Arc<Self>, channel: &Channel, answer: &Answer, looked: &Looked, server: Arc<Server>) {
        let Some(upto) = looked.held.filter(|_| self.copied) else { return };
        if self.settling.fetch_add(1, Ordering::Relaxed) >= SETTLING {
            self.settling.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let (logs, channel, seed) = (self.clone(), channel.clone(), answer.seed.clone());
        tokio::spawn(async move {
            if let Err(error) = logs.copy(&server, &channel, &seed, upto).await {
                tracing::debug!(%error, "what waits for replicas still does");
            }
            logs.settling.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

fn number(number: u64) -> Vec<u8> {
    number.min(COUNTED).to_string().into_bytes()
}
