//! Reading by requests: plain ones as often as the server says, or held ones.

use std::collections::VecDeque;
use std::time::Duration;

use http::header::{ACCEPT, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use http::{Method, StatusCode};
use tokio::time::{Instant, sleep_until, timeout};
use url::Url;

use super::Endpoint;
use super::endpoint::{read_body, refusal};
use super::error::{Cut, seconds};
use super::item::Greeting;
use super::link::Event;
use super::page::Page;

/// The messages of a page; the server's default, said so that it is known.
const PAGE: &str = "100";

/// The bytes of a page at most: a full one of messages of the largest default size.
const PAGE_BYTES_MAX: usize = 160 << 20;

/// The time between plain polls where the server does not say.
const PAUSE: Duration = Duration::from_secs(5);

/// The time between polls at most, whatever the server says.
const PAUSE_MAX: Duration = Duration::from_mins(5);

/// A held request that comes back empty before this was not held.
const HELD_MIN: Duration = Duration::from_secs(1);

/// A place in a log that is asked for again and again.
#[derive(Debug)]
pub(crate) struct Link {
    endpoint: Endpoint,
    /// With its `after` up to date.
    url: Url,
    /// How long to have a request held.
    hold: Option<Duration>,
    /// How long an answer may take beyond that.
    patience: Duration,
    is_proven: bool,
    page: VecDeque<Event>,
    etag: Option<HeaderValue>,
    ask_at: Instant,
}

impl Link {
    /// Asks once, without being held, so that there is a cursor: `latest` means now.
    pub(super) async fn open(
        endpoint: &Endpoint,
        url: Url,
        hold: Option<Duration>,
        patience: Duration,
    ) -> Result<(Self, Greeting), Cut> {
        let mut link = Self {
            endpoint: endpoint.clone(),
            url,
            hold: None,
            patience,
            is_proven: false,
            page: VecDeque::new(),
            etag: None,
            ask_at: Instant::now(),
        };
        let delivery = link.ask().await?;
        link.hold = hold;
        link.is_proven = hold.is_none();
        if hold.is_some() {
            link.ask_at = Instant::now();
        }
        Ok((link, Greeting { delivery, ..Greeting::default() }))
    }

    pub(super) async fn next(&mut self) -> Result<Event, Cut> {
        loop {
            if let Some(event) = self.page.pop_front() {
                return Ok(event);
            }
            sleep_until(self.ask_at).await;
            self.ask().await?;
        }
    }

    /// Whether a request has been answered in the way that this link is for.
    pub(super) fn is_proven(&self) -> bool {
        self.is_proven
    }

    /// Makes one request, and takes its page. Gives the guarantee that the page states.
    async fn ask(&mut self) -> Result<Option<String>, Cut> {
        let begun = Instant::now();
        let mut url = self.url.clone();
        let mut patience = self.patience;
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        if let Some(hold) = self.hold {
            url.query_pairs_mut().append_pair("wait", &hold.as_secs_f32().to_string());
            patience += hold;
        } else if let Some(etag) = &self.etag {
            headers.insert(IF_NONE_MATCH, etag.clone());
        }
        // `last` sets the limit of its page itself.
        if !url.query_pairs().any(|(name, _)| name == "last") {
            url.query_pairs_mut().append_pair("limit", PAGE);
        }
        let asking = self.endpoint.request(Method::GET, url).headers(headers).send();
        let answer = timeout(patience, asking).await.map_err(|_| Cut::lost("no answer to a poll"))?;
        let response = answer.map_err(|error| Cut::from_reqwest(&error))?;
        let (status, head) = (response.status(), response.headers().clone());
        match status {
            StatusCode::NOT_MODIFIED => {
                self.pause(&head, begun, true);
                return Ok(None);
            }
            StatusCode::OK => {}
            _ => return Err(refusal(response).await),
        }
        let body = timeout(patience, read_body(response, PAGE_BYTES_MAX)).await;
        let body = body.map_err(|_| Cut::lost("a page stopped in the middle"))??;
        let delivery = self.take(&body)?;
        self.is_proven = true;
        self.etag = head.get(ETAG).cloned();
        self.pause(&head, begun, self.page.len() <= 1);
        Ok(delivery)
    }

    fn take(&mut self, body: &[u8]) -> Result<Option<String>, Cut> {
        let Page { events, cursor, delivery } = Page::parse(body)?;
        let channels: Vec<_> =
            self.url.query_pairs().into_owned().filter(|(name, _)| name == "channel").collect();
        self.url.query_pairs_mut().clear().extend_pairs(channels).append_pair("after", &cursor);
        self.page = events;
        Ok(delivery)
    }

    /// Sets when to ask again.
    fn pause(&mut self, head: &HeaderMap, begun: Instant, is_empty: bool) {
        let now = Instant::now();
        let said = seconds(head, "tidings-poll-after").map(|pause| pause.min(PAUSE_MAX));
        let pause = match (self.hold, said) {
            // A server that does not hold must not be asked in a circle.
            (Some(_), said) if is_empty && now - begun < HELD_MIN => said.unwrap_or_default().max(HELD_MIN),
            (Some(_), _) => Duration::ZERO,
            (None, said) => said.unwrap_or(PAUSE),
        };
        self.ask_at = now + pause;
    }
}
