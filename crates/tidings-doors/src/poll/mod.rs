//! A page of a log: at once (poll), or as soon as there is one (long-poll).

mod page;

use std::future::poll_fn;
use std::net::IpAddr;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, VARY};
use http::{Method, StatusCode};
use tidings_core::{Batch, From, Pace, Read, Result, Session, Via, Want};

use crate::http::problem::Problem;
use crate::http::query::Reading;
use crate::http::slot::Slot;
use crate::http::{DELIVERY, POLL_AFTER, VARY_READS, known_tags};
use crate::stream::{Open, address, come_back_ms, spread};
use crate::{Doors, Request};

use page::Page;

/// Messages of a page, unless the request says otherwise.
const LIMIT: u64 = 100;
const LIMIT_MAX: u64 = 1_000;
/// Seconds until it is worth asking again where all channels are closed: only deleting one brings news.
const OVER_S: u64 = 300;

/// Answers a read with a page; waits for it up to `wait_ms`.
pub(crate) async fn read(
    doors: &Doors,
    request: &Request,
    session: &Session,
    want: Want,
    reading: Reading,
    wait_ms: Option<u64>,
) -> Response {
    let private = doors.hub.is_private(&want.channels);
    let limit = reading.limit.or(reading.last).unwrap_or(LIMIT).min(LIMIT_MAX) as usize;
    let want = match want.from {
        From::Last(n) => Want { from: From::Last(n.min(LIMIT_MAX)), ..want },
        _ => want,
    };
    // Its client sets the pace itself, by when it asks.
    let conflate = reading.pace.is_some_and(Pace::conflates);
    let read = match wait_ms {
        None => page_of(session, want, limit, conflate).await,
        Some(ms) => match Open::count(doors, request, "long-poll") {
            Ok(_open) => hold(session, want, limit, conflate, ms, address(doors, request)).await,
            Err(error) => Err(error),
        },
    };
    let read = match read {
        Ok(read) => read,
        Err(error) => return Problem::from(error).into_response(),
    };
    if let Some(slot) = request.extensions.get::<Slot>() {
        slot.may_lag(read.max_lag_ms);
    }
    let etag = format!("W/\"{}.{}\"", read.cursor, read.messages.len());
    let unchanged = wait_ms.is_none() && is_known(request, &read, &etag);
    let mut headers = HeaderMap::new();
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(ETAG, &etag);
    set(DELIVERY, read.stated());
    set(POLL_AFTER, &poll_after(&read, session.now_ms(), doors.hub.is_draining()));
    set(CACHE_CONTROL, if private { "private, no-cache" } else { "no-cache" });
    set(VARY, VARY_READS);
    if unchanged {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let messages = read.messages.len() as u64;
    let page = Page::new(read);
    if request.method == Method::HEAD {
        headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(page.len()));
        return (StatusCode::OK, headers).into_response();
    }
    doors.hub.metrics().sent(messages, page.len());
    (StatusCode::OK, headers, Body::new(page)).into_response()
}

/// A page; with the newest message of each key in it alone, where that is asked for.
async fn page_of(session: &Session, want: Want, limit: usize, conflate: bool) -> Result<Read> {
    match conflate {
        true => session.read_newest(want, limit).await,
        false => session.read(want, limit).await,
    }
}

/// Reads, and where there is nothing, waits for the first message, gap, end of a channel or of the token, or drain.
async fn hold(
    session: &Session,
    want: Want,
    limit: usize,
    conflate: bool,
    wait_ms: u64,
    address: Option<IpAddr>,
) -> Result<Read> {
    let channels = want.channels.clone();
    let default = want.default;
    let first = page_of(session, want, limit, conflate).await?;
    let has_news = !first.messages.is_empty() || first.gap.is_some() || first.ends_newly;
    if has_news || first.more || first.is_over() {
        session.linger(&channels);
        return Ok(first);
    }
    let again = Want { channels, from: From::Cursor(first.cursor.clone()), consumer: None, default };
    // A node that drains has nothing to give and holds nobody: it refuses, so that nobody asks in a circle.
    let mut subscription = session.follow(again.clone()).await?;
    subscription.linger();
    subscription.introduce(Via::LongPoll, address);
    // Its client knows of these: they are no news.
    for (channel, _) in &first.ended {
        if let Some(reader) = subscription.reader(channel) {
            subscription.leave(reader);
        }
    }
    let mut wait = Duration::from_millis(wait_ms);
    if let Some(ms) = subscription.expires_in_ms() {
        wait = wait.min(Duration::from_millis(ms));
    }
    let mut batch = Batch::default();
    let news = poll_fn(|cx| match subscription.poll_next(cx, 1, &mut batch) {
        Poll::Ready(Ok(())) => Poll::Ready(true),
        Poll::Ready(Err(_end)) => Poll::Ready(false),
        Poll::Pending => Poll::Pending,
    });
    let news = tokio::time::timeout(wait, news).await.unwrap_or(false);
    drop(subscription);
    if news { page_of(session, again, limit, conflate).await } else { Ok(first) }
}

/// Whether the client has this page already (RFC 9110 section 13.1.2): the same
/// page, or nothing since the cursor it has. The comparison is weak: what was on the way may have dropped the `W/`.
fn is_known(request: &Request, read: &Read, etag: &str) -> bool {
    let nothing_since =
        (read.messages.is_empty() && read.gap.is_none()).then(|| format!("\"{}.", read.cursor));
    known_tags(&request.headers).any(|tag| {
        tag == "*"
            || tag == etag.trim_start_matches("W/")
            || nothing_since.as_ref().is_some_and(|prefix| tag.starts_with(prefix.as_str()))
    })
}

/// Seconds until it is worth asking again: soon after news, later when it has been quiet.
fn poll_after(read: &Read, now_ms: u64, draining: bool) -> String {
    if read.more {
        return "0".into();
    }
    if read.is_over() {
        return OVER_S.to_string();
    }
    if draining {
        return format!("{:.1}", come_back_ms() as f64 / 1_000.0);
    }
    let quiet_s = read.newest_ms.map_or(20.0, |newest| now_ms.saturating_sub(newest) as f64 / 1_000.0);
    let seconds = (quiet_s / 4.0).clamp(1.0, 10.0) * (0.9 + 0.2 * spread());
    format!("{seconds:.1}")
}
