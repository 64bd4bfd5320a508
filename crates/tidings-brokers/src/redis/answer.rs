//! The answers of the scripts.

use std::sync::Arc;

use redis::Value;
use tidings_core::broker::BrokerError;
use tidings_core::log::{Bounds, Channel, Message, Position};

use super::epoch::{Epoch, life_of};
use super::value;

/// What an answer begins with, and the rest of it.
#[derive(Debug)]
pub(super) struct Answer {
    /// The life of the bucket, and how much it has stored.
    pub(super) life: u64,
    pub(super) count: u64,
    pub(super) epoch: u64,
    /// What the channel adds to its epoch.
    pub(super) seed: String,
    rest: std::vec::IntoIter<Value>,
}

/// What a look at a log found.
#[derive(Debug)]
pub(super) struct Looked {
    /// The end as readers see it.
    pub(super) last: u64,
    pub(super) lost: u64,
    pub(super) closed: bool,
    pub(super) created: bool,
    pub(super) newest_ms: Option<u64>,
    /// Whether compaction has removed messages.
    pub(super) removed: bool,
    /// Whether something waits for replicas, and up to where.
    pub(super) held: Option<u64>,
    /// Its time to live, and what is left of it, in ms.
    pub(super) ttl: Option<(u64, u64)>,
    pub(super) before_last: u64,
    /// After which offset the messages are.
    pub(super) from: u64,
    /// Whether there are more.
    pub(super) more: bool,
    pub(super) messages: Vec<Arc<Message>>,
}

impl Answer {
    pub(super) fn parse(value: Value) -> Result<Self, BrokerError> {
        let Value::Array(items) = value else { return Err(other()) };
        let mut rest = items.into_iter();
        let life = text(rest.next())?;
        let seed = text(rest.next())?;
        let count = text(rest.next())?.parse().map_err(|_| other())?;
        let epoch = Epoch { life: &life, seed: &seed }.number();
        Ok(Answer { life: life_of(&life), count, epoch, seed, rest })
    }

    pub(super) fn at(&self, offset: u64) -> Position {
        Position { epoch: self.epoch, offset }
    }

    /// The next of the rest, as a number.
    pub(super) fn number(&mut self) -> Result<u64, BrokerError> {
        match self.rest.next() {
            Some(Value::Int(number)) => u64::try_from(number).map_err(|_| other()),
            item => text(item)?.parse().map_err(|_| other()),
        }
    }

    /// The next, as words.
    pub(super) fn text(&mut self) -> Result<String, BrokerError> {
        text(self.rest.next())
    }

    /// What is left of it, as numbers, the negative ones too.
    pub(super) fn numbers(&mut self) -> impl Iterator<Item = i64> {
        self.rest.by_ref().map_while(|item| if let Value::Int(number) = item { Some(number) } else { None })
    }

    /// The rest, as an answer to a look.
    pub(super) fn looked(&mut self, channel: &Channel) -> Result<Looked, BrokerError> {
        let mut looked = Looked {
            last: self.number()?,
            lost: self.number()?,
            closed: self.number()? == 1,
            created: self.number()? == 1,
            newest_ms: self.maybe()?,
            removed: self.number()? == 1,
            held: (self.number()? == 1).then_some(0),
            ttl: self.maybe()?.zip(self.maybe()?),
            before_last: self.number()?,
            from: self.number()?,
            more: self.number()? == 1,
            messages: Vec::new(),
        };
        let last = self.number()?;
        looked.held = looked.held.map(|_| last);
        let Some(Value::Array(items)) = self.rest.next() else { return Err(other()) };
        let mut items = items.into_iter();
        while let (Some(id), Some(Value::BulkString(value))) = (items.next(), items.next()) {
            let id = text(Some(id))?;
            let (offset, time_ms) = id.split_once('-').ok_or_else(other)?;
            let position = self.at(offset.parse().map_err(|_| other())?);
            let time_ms = time_ms.parse().map_err(|_| other())?;
            looked.messages.push(Arc::new(value::decode(channel, position, time_ms, value.into())?));
        }
        Ok(looked)
    }

    /// A number, or nothing.
    fn maybe(&mut self) -> Result<Option<u64>, BrokerError> {
        let text = self.text()?;
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| other()) }
    }
}

impl Looked {
    /// What a reader may rely on.
    pub(super) fn bounds(&self, epoch: u64, compact: bool) -> Bounds {
        let dense = !compact && !self.removed;
        Bounds { epoch, last: self.last, lost: self.lost, closed: self.closed, dense }
    }
}

fn text(item: Option<Value>) -> Result<String, BrokerError> {
    match item {
        Some(Value::BulkString(text)) => String::from_utf8(text).map_err(|_| other()),
        Some(Value::SimpleString(text)) => Ok(text),
        _ => Err(other()),
    }
}

fn other() -> BrokerError {
    BrokerError::Corrupt("the server answered a script with something else".into())
}
