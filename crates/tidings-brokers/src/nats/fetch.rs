//! Reading records: the newest of a channel, one by its sequence, what follows a sequence.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tidings_core::broker::BrokerError;
use tokio::time::{Instant, timeout_at};

use super::link::{ANSWER_MAX, Failure, Link};
use super::record::{Record, decode};
use super::stream::Stream;

/// Records that follow a sequence.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) records: Vec<Record>,
    /// Of which channel each of them is, by its subject.
    pub(super) subjects: Vec<String>,
    /// Of the last of them, whatever it is.
    pub(super) last_seq: u64,
    /// Whether there are more.
    pub(super) more: bool,
}

#[derive(Deserialize)]
struct Got {
    message: GotMessage,
}

#[derive(Deserialize)]
struct GotMessage {
    seq: u64,
    #[serde(default)]
    data: String,
}

const NOT_FOUND: u16 = 404;
const END_OF_BATCH: u16 = 204;
/// `no message found`.
const NO_MESSAGE: u32 = 10_037;
/// Records asked for at once; fewer than a subscription holds.
pub(super) const BATCH_MAX: usize = 1_000;
/// Bytes asked for at once.
pub(super) const BATCH_BYTES_MAX: usize = 8 << 20;

impl Stream {
    /// The newest record of a subject.
    pub(super) async fn newest(&self, link: &Link, subject: &str) -> Result<Option<Record>, BrokerError> {
        let request = json!({ "last_by_subj": subject });
        // Any replica answers a direct get, and one may be behind.
        let is_replicated = self.known().is_some_and(|known| known.replicas > 1);
        let got = if is_replicated {
            self.ask_leader(link, &request).await?
        } else {
            self.direct(link, &request).await?
        };
        self.read(got)
    }

    /// The record at a sequence.
    pub(super) async fn at(&self, link: &Link, seq: u64) -> Result<Option<Record>, BrokerError> {
        let got = self.ask_leader(link, &json!({ "seq": seq })).await?;
        Ok(got.and_then(|(seq, bytes)| decode(seq, bytes)))
    }

    /// The bytes at a sequence, whatever they are.
    pub(super) async fn raw(&self, link: &Link, seq: u64) -> Result<Option<Bytes>, BrokerError> {
        Ok(self.ask_leader(link, &json!({ "seq": seq })).await?.map(|(_, bytes)| bytes))
    }

    /// What one subject holds, whatever it is.
    pub(super) async fn bytes(&self, link: &Link, subject: &str) -> Result<Option<Bytes>, BrokerError> {
        let got = self.ask_leader(link, &json!({ "last_by_subj": subject })).await?;
        Ok(got.map(|(_, bytes)| bytes))
    }

    fn read(&self, got: Option<(u64, Bytes)>) -> Result<Option<Record>, BrokerError> {
        let Some((seq, bytes)) = got else { return Ok(None) };
        self.mark.saw(seq, &bytes);
        decode(seq, bytes).map(Some).ok_or_else(|| self.foreign(seq))
    }

    fn foreign(&self, seq: u64) -> BrokerError {
        BrokerError::Corrupt(format!(
            "message {seq} of the stream {} is none of this version of Tidings; give it a broker.prefix of its own, or \
             remove that message",
            self.name
        ))
    }

    async fn direct(&self, link: &Link, request: &Value) -> Result<Option<(u64, Bytes)>, BrokerError> {
        let subject = format!("$JS.API.DIRECT.GET.{}", self.name);
        let message = match link.request(subject, None, request.to_string().into(), ANSWER_MAX).await {
            Err(Failure::Nobody) => return Err(self.gone()),
            answer => answer?,
        };
        match message.status.map(|status| status.as_u16()) {
            None => Ok(Some((sequence(&message).ok_or_else(unnumbered)?, message.payload))),
            Some(NOT_FOUND) => Ok(None),
            Some(_) => {
                let what = message.description.unwrap_or_default();
                Err(BrokerError::Unavailable(format!("the server gives no message: {what}")))
            }
        }
    }

    async fn ask_leader(&self, link: &Link, request: &Value) -> Result<Option<(u64, Bytes)>, BrokerError> {
        match link.api::<Got>(&format!("STREAM.MSG.GET.{}", self.name), request).await? {
            Ok(Got { message }) => {
                let bytes = BASE64_STANDARD.decode(message.data).map_err(|_| self.foreign(message.seq))?;
                Ok(Some((message.seq, bytes.into())))
            }
            Err(refusal) if refusal.err_code == NO_MESSAGE => Ok(None),
            Err(refusal) if refusal.err_code == super::api::STREAM_NOT_FOUND => Err(self.gone()),
            Err(refusal) => Err(refusal.error()),
        }
    }

    /// Nobody has the stream: whoever comes next makes it, or is told what is wrong.
    fn gone(&self) -> BrokerError {
        self.forget();
        BrokerError::Unavailable(format!("the stream {} is gone, or JetStream is off", self.name))
    }

    /// Records of a subject from a sequence on.
    pub(super) async fn batch(
        &self,
        link: &Link,
        subject: &str,
        from: u64,
        count: usize,
        bytes: usize,
    ) -> Result<Batch, BrokerError> {
        let client = link.client().map_err(BrokerError::Unavailable)?;
        let inbox = client.new_inbox();
        let unsent = |error: &dyn std::fmt::Display| BrokerError::Unavailable(error.to_string());
        let until = Instant::now() + ANSWER_MAX;
        let stuck = |_late| unsent(&"the connection takes nothing");
        let subscribed = timeout_at(until, client.subscribe(inbox.clone())).await.map_err(stuck)?;
        let mut answers = subscribed.map_err(|error| unsent(&error))?;
        let request = json!({
            "seq": from.max(1), "next_by_subj": subject,
            "batch": count.clamp(1, BATCH_MAX), "max_bytes": bytes.clamp(1, BATCH_BYTES_MAX),
        });
        let direct = format!("$JS.API.DIRECT.GET.{}", self.name);
        let asked = client.publish_with_reply(direct, inbox, request.to_string().into());
        timeout_at(until, asked).await.map_err(stuck)?.map_err(|error| unsent(&error))?;
        let mut cuts = link.cuts();
        let mut batch = Batch::default();
        loop {
            let answer = tokio::select! {
                answer = timeout_at(until, answers.next()) => answer,
                _ = cuts.changed() => return Err(unsent(&"the connection was lost meanwhile")),
            };
            let Ok(Some(message)) = answer else { return Err(unsent(&"a batch of messages did not end")) };
            match message.status.map(|status| status.as_u16()) {
                None => {
                    batch.last_seq = sequence(&message).ok_or_else(unnumbered)?;
                    batch.subjects.push(subject_of(&message).unwrap_or_default().to_owned());
                    let record = decode(batch.last_seq, message.payload);
                    batch.records.push(record.ok_or_else(|| self.foreign(batch.last_seq))?);
                }
                Some(NOT_FOUND) => return Ok(batch),
                Some(END_OF_BATCH) => {
                    batch.more = pending(message.headers.as_ref()) > 0;
                    return Ok(batch);
                }
                Some(503) => return Err(self.gone()),
                Some(other) => return Err(unsent(&format!("a batch of messages ended with {other}"))),
            }
        }
    }
}

/// Between two looks at a replica that is behind.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(20);

fn unnumbered() -> BrokerError {
    BrokerError::Unavailable("the server gives a message without its sequence".into())
}

/// The sequence that a message from the server has in its stream.
pub(super) fn sequence(message: &async_nats::Message) -> Option<u64> {
    message.headers.as_ref()?.get("Nats-Sequence")?.as_str().parse().ok()
}

fn subject_of(message: &async_nats::Message) -> Option<&str> {
    Some(message.headers.as_ref()?.get("Nats-Subject")?.as_str())
}

fn pending(headers: Option<&async_nats::HeaderMap>) -> u64 {
    let pending = headers.and_then(|headers| headers.get("Nats-Num-Pending"));
    pending.and_then(|pending| pending.as_str().parse().ok()).unwrap_or(0)
}
