//! Server-Sent Events (WHATWG HTML, section 9.2), for the browser's own `EventSource`.

mod encode;
mod stream;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, VARY};
use http::{HeaderName, StatusCode};
use tidings_core::{Code, Cursor, Error, Session, Subscription, Want};

use crate::http::head::head;
use crate::http::problem::Problem;
use crate::http::query::Reading;
use crate::http::takeover::Slot;
use crate::http::{DELIVERY, VARY_READS};
use crate::stream::{Pump, come_back_ms};
use crate::{Doors, Request};

use encode::Form;

/// Milliseconds after which a browser comes back to a stream that broke.
const RETRY_MS: u64 = 2_000;

/// Answers a read with a stream.
///
/// A native `EventSource` takes every status but 200 as final. So what passes
/// by itself (overload, a shutdown, a lost broker, keys on their way) is a 200 with one block, which
/// carries the cursor received and a spread `retry:`, and the end of the body.
pub(crate) async fn read(
    doors: &Doors,
    request: &Request,
    session: &Session,
    want: Want,
    reading: Reading,
    form: bool,
) -> Response {
    let private = session.is_private(&want.channels);
    let subscription = match session.follow(want).await {
        Ok(subscription) => subscription,
        Err(error) => return refuse(error, request),
    };
    let form = if form { Form::Data } else { Form::Full };
    let mut headers = headers(private);
    headers.insert(DELIVERY, HeaderValue::from_static(subscription.delivery().as_str()));
    doors.cors.add(request.origin(), &mut headers);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let Some(slot) = request.extensions.get::<Slot>() else {
        return Problem::from(Error::new(Code::Overloaded, "this listener cannot stream")).into_response();
    };
    let greeting = greeting(&subscription, &headers);
    let pump = Pump::new(subscription, reading.limit);
    let stream = stream::Stream::new(doors, pump, form);
    let run = move |socket, _ahead| stream.run(socket, greeting);
    match slot.take(run).await {}
}

fn greeting(subscription: &Subscription, headers: &HeaderMap) -> [Bytes; 2] {
    let now_ms = subscription.now_ms();
    // One block without data: a browser keeps the id and fires no event. The
    // comment tells a client that nothing on the way holds the stream back.
    let block = format!("retry: {RETRY_MS}\n: tidings {now_ms}\nid: {}\n\n", subscription.cursor());
    [head(StatusCode::OK, headers, now_ms), block.into()]
}

fn headers(private: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    let cache = if private { "private, no-cache" } else { "no-cache" };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(VARY, HeaderValue::from_static(VARY_READS));
    // nginx and those that follow it must not hold events back.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    headers
}

/// Refuses a read. What passes by itself sends a browser back with what it brought.
pub(crate) fn refuse(error: Error, request: &Request) -> Response {
    let received = request.last_event_id().or(request.query.first("after"));
    match error.code {
        Code::Draining | Code::Overloaded | Code::BrokerUnavailable | Code::KeysUnavailable => {
            come_back(&error, received)
        }
        _ => Problem::from(error).into_response(),
    }
}

fn come_back(error: &Error, received: Option<&str>) -> Response {
    // `after` may also say `latest` or `earliest`, which no browser may bring back as a cursor.
    let id = received.filter(|id| id.parse::<Cursor>().is_ok()).map(|id| format!("id: {id}\n"));
    let body = format!("retry: {}\n: {}\n{}\n", come_back_ms(), error.code, id.unwrap_or_default());
    (StatusCode::OK, headers(true), body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn refused(received: Option<&str>) -> String {
        let reply = come_back(&Error::new(Code::Draining, "this node is shutting down"), received);
        assert_eq!(reply.status(), StatusCode::OK);
        String::from_utf8(reply.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_refusal_gives_back_a_cursor_and_nothing_else() {
        let cursor = "S_4a9q22rlAAAAAAAAAAAQAAAAAAAAAC";
        assert!(refused(Some(cursor)).await.ends_with(&format!("\nid: {cursor}\n\n")));
        // A browser would come back with these as its Last-Event-ID, and meet a gap.
        for word in [None, Some("latest"), Some("earliest")] {
            assert!(refused(word).await.ends_with(": draining\n\n"), "{word:?}");
        }
    }
}
