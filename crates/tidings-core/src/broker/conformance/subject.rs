//! One channel under test, and short words for what the cases do with it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;

use super::super::{Broker, Tail};
use crate::log::{
    Appended, Below, Channel, Draft, Found, Gap, Kind, Limit, Message, Once, Page, Payload, Position, Retain,
    Rules, Start,
};

/// A broker, and names that no other run has used.
pub(super) struct Suite {
    pub(super) broker: Arc<dyn Broker>,
    run: u32,
}

/// One channel of it, with its rules.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) broker: Arc<dyn Broker>,
    pub(super) channel: Channel,
    pub(super) rules: Rules,
}

/// What a reader saw, from a start to the end.
#[derive(Debug)]
pub(super) struct Seen {
    gap: Option<Gap>,
    /// A gap that came after another one, or after messages.
    inside: Option<Gap>,
    messages: Vec<Arc<Message>>,
}

/// The rules of an ordinary at-least-once channel.
pub(super) const PLAIN: Rules = Rules {
    retain: Retain { messages: 100_000, age_ms: 3_600_000 },
    compact: false,
    dedupe_ms: 120_000,
    implicit: true,
    below: Below::Oldest,
    durable: true,
};

/// The rules of an ordinary at-most-once channel.
pub(super) const TAIL: Rules =
    Rules { retain: Retain { messages: 100, age_ms: 60_000 }, below: Below::Newest, durable: false, ..PLAIN };

/// A page that ends for no other reason than the end of the log.
pub(super) const PAGE: Limit = Limit { messages: 1_000, bytes: usize::MAX };

impl Suite {
    pub(super) fn new(broker: Arc<dyn Broker>) -> Self {
        let run = getrandom::u32().unwrap();
        Suite { broker, run }
    }

    /// A channel with the rules of [`PLAIN`].
    pub(super) fn plain(&self, name: &str) -> Subject {
        self.subject("plain", name, PLAIN)
    }

    /// A channel with the rules of [`TAIL`].
    pub(super) fn tail(&self, name: &str) -> Subject {
        self.subject("tail", name, TAIL)
    }

    /// A channel in a namespace; those of one namespace have the same rules.
    pub(super) fn subject(&self, namespace: &str, name: &str, rules: Rules) -> Subject {
        let name = format!("cf{:08x}-{namespace}:{name}", self.run);
        Subject { broker: self.broker.clone(), channel: Channel::parse(&name).unwrap(), rules }
    }
}

impl Subject {
    /// Stores texts without keys, as one append; gives their places.
    pub(super) async fn append(&self, texts: &[&str]) -> Vec<Position> {
        let appended = self.append_drafts(texts.iter().map(|text| draft(text)).collect()).await;
        appended.iter().map(|one| one.position).collect()
    }

    pub(super) async fn append_drafts(&self, drafts: Vec<Draft>) -> Vec<Appended> {
        let count = drafts.len();
        let appended = self.broker.append(&self.channel, drafts, &self.rules).await.unwrap();
        assert_eq!(appended.len(), count, "one answer for each draft");
        appended
    }

    pub(super) async fn find(&self, start: Start) -> Found {
        self.broker.find(&self.channel, start, &self.rules).await.unwrap()
    }

    pub(super) async fn read(&self, after: Position, limit: Limit) -> Page {
        self.broker.read(&self.channel, after, limit, &self.rules).await.unwrap()
    }

    pub(super) async fn follow(&self) -> Tail {
        self.broker.follow(&self.channel, &self.rules).await.unwrap()
    }

    /// Everything from a start on, and the gap before it, page by page.
    pub(super) async fn from(&self, start: Start) -> (Option<Gap>, Vec<Arc<Message>>) {
        self.look(start).await.whole()
    }

    /// The same, without a verdict: what expires meanwhile is a gap wherever the reader is then.
    pub(super) async fn look(&self, start: Start) -> Seen {
        let found = self.find(start).await;
        let mut at = found.at;
        let mut seen = Seen { gap: found.gap, inside: None, messages: Vec::new() };
        loop {
            let page = self.read(at, PAGE).await;
            match page.gap {
                Some(gap) if seen.gap.is_none() && seen.messages.is_empty() => seen.gap = Some(gap),
                Some(gap) => seen.inside = Some(gap),
                None => {}
            }
            let Some(last) = page.messages.last() else { return seen };
            at = last.position;
            seen.messages.extend(page.messages);
        }
    }

    /// The texts from a start on, where no gap may be.
    pub(super) async fn texts(&self, start: Start) -> Vec<String> {
        self.look(start).await.texts()
    }

    /// The texts of everything kept.
    pub(super) async fn all(&self) -> Vec<String> {
        self.texts(Start::Earliest).await
    }
}

impl Seen {
    /// The gap and what follows it, where nothing else may be missing.
    pub(super) fn whole(self) -> (Option<Gap>, Vec<Arc<Message>>) {
        assert_eq!(self.inside, None, "a gap inside");
        (self.gap, self.messages)
    }

    /// The texts, where no gap may be.
    pub(super) fn texts(self) -> Vec<String> {
        let (gap, messages) = self.whole();
        assert_eq!(gap, None);
        texts(&messages)
    }
}

impl Tail {
    /// The next `count` messages; fewer only where the tail ended.
    pub(super) async fn take(&mut self, count: usize) -> Vec<Arc<Message>> {
        let mut taken: Vec<Arc<Message>> = Vec::new();
        while taken.len() < count {
            let next = tokio::time::timeout(Duration::from_secs(20), self.items.next()).await;
            let Some(batch) = next.expect("a tail owes what was stored") else { break };
            assert!(!batch.is_empty(), "an empty batch");
            let own = batch.iter().all(|message| message.position.epoch == self.from.epoch);
            assert!(own, "a tail is of one epoch");
            taken.extend(batch);
        }
        taken
    }
}

/// A draft that may be stored any number of times.
pub(super) fn draft(text: &str) -> Draft {
    Draft {
        id: text.into(),
        once: Once::No,
        event: None,
        key: None,
        payload: Payload { kind: Kind::Text, bytes: Bytes::copy_from_slice(text.as_bytes()) },
        from: None,
    }
}

/// A draft that is stored once for its id.
pub(super) fn once(id: &str, text: &str) -> Draft {
    Draft { id: id.into(), once: Once::Id, ..draft(text) }
}

/// Message `index` of a stream.
pub(super) fn of_stream(key: &str, index: u64) -> Draft {
    let id = format!("{key}/{index}");
    Draft { id: id.as_str().into(), once: Once::Stream { key: key.into(), index }, ..draft(&id) }
}

/// A draft with a compaction key.
pub(super) fn keyed(key: &str, text: &str) -> Draft {
    Draft { key: Some(key.into()), ..draft(text) }
}

pub(super) fn text(message: &Message) -> String {
    String::from_utf8(message.payload.bytes.to_vec()).unwrap()
}

pub(super) fn texts(messages: &[Arc<Message>]) -> Vec<String> {
    messages.iter().map(|message| text(message)).collect()
}

/// `prefix0`, `prefix1`, …
pub(super) fn numbered(prefix: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{prefix}{number}")).collect()
}

pub(super) fn refs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// A gap's count may be unknown, and is right where it is known.
pub(super) fn assert_missed(gap: &Gap, missed: u64) {
    assert!(gap.missed.is_none_or(|said| said == missed), "{gap:?}, and {missed} are missing");
}
