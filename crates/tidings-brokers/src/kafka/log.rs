//! One channel in hand: its partition, its rules, and the time.

use std::sync::Arc;

use futures_util::stream;
use rdkafka::Message as _;
use tidings_core::broker::{AppendError, BrokerError, Tail};
use tidings_core::log::{
    Appended, Channel, Created, Draft, Found, Limit, Message, Page, Position, Rules, Start, Terms,
};
use tokio::sync::mpsc;

use super::chain::{Fate, Refusal};
use super::place::{self, PER_RECORD};
use super::read::{self, Wanted};
use super::record::{Body, Record};
use super::scan::{Next, scan};
use super::shared::{Shared, changed};
use super::view::View;

/// A channel, for the time of one call.
pub(super) struct Log<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) view: Arc<View>,
    pub(super) channel: &'a Channel,
    /// Those of the namespace.
    pub(super) rules: Rules,
    pub(super) now_ms: u64,
}

/// Bytes of data in a record of several messages.
const RECORD_BYTES: usize = 256 << 10;
/// Messages that wait for a feed; one that is further behind reads the log instead.
const FOLLOW_MESSAGES: usize = 1_024;
/// Messages handed to a feed at once.
const FOLLOW_BATCH: usize = 64;
/// Idempotency keys of one channel.
const KEYS_MAX: usize = 1 << 20;
/// Where what was to be read had expired meanwhile.
const TRIES: usize = 3;

impl Log<'_> {
    /// What is known of the channel now. Fails where the view ended: it may have known nothing any more.
    fn look<T>(&self, work: impl FnOnce(read::View<'_>) -> T) -> Result<T, BrokerError> {
        let seen = self.view.with(self.channel, |chain, epoch, known| {
            chain.ask(&self.rules, self.now_ms);
            work(read::View { chain, epoch, known, below: self.rules.below })
        });
        if self.view.is_over() { Err(changed()) } else { Ok(seen) }
    }

    async fn catch_up(&self) -> Result<(), BrokerError> {
        self.shared.catch_up(&self.view).await
    }

    async fn write(&self, body: Body) -> Result<Fate, BrokerError> {
        let log = self.view.log();
        self.shared.write(&self.view, self.channel.as_str(), log, body, &self.rules).await
    }

    /// Where its time to live has passed, the channel is deleted.
    async fn end_what_is_over(&self) -> Result<(), BrokerError> {
        if self.look(|view| view.chain.is_over(self.now_ms))? {
            self.write(Body::Delete { only_over: true }).await?;
        }
        Ok(())
    }

    pub(super) async fn append(&self, drafts: Vec<Draft>) -> Result<Vec<Appended>, AppendError> {
        let nothing = |error| AppendError { stored: Vec::new(), error };
        self.end_what_is_over().await.map_err(nothing)?;
        if let Some(answer) = self.foresee(&drafts).await.map_err(nothing)? {
            return answer;
        }
        let mut stored = Vec::with_capacity(drafts.len());
        for drafts in pieces(drafts) {
            let ids: Vec<_> = drafts.iter().map(|draft| draft.id.clone()).collect();
            match self.write(Body::Messages(drafts)).await {
                Ok(Fate::Stored { epoch, places, refusal }) => {
                    stored.extend(ids.into_iter().zip(places).map(|(id, (offset, duplicate))| Appended {
                        position: Position { epoch, offset },
                        id,
                        duplicate,
                    }));
                    if let Some(refusal) = refusal {
                        return Err(AppendError { stored, error: refused(refusal, epoch) });
                    }
                }
                Ok(_) => return Err(AppendError { stored, error: changed() }),
                Err(error) => return Err(AppendError { stored, error }),
            }
        }
        Ok(stored)
    }

    /// The answer where nothing would be stored.
    async fn foresee(
        &self,
        drafts: &[Draft],
    ) -> Result<Option<Result<Vec<Appended>, AppendError>>, BrokerError> {
        let foreseen = || {
            self.look(|view| {
                let foreseen = view.chain.foresee(drafts, self.rules.implicit, self.now_ms);
                (foreseen, view.epoch, view.chain.keys.len())
            })
        };
        let (mut answer, mut epoch, keys) = foreseen()?;
        if matches!(answer, Some((_, Some(_)))) {
            // Another node may have created or deleted the channel meanwhile.
            self.catch_up().await?;
            (answer, epoch, _) = foreseen()?;
        }
        let Some((places, refusal)) = answer else {
            return if keys >= KEYS_MAX { Err(BrokerError::Full) } else { Ok(None) };
        };
        let stored = drafts.iter().zip(places).map(|(draft, offset)| Appended {
            position: Position { epoch, offset },
            id: draft.id.clone(),
            duplicate: true,
        });
        let stored = stored.collect();
        Ok(Some(match refusal {
            None => Ok(stored),
            Some(refusal) => Err(AppendError { stored, error: refused(refusal, epoch) }),
        }))
    }

    pub(super) async fn find(&self, start: Start) -> Result<Found, BrokerError> {
        self.catch_up().await?;
        self.end_what_is_over().await?;
        self.look(|view| view.find(start, &self.rules, self.now_ms))
    }

    pub(super) async fn page(&self, after: Position, limit: Limit) -> Result<Page, BrokerError> {
        if self.look(|view| after.epoch == view.epoch && after.offset > view.known)? {
            self.catch_up().await?;
        }
        self.end_what_is_over().await?;
        for _ in 0..TRIES {
            let (wanted, epoch) = self.look(|view| (view.page(after, limit), view.epoch))?;
            if let Some(page) = self.fill(wanted, epoch, limit).await? {
                return Ok(page);
            }
        }
        Err(changed())
    }

    /// The page with its messages. `None` where one of them is gone meanwhile.
    async fn fill(&self, mut wanted: Wanted, epoch: u64, limit: Limit) -> Result<Option<Page>, BrokerError> {
        let missing = |wanted: &Wanted| {
            let places = wanted.messages.iter().filter(|(_, message)| message.is_none());
            places.map(|(at, _)| *at).collect::<Vec<_>>()
        };
        let is_over = |bytes: usize, count: usize| bytes > limit.bytes && count > 0;
        let absent = missing(&wanted);
        if !absent.is_empty() {
            let read = self.fetch(absent, epoch, limit.bytes).await?;
            let mut read = read.into_iter().peekable();
            for (at, message) in wanted.messages.iter_mut().filter(|(_, message)| message.is_none()) {
                *message = read.next_if(|read| read.position.offset == *at);
            }
        }
        let (mut messages, mut bytes) = (Vec::with_capacity(wanted.messages.len()), 0_usize);
        for (at, message) in wanted.messages {
            let Some(message) = message else {
                // What was read stops there by its size, or the topic has lost it.
                if is_over(bytes.saturating_add(1), messages.len()) || bytes >= limit.bytes {
                    return Ok(Some(Page { gap: wanted.gap, messages, end: None }));
                }
                if messages.is_empty() {
                    let (low, _) = self.shared.link.watermarks(&self.view.topic, self.view.partition).await?;
                    if low <= place::of(at).0 {
                        // It should be there: the partition is another one, or its new leader is behind.
                        return Err(changed());
                    }
                    self.view.cut(low);
                    return Ok(None);
                }
                return Ok(Some(Page { gap: wanted.gap, messages, end: None }));
            };
            bytes = bytes.saturating_add(message.weight());
            if is_over(bytes, messages.len()) {
                return Ok(Some(Page { gap: wanted.gap, messages, end: None }));
            }
            messages.push(message);
        }
        Ok(Some(Page { gap: wanted.gap, messages, end: wanted.end }))
    }

    /// Reads messages from the partition, as many as the size allows.
    async fn fetch(
        &self,
        places: Vec<u64>,
        epoch: u64,
        bytes_max: usize,
    ) -> Result<Vec<Arc<Message>>, BrokerError> {
        let (Some(first), Some(last)) = (places.first().copied(), places.last().copied()) else {
            return Ok(Vec::new());
        };
        let (from, until) = (place::of(first).0, place::of(last).0 + 1);
        let (view, channel, lives) = (self.view.clone(), self.channel.clone(), self.view.lives());
        let read = self.shared.link.read(move |reader| {
            let (mut found, mut bytes, mut next) = (Vec::new(), 0_usize, 0);
            scan(reader, &view.topic, view.partition, from, until, |message| {
                let offset = message.offset();
                while places.get(next).is_some_and(|at| place::of(*at).0 < offset) {
                    next += 1;
                }
                let wanted = places.get(next).is_some_and(|at| place::of(*at).0 == offset)
                    && message.key() == Some(channel.as_str().as_bytes());
                let record = if wanted { message.payload().and_then(Record::decode) } else { None };
                // What a topic that was made anew has at the same offset is nothing of this channel.
                if let Some(Record { head, body: Body::Messages(drafts) }) = record
                    && lives.contains(&head.log)
                {
                    while let Some(at) = places.get(next).copied().filter(|at| place::of(*at).0 == offset) {
                        next += 1;
                        let Some(draft) = drafts.get(place::of(at).1) else { break };
                        let position = Position { epoch, offset: at };
                        let message = Message::new(channel.clone(), position, head.written_ms, draft.clone());
                        bytes = bytes.saturating_add(message.weight());
                        found.push(Arc::new(message));
                    }
                }
                match places.get(next) {
                    Some(at) if bytes <= bytes_max => Next::At(place::of(*at).0),
                    _ => Next::Done,
                }
            })?;
            Ok(found)
        });
        read.await
    }

    pub(super) async fn follow(&self) -> Result<Tail, BrokerError> {
        self.catch_up().await?;
        self.end_what_is_over().await?;
        let (sender, receiver) = mpsc::channel(FOLLOW_MESSAGES);
        let from = self.view.with(self.channel, |chain, epoch, _| {
            chain.ask(&self.rules, self.now_ms);
            chain.followers.retain(|follower| !follower.is_closed());
            chain.followers.push(sender);
            Position { epoch, offset: chain.tip() }
        });
        if self.view.is_over() {
            return Err(changed());
        }
        let items = stream::unfold(receiver, |mut receiver| async move {
            let mut batch = Vec::new();
            receiver.recv_many(&mut batch, FOLLOW_BATCH).await;
            (!batch.is_empty()).then_some((batch, receiver))
        });
        Ok(Tail { from, items: Box::pin(items) })
    }

    pub(super) async fn create(&self, terms: Terms) -> Result<Created, BrokerError> {
        self.end_what_is_over().await?;
        match self.write(Body::Create(terms)).await? {
            Fate::Created { epoch, end, new, closed } => {
                Ok(Created { end: Position { epoch, offset: end }, new, closed })
            }
            _ => Err(changed()),
        }
    }

    pub(super) async fn delete(&self) -> Result<bool, BrokerError> {
        self.catch_up().await?;
        self.end_what_is_over().await?;
        if !self.look(|view| view.chain.is_created())? {
            return Ok(false);
        }
        match self.write(Body::Delete { only_over: false }).await? {
            Fate::Deleted(was_there) => Ok(was_there),
            _ => Err(changed()),
        }
    }
}

fn refused(refusal: Refusal, epoch: u64) -> BrokerError {
    match refusal {
        Refusal::Closed(offset) => BrokerError::Closed(Position { epoch, offset }),
        Refusal::Unknown => BrokerError::Unknown,
    }
}

/// Drafts that go into one record each: it is stored whole or not at all.
fn pieces(drafts: Vec<Draft>) -> Vec<Vec<Draft>> {
    let mut pieces: Vec<Vec<Draft>> = Vec::new();
    let mut bytes = 0;
    for draft in drafts {
        let own = draft.payload.bytes.len() + draft.id.len();
        bytes += own;
        match pieces.last_mut() {
            Some(piece) if piece.len() < PER_RECORD - 8 && bytes <= RECORD_BYTES => piece.push(draft),
            _ => {
                bytes = own;
                pieces.push(vec![draft]);
            }
        }
    }
    pieces
}
