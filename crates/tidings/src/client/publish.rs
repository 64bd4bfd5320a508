//! Writing: one message, made safe to try again, or a stream of lines.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use reqwest::{RequestBuilder, Response};
use serde::Deserialize;
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use super::endpoint::{ANSWER_MAX, read_body, refusal};
use super::error::{Blame, Cut};
use super::item::unexpected;
use super::{Backoff, Endpoint, Error, ITEM_BYTES_MAX, Timing};

/// How long to try; well within the 2 minutes for which a server knows a key by default.
const TRIES_MAX: Duration = Duration::from_mins(1);

/// How long to try where nothing answers: a mistyped address should not take a minute to be told.
const CONNECTS_MAX: Duration = Duration::from_secs(5);

/// What is published.
#[derive(Debug, Clone)]
pub enum Body {
    /// A JSON value, as text.
    Json(Bytes),
    /// UTF-8 text.
    Text(Bytes),
    /// Bytes.
    Bytes(Bytes),
}

/// One message to publish.
#[derive(Debug, Clone)]
pub struct Draft {
    /// To which channel.
    pub channel: String,
    /// What kind of message; `None` for `message`.
    pub event: Option<String>,
    /// For compaction.
    pub key: Option<String>,
    /// The idempotency key: with one, a publish whose outcome is unknown is tried again.
    pub id: Option<String>,
    /// Closes the channel behind it; with an empty body, that alone.
    pub close: bool,
    /// The data.
    pub body: Body,
}

/// What is the same for each message of a stream.
#[derive(Debug, Clone)]
pub struct Lines {
    /// To which channel.
    pub channel: String,
    /// What kind of message; `None` for `message`.
    pub event: Option<String>,
    /// For compaction.
    pub key: Option<String>,
    /// The idempotency key of the stream: message n (from 0) has `id/n`.
    pub id: Option<String>,
    /// Closes the channel behind the last.
    pub close: bool,
}

/// The server's word that it has ordered or stored what was published.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Receipt {
    /// The whole reply, JSON on one line.
    #[serde(skip)]
    pub text: String,
    /// The place just after the message, or after the last of a stream.
    pub cursor: Option<String>,
    /// The message's id; `None` for a stream.
    pub id: Option<String>,
    /// Whether it was stored by an earlier try.
    pub duplicate: bool,
    /// How many of a stream were stored; `None` for one message.
    pub published: Option<u64>,
}

/// A fresh idempotency key: 128 random bits, in hex.
///
/// # Errors
///
/// [`Error::Unsendable`] if the system has no randomness to give.
pub fn generated_id() -> Result<String, Error> {
    let half = || getrandom::u64().map_err(|error| Error::Unsendable(format!("no random id: {error}")));
    Ok(format!("{:016x}{:016x}", half()?, half()?))
}

/// Publishes one message. Tries again for a minute while the server is busy (5 s while nothing
/// answers at all), if the message has an id or cannot have been stored; `on_retry` is told why, and after what delay.
///
/// # Errors
///
/// [`Error::Refused`] at once; [`Error::Unreachable`] when the time is over.
pub async fn publish(
    endpoint: &Endpoint,
    draft: &Draft,
    mut on_retry: impl FnMut(&str, Duration),
) -> Result<Receipt, Error> {
    let url = url(endpoint, &draft.channel, draft.event.as_deref(), draft.key.as_deref(), draft.close);
    let id = header(draft.id.as_deref())?;
    let (kind, body) = match &draft.body {
        Body::Json(body) => ("application/json", body),
        Body::Text(body) => ("text/plain; charset=utf-8", body),
        Body::Bytes(body) => ("application/octet-stream", body),
    };
    let mut tries = Tries::new();
    loop {
        let request =
            with_id(endpoint.request(Method::POST, url.clone()).header(CONTENT_TYPE, kind), id.as_ref());
        let asking = async { receipt(request.body(body.clone()).send().await).await };
        let cut = match timeout(ANSWER_MAX, asking).await {
            Ok(Ok(receipt)) => return Ok(receipt),
            Ok(Err(cut)) => cut,
            Err(_) => Cut::lost("no answer to the publish"),
        };
        tries.again(endpoint, cut, id.is_some(), &mut on_retry).await?;
    }
}

/// Publishes lines as they come: each item of `lines` is one JSON value without line breaks, and
/// its own message. Tries again only to connect, before the first line is taken.
///
/// # Errors
///
/// [`Error::Refused`] with how many were stored (`published`), or [`Error::Unreachable`], where
/// that is not known. With an id, sending the same lines again stores none of them twice.
pub async fn publish_lines(
    endpoint: &Endpoint,
    stream: &Lines,
    lines: impl Stream<Item = Bytes> + Send + Unpin + 'static,
    mut on_retry: impl FnMut(&str, Duration),
) -> Result<Receipt, Error> {
    let url = url(endpoint, &stream.channel, stream.event.as_deref(), stream.key.as_deref(), stream.close);
    let id = header(stream.id.as_deref())?;
    let input =
        Arc::new(Input { lines: Mutex::new(lines), is_taken: AtomicBool::new(false), end: Notify::new() });
    let mut tries = Tries::new();
    loop {
        let body = futures_util::stream::unfold(Arc::clone(&input), |input| async {
            let line = input.next().await?;
            Some((Ok::<_, Infallible>(line), input))
        });
        let request =
            endpoint.request(Method::POST, url.clone()).header(CONTENT_TYPE, "application/x-ndjson");
        let request = with_id(request, id.as_ref()).body(reqwest::Body::wrap_stream(body));
        // The input takes the time that it takes; the answer to it does not.
        let patience = async {
            input.end.notified().await;
            sleep(ANSWER_MAX).await;
        };
        let cut = tokio::select! {
            answer = async { receipt(request.send().await).await } => match answer {
                Ok(receipt) => return Ok(receipt),
                Err(cut) => cut,
            },
            () = patience => Cut::lost("no answer to the stream"),
        };
        if input.is_taken.load(Ordering::Relaxed) {
            return Err(given_up(endpoint, cut));
        }
        tries.again(endpoint, cut, true, &mut on_retry).await?;
    }
}

/// The lines to come, and what became of them. A request that does not connect takes none.
struct Input<S> {
    lines: Mutex<S>,
    is_taken: AtomicBool,
    end: Notify,
}

impl<S: Stream<Item = Bytes> + Unpin> Input<S> {
    async fn next(&self) -> Option<Bytes> {
        let Some(line) = self.lines.lock().await.next().await else {
            self.end.notify_one();
            return None;
        };
        self.is_taken.store(true, Ordering::Relaxed);
        let mut bytes = Vec::with_capacity(line.len() + 1);
        bytes.extend_from_slice(&line);
        bytes.push(b'\n');
        Some(bytes.into())
    }
}

/// The tries of one publish, and their end.
struct Tries {
    backoff: Backoff,
    since: Instant,
}

impl Tries {
    fn new() -> Self {
        let timing = Timing { backoff_max: Duration::from_secs(8), ..Timing::default() };
        Self { backoff: Backoff::new(&timing), since: Instant::now() }
    }

    /// Waits for the next try, or gives the error if there is to be none. `is_safe`: the publish
    /// may be repeated although its outcome is unknown.
    async fn again(
        &mut self,
        endpoint: &Endpoint,
        cut: Cut,
        is_safe: bool,
        on_retry: &mut impl FnMut(&str, Duration),
    ) -> Result<(), Error> {
        let Cut::Again { hint, blame, .. } = &cut else { return Err(given_up(endpoint, cut)) };
        let delay = self.backoff.delay(*hint);
        // Only what never reached the server is known not to be stored.
        let (may_repeat, within) = match blame {
            Blame::Network => (true, CONNECTS_MAX),
            Blame::Server | Blame::Transport => (is_safe, TRIES_MAX),
        };
        let is_over = self.since.elapsed() + delay > within;
        let error = given_up(endpoint, cut);
        if is_over || !may_repeat {
            return Err(error);
        }
        on_retry(&error.to_string(), delay);
        sleep(delay).await;
        Ok(())
    }
}

fn given_up(endpoint: &Endpoint, cut: Cut) -> Error {
    match cut {
        Cut::Final(error) | Cut::Unfit(error) => error,
        Cut::Again { why, blame: Blame::Network, .. } => {
            Error::Unreachable(format!("cannot reach {}: {why}", endpoint.name()))
        }
        Cut::Again { why, .. } => Error::Unreachable(why),
        Cut::Done => Error::Unexpected("no answer to the publish".into()),
    }
}

fn url(endpoint: &Endpoint, channel: &str, event: Option<&str>, key: Option<&str>, close: bool) -> Url {
    let mut url = endpoint.url(&["v1", "channels", channel]);
    // In the query and not in headers, which cannot carry every text.
    for (name, value) in [("event", event), ("key", key), ("close", close.then_some("true"))] {
        if let Some(value) = value {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    url
}

fn header(id: Option<&str>) -> Result<Option<HeaderValue>, Error> {
    let Some(id) = id else { return Ok(None) };
    let printable = !id.is_empty() && id.len() <= 255 && id.bytes().all(|b| (b' '..=b'~').contains(&b));
    match HeaderValue::from_str(id) {
        Ok(id) if printable => Ok(Some(id)),
        _ => Err(Error::Unsendable("an id is 1 to 255 printable ASCII characters".into())),
    }
}

fn with_id(request: RequestBuilder, id: Option<&HeaderValue>) -> RequestBuilder {
    match id {
        Some(id) => request.header("idempotency-key", id),
        None => request,
    }
}

async fn receipt(answer: reqwest::Result<Response>) -> Result<Receipt, Cut> {
    let response = answer.map_err(|error| Cut::from_reqwest(&error))?;
    if response.status() != StatusCode::OK {
        return Err(refusal(response).await);
    }
    let body = read_body(response, ITEM_BYTES_MAX).await?;
    let text = String::from_utf8_lossy(&body).trim().replace(['\n', '\r'], " ");
    match serde_json::from_str::<Receipt>(&text) {
        Ok(receipt) => Ok(Receipt { text, ..receipt }),
        Err(_) => Err(unexpected("no receipt", &text)),
    }
}
