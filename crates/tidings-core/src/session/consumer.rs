//! Durable consumers: readers whose place the server keeps, for devices that cannot keep a cursor.
//!
//! A place is a message of an internal log, one for each channel, user and name:
//! so it is as durable as the channel, and the same on each node of a broker.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::broker::{answer, answer_append};
use crate::error::{Code, Error, Result};
use crate::log::{Below, Channel, Cursor, Draft, Found, Limit, Position, Retain, Rules, Start, Why};

use super::start::{ASKED_AT_ONCE, begin_at};
use super::{Identity, Session};

/// The name of a durable consumer, which its user chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer(Box<str>);

/// One consumer in one channel.
pub(super) struct Consuming {
    /// The log of its places.
    places: Channel,
    kept: Option<Kept>,
}

/// The place that a consumer has.
#[derive(Clone, Copy)]
struct Kept {
    at: Position,
    /// When it was kept last.
    since_ms: u64,
}

/// As it stands in the log.
#[derive(Serialize, Deserialize)]
struct Record {
    epoch: u64,
    offset: u64,
}

/// Bytes of a name.
const NAME_BYTES_MAX: usize = 128;
/// Places that are kept: of acknowledgements that cross each other the furthest counts.
const KEPT: u64 = 8;
/// How long a consumer is known that neither reads nor acknowledges.
const AGE_MS: u64 = 30 * DAY_MS;
/// A place that is older is kept anew when its consumer is seen: on a quiet channel it would be forgotten.
const FRESH_MS: u64 = DAY_MS;
const DAY_MS: u64 = 24 * 3_600_000;

/// How a log is kept.
const RULES: Rules = Rules {
    retain: Retain { messages: KEPT, age_ms: AGE_MS },
    compact: false,
    dedupe_ms: 0,
    implicit: true,
    below: Below::Oldest,
    durable: true,
};

impl Consumer {
    /// Reads a name: 1 to 128 bytes of the alphabet of channel names.
    pub fn parse(name: &str) -> Result<Self> {
        match Channel::parse(name) {
            Ok(_) if name.len() <= NAME_BYTES_MAX => Ok(Consumer(name.into())),
            _ => {
                let detail =
                    format!("a consumer's name has 1 to {NAME_BYTES_MAX} bytes of A-Z a-z 0-9 _ - . : @ =");
                Err(Error::new(Code::BadConsumer, detail))
            }
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Session {
    /// Notes that a consumer has done with everything up to a cursor of its channel, and gives the place
    /// that holds now: an acknowledgement behind it changes nothing. [`Code::BadCursor`] where the cursor is
    /// of no place in the channel, or past its end.
    pub async fn acknowledge(
        &self,
        channel: &Channel,
        consumer: &Consumer,
        cursor: &Cursor,
    ) -> Result<Position> {
        let Consuming { places, kept } = self.consuming(channel, consumer).await?;
        let bad = |detail: &str| Error::new(Code::BadCursor, detail);
        let to = cursor.get(channel).ok_or_else(|| bad("the cursor is not of this channel"))?;
        let rules = self.hub.settings.get().policy.of(channel)?.rules();
        let found = answer(self.hub.broker.find(channel, Start::After(to), &rules)).await?;
        if found.gap.is_some_and(|gap| gap.why == Why::Epoch) {
            return Err(bad("the cursor is past the end of the channel, or of a log that is gone"));
        }
        let ahead = kept.filter(|kept| kept.at.epoch == to.epoch && kept.at.offset >= to.offset);
        match ahead {
            Some(kept) => self.renew(&places, kept).await.map(|()| kept.at),
            None => self.keep(&places, to).await.map(|()| to),
        }
    }

    /// What a consumer has acknowledged, or where it began; `None` where it is not known.
    pub async fn acknowledged(&self, channel: &Channel, consumer: &Consumer) -> Result<Option<Position>> {
        Ok(self.consuming(channel, consumer).await?.kept.map(|kept| kept.at))
    }

    /// Forgets a consumer. False where it was not known.
    pub async fn forget(&self, channel: &Channel, consumer: &Consumer) -> Result<bool> {
        let places = self.places(channel, consumer)?;
        Ok(answer(self.hub.broker.delete(&places, &RULES)).await?)
    }

    /// A consumer in each of these channels, in their order.
    pub(super) async fn consume(&self, channels: &[Channel], consumer: &Consumer) -> Result<Vec<Consuming>> {
        let all: Vec<_> = channels.iter().map(|channel| self.consuming(channel, consumer)).collect();
        stream::iter(all).buffered(ASKED_AT_ONCE).try_collect().await
    }

    /// Keeps where the reads of a consumer begin. What comes before a first acknowledgement comes again,
    /// and who reads is not forgotten.
    pub(super) async fn begin(&self, all: &[Consuming], found: &[Found]) -> Result<()> {
        let begin = async |Consuming { places, kept }: &Consuming, found: &Found| match kept {
            Some(kept) => self.renew(places, *kept).await,
            // A gap that is told here is told again, too.
            None => self.keep(places, found.gap.map_or(found.at, |gap| gap.begins_at())).await,
        };
        let all: Vec<_> = all.iter().zip(found).map(|(one, found)| begin(one, found)).collect();
        stream::iter(all).buffered(ASKED_AT_ONCE).try_collect().await
    }

    /// Checks that somebody may have consumers of a channel: the right to read it, and a name of its own.
    pub fn may_consume(&self, channel: &Channel) -> Result<()> {
        self.may_read(std::slice::from_ref(channel))?;
        self.whose().map(drop)
    }

    /// Whose consumers they are: a user's, or the backends'.
    fn whose(&self) -> Result<Option<&str>> {
        match &self.identity {
            Identity::Backend(_) => Ok(None),
            Identity::Client(client) => match &client.user {
                Some(user) => Ok(Some(user)),
                None => Err(Error::new(Code::Forbidden, "a consumer needs a token with a `sub`")),
            },
            Identity::Anonymous => {
                Err(Error::new(Code::NoCredentials, "a consumer is somebody's, and needs credentials"))
            }
        }
    }

    /// The log of a consumer's places. Needs the right to read the channel, and somebody whose consumer it is.
    fn places(&self, channel: &Channel, consumer: &Consumer) -> Result<Channel> {
        self.may_read(std::slice::from_ref(channel))?;
        let whose = self.whose()?;
        // Hashed: together the names may be longer than that of a channel. A length before each keeps them apart.
        let mut hash = Sha256::new();
        for part in [Some(channel.as_str()), whose, Some(consumer.as_str())] {
            hash.update(part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
            hash.update(part.unwrap_or_default());
        }
        Ok(Channel::internal("consumer", &URL_SAFE_NO_PAD.encode(hash.finalize())))
    }

    /// A consumer, and the place that holds for it: of those in the newest epoch the furthest.
    async fn consuming(&self, channel: &Channel, consumer: &Consumer) -> Result<Consuming> {
        let places = self.places(channel, consumer)?;
        let broker = &self.hub.broker;
        let Found { at, .. } = answer(broker.find(&places, Start::Last(KEPT), &RULES)).await?;
        let all = Limit { messages: KEPT as usize, bytes: usize::MAX };
        let page = answer(broker.read(&places, at, all, &RULES)).await?;
        let mut kept: Option<Kept> = None;
        for message in &page.messages {
            let Ok(Record { epoch, offset }) = serde_json::from_slice(&message.payload.bytes) else {
                continue;
            };
            let before = kept.filter(|kept| kept.at.epoch == epoch).map_or(0, |kept| kept.at.offset);
            let at = Position { epoch, offset: offset.max(before) };
            kept = Some(Kept { at, since_ms: message.time_ms });
        }
        Ok(Consuming { places, kept })
    }

    /// Keeps a place anew that would be forgotten some day.
    async fn renew(&self, places: &Channel, kept: Kept) -> Result<()> {
        match kept.since_ms.saturating_add(FRESH_MS) <= self.hub.clock.now_ms() {
            true => self.keep(places, kept.at).await,
            false => Ok(()),
        }
    }

    async fn keep(&self, places: &Channel, Position { epoch, offset }: Position) -> Result<()> {
        // A struct of numbers always serialises.
        let record = serde_json::to_string(&Record { epoch, offset }).unwrap_or_default();
        let draft = Draft::of_key("place".into(), record);
        let kept = answer_append(self.hub.broker.append(places, vec![draft], &RULES)).await;
        kept.map(drop).map_err(|append| append.error.of_write())
    }
}

impl Consuming {
    /// Where it reads on; `None` where it is new.
    pub(super) fn start(&self) -> Option<Start> {
        self.kept.map(|kept| begin_at(kept.at))
    }
}
