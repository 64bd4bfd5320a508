//! Durable consumers: readers whose place the server keeps, for devices that cannot keep a cursor.
//!
//! A place is a message of an internal log, one for each channel, user and name:
//! so it is as durable as the channel, and the same on each node of a broker.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::broker::{answer, answer_append};
use crate::error::{Code, Error, Result};
use crate::log::{
    Below, Channel, Cursor, Draft, Found, Kind, Limit, Once, Payload, Position, Retain, Rules, Start, Why,
};

use super::{Identity, Session};

/// The name of a durable consumer, which its user chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer(Box<str>);

/// The log of one consumer's places in one channel.
pub(super) struct Places(Channel);

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
/// How long a consumer is known that acknowledges nothing.
const AGE_MS: u64 = 30 * 24 * 3_600_000;

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
        let places = self.places(channel, consumer)?;
        let bad = |detail: &str| Error::new(Code::BadCursor, detail);
        let to = cursor.get(channel).ok_or_else(|| bad("the cursor is not of this channel"))?;
        let rules = self.hub.settings.get().policy.of(channel)?.rules();
        let found = answer(self.hub.broker.find(channel, Start::After(to), &rules)).await?;
        if found.gap.is_some_and(|gap| gap.why == Why::Epoch) {
            return Err(bad("the cursor is past the end of the channel, or of a log that is gone"));
        }
        match self.kept(&places).await? {
            Some(kept) if kept.epoch == to.epoch && kept.offset >= to.offset => Ok(kept),
            _ => self.keep(&places, to).await.map(|()| to),
        }
    }

    /// What a consumer has acknowledged, or where it began; `None` where it is not known.
    pub async fn acknowledged(&self, channel: &Channel, consumer: &Consumer) -> Result<Option<Position>> {
        self.kept(&self.places(channel, consumer)?).await
    }

    /// Forgets a consumer. False where it was not known.
    pub async fn forget(&self, channel: &Channel, consumer: &Consumer) -> Result<bool> {
        let places = self.places(channel, consumer)?;
        Ok(answer(self.hub.broker.delete(&places.0, &RULES)).await?)
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
    pub(super) fn places(&self, channel: &Channel, consumer: &Consumer) -> Result<Places> {
        self.may_read(std::slice::from_ref(channel))?;
        let whose = self.whose()?;
        // Hashed: together the names may be longer than that of a channel. A length before each keeps them apart.
        let mut hash = Sha256::new();
        for part in [Some(channel.as_str()), whose, Some(consumer.as_str())] {
            hash.update(part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
            hash.update(part.unwrap_or_default());
        }
        Ok(Places(Channel::internal("consumer", &URL_SAFE_NO_PAD.encode(hash.finalize()))))
    }

    /// The place that holds: of those in the newest epoch the furthest.
    pub(super) async fn kept(&self, places: &Places) -> Result<Option<Position>> {
        let broker = &self.hub.broker;
        let Found { at, .. } = answer(broker.find(&places.0, Start::Last(KEPT), &RULES)).await?;
        let all = Limit { messages: KEPT as usize, bytes: usize::MAX };
        let page = answer(broker.read(&places.0, at, all, &RULES)).await?;
        let read = |bytes: &Bytes| serde_json::from_slice::<Record>(bytes).ok();
        let records = page.messages.iter().filter_map(|message| read(&message.payload.bytes));
        let records: Vec<_> = records.collect();
        let Some(newest) = records.last().map(|record| record.epoch) else { return Ok(None) };
        let offsets = records.iter().filter(|record| record.epoch == newest).map(|record| record.offset);
        Ok(offsets.max().map(|offset| Position { epoch: newest, offset }))
    }

    /// Keeps a place.
    pub(super) async fn keep(&self, places: &Places, Position { epoch, offset }: Position) -> Result<()> {
        // A struct of numbers always serialises.
        let record = serde_json::to_vec(&Record { epoch, offset }).unwrap_or_default();
        let draft = Draft {
            id: self.hub.ids.next(),
            once: Once::No,
            event: None,
            key: None,
            payload: Payload { kind: Kind::Json, bytes: record.into() },
            from: None,
        };
        let kept = answer_append(self.hub.broker.append(&places.0, vec![draft], &RULES)).await;
        kept.map(drop).map_err(|append| {
            let stored = append.error.stored();
            Error::from(append.error).stored(stored)
        })
    }
}
