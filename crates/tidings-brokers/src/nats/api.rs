//! JetStream's own requests, as its wire has them: streams, purges, single records.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tidings_core::broker::BrokerError;

use super::link::{ANSWER_MAX, Failure, Link};

/// An error in an answer.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Refusal {
    #[serde(default)]
    pub(super) err_code: u32,
    #[serde(default)]
    description: String,
}

/// What became of a record.
#[derive(Debug)]
pub(super) enum Published {
    /// It is stored there; `duplicate`: it was before.
    Stored { seq: u64, duplicate: bool },
    /// Something else was stored in the channel meanwhile.
    Conflict,
    /// There is no such stream, and so it is not stored.
    NoStream,
}

/// Whether a record goes before all that its subject has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    Stays,
    /// All that is before it goes, in the same step.
    Goes,
}

#[derive(Deserialize)]
struct Answer {
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Ack {
    error: Option<Refusal>,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
}

/// `stream not found`.
pub(super) const STREAM_NOT_FOUND: u32 = 10_059;
/// `wrong last sequence`, with the number and without.
const WRONG_LAST: [u32; 2] = [10_071, 10_164];
/// A message with the same id is under way.
const DUPLICATE_UNDER_WAY: u32 = 10_158;
/// No room: of the server, of the account, of its disk.
const FULL: [u32; 4] = [10_023, 10_047, 10_028, 10_002];
/// The store of the stream refused it, with a reason in words.
const STORE_FAILED: u32 = 10_077;

impl Refusal {
    /// Of a request after which nothing has changed.
    pub(super) fn error(&self) -> BrokerError {
        let Refusal { err_code, description } = self;
        BrokerError::Unavailable(format!("NATS says {err_code}: {description}"))
    }

    fn is_full(&self) -> bool {
        let is_limit = self.description.contains("maximum") || self.description.contains("no space");
        FULL.contains(&self.err_code) || (self.err_code == STORE_FAILED && is_limit)
    }
}

impl Link {
    /// One request of `$JS.API`.
    pub(super) async fn api<T: DeserializeOwned>(
        &self,
        what: &str,
        request: &Value,
    ) -> Result<Result<T, Refusal>, BrokerError> {
        self.api_within(what, request, ANSWER_MAX).await
    }

    /// The same, for who has less patience.
    pub(super) async fn api_within<T: DeserializeOwned>(
        &self,
        what: &str,
        request: &Value,
        patience: Duration,
    ) -> Result<Result<T, Refusal>, BrokerError> {
        let payload = if request.is_null() { Bytes::new() } else { Bytes::from(request.to_string()) };
        let answer = self.request(format!("$JS.API.{what}"), None, payload, patience).await?;
        let unreadable = |error: serde_json::Error| {
            BrokerError::Unavailable(format!("the server's answer to {what} cannot be read: {error}"))
        };
        let Answer { error } = serde_json::from_slice(&answer.payload).map_err(unreadable)?;
        match error {
            Some(refusal) => Ok(Err(refusal)),
            None => serde_json::from_slice(&answer.payload).map(Ok).map_err(unreadable),
        }
    }

    /// Stores a record if the newest of its subject is still `after`.
    pub(super) async fn publish(
        &self,
        subject: String,
        after: u64,
        id: Option<String>,
        before: Before,
        record: Bytes,
    ) -> Result<Published, BrokerError> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Last-Subject-Sequence", after.to_string());
        if let Some(id) = id {
            headers.insert("Nats-Msg-Id", id);
        }
        if before == Before::Goes {
            headers.insert("Nats-Rollup", "sub");
        }
        self.store(subject, headers, record).await
    }

    /// Stores something in place of all that its subject has, for a time.
    pub(super) async fn replace(
        &self,
        subject: String,
        seconds: u64,
        record: Bytes,
    ) -> Result<Published, BrokerError> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Rollup", "sub");
        headers.insert("Nats-TTL", format!("{}s", seconds.max(1)));
        self.store(subject, headers, record).await
    }

    async fn store(
        &self,
        subject: String,
        headers: HeaderMap,
        record: Bytes,
    ) -> Result<Published, BrokerError> {
        let answer = match self.request(subject, Some(headers), record, ANSWER_MAX).await {
            Ok(answer) => answer,
            Err(Failure::Nobody) => return Ok(Published::NoStream),
            Err(Failure::NotSent(why)) => return Err(BrokerError::Unavailable(why)),
            Err(Failure::NoAnswer(why)) => return Err(BrokerError::Lost(why)),
        };
        let ack: Ack = serde_json::from_slice(&answer.payload)
            .map_err(|error| BrokerError::Lost(format!("its answer cannot be read: {error}")))?;
        match ack.error {
            None => {
                self.is_full(None);
                Ok(Published::Stored { seq: ack.seq, duplicate: ack.duplicate })
            }
            Some(refusal) if WRONG_LAST.contains(&refusal.err_code) => Ok(Published::Conflict),
            Some(refusal) if refusal.err_code == DUPLICATE_UNDER_WAY => Ok(Published::Conflict),
            Some(refusal) if refusal.is_full() => {
                let why = format!(
                    "NATS has no room ({}); give its streams, account or disk more, or keep less in [namespaces]",
                    refusal.description
                );
                self.is_full(Some(&why));
                Err(BrokerError::Unavailable(why))
            }
            Some(refusal) => Err(refusal.error()),
        }
    }

    /// Removes what a subject has before a sequence.
    pub(super) async fn purge_before(
        &self,
        stream: &str,
        subject: &str,
        seq: u64,
    ) -> Result<(), BrokerError> {
        self.purge(stream, &json!({ "filter": subject, "seq": seq })).await
    }

    /// Removes all but the newest records of a subject.
    pub(super) async fn purge_to(&self, stream: &str, subject: &str, keep: u64) -> Result<(), BrokerError> {
        self.purge(stream, &json!({ "filter": subject, "keep": keep })).await
    }

    async fn purge(&self, stream: &str, request: &Value) -> Result<(), BrokerError> {
        let answer = self.api::<Value>(&format!("STREAM.PURGE.{stream}"), request).await?;
        answer.map(drop).map_err(|refusal| refusal.error())
    }

    /// Removes one record. It may be gone already.
    pub(super) async fn remove(&self, stream: &str, seq: u64) -> Result<(), BrokerError> {
        let what = format!("STREAM.MSG.DELETE.{stream}");
        let answer = self.api::<Value>(&what, &json!({ "seq": seq, "no_erase": true })).await?;
        // Whatever the refusal: an older message of a key that stays does no harm, and goes later.
        if let Err(refusal) = answer {
            tracing::debug!(seq, code = refusal.err_code, "a replaced message stays");
        }
        Ok(())
    }
}
