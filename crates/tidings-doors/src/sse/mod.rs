//! Server-Sent Events (WHATWG HTML, section 9.2), for the browser's own `EventSource`.

mod encode;
mod stream;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, VARY};
use http::{HeaderName, StatusCode};
use tidings_core::{Channel, Code, Cursor, Error, Pace, Session, Subscription, Via, Want};
use tracing::Span;

use crate::http::head::head;
use crate::http::problem::Problem;
use crate::http::query::Reading;
use crate::http::slot::{self, Slot};
use crate::http::{DELIVERY, VARY_READS};
use crate::stream::{Open, Pump, Socket, address, come_back_ms, pipe};
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
    let conflated = reading.pace.is_some_and(Pace::conflates);
    let mut headers = headers(doors, &want.channels, conflated);
    let channels = want.channels.clone();
    let begun = match Open::count(doors, request, "sse") {
        Ok(open) => session.follow(want).await.map(|subscription| (open, subscription)),
        Err(error) => Err(error),
    };
    let (open, mut subscription) = match begun {
        Ok(begun) => begun,
        Err(error) => return refuse(doors, request, &channels, error),
    };
    subscription.introduce(Via::Sse, address(doors, request));
    if let Some(pace) = reading.pace {
        subscription.pace_all(pace);
    }
    if subscription.is_over() {
        // The one status that a native EventSource takes for the end (WHATWG HTML, section 9.2.3).
        headers.remove(CONTENT_TYPE);
        return (StatusCode::NO_CONTENT, headers).into_response();
    }
    let form = if form { Form::Data } else { Form::Full };
    let now_ms = subscription.now_ms();
    let greeting = greeting(&subscription, now_ms);
    let pump = Pump::new(subscription, reading.limit);
    let stream = stream::Stream::new(doors, pump, form, open);
    let Some(slot) = request.extensions.get::<Slot>() else {
        // HTTP/2, whose connection others share: the stream is the body of an ordinary reply.
        let (pipe, body) = pipe();
        slot::spawn(stream.run(Socket::Pipe(pipe), [greeting, Bytes::new()]), Span::current());
        return (headers, Body::new(body)).into_response();
    };
    doors.cors.add(request.origin(), &mut headers);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let greeting = [head(StatusCode::OK, &headers, now_ms), greeting];
    let run = move |socket, _ahead| stream.run(socket, greeting);
    match slot.take(run).await {}
}

/// One block without data: a browser keeps the id and fires no event. The
/// comment tells a client that nothing on the way holds the stream back.
fn greeting(subscription: &Subscription, now_ms: u64) -> Bytes {
    format!("retry: {RETRY_MS}\n: tidings {now_ms}\nid: {}\n\n", subscription.cursor()).into()
}

fn headers(doors: &Doors, channels: &[Channel], conflated: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if !channels.is_empty() {
        headers.insert(DELIVERY, HeaderValue::from_static(doors.hub.delivery(channels).stated(conflated)));
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    let cache = if doors.hub.is_private(channels) { "private, no-cache" } else { "no-cache" };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(VARY, HeaderValue::from_static(VARY_READS));
    // nginx and those that follow it must not hold events back.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    headers
}

/// Refuses a read. What passes by itself sends a browser back with what it brought.
pub(crate) fn refuse(doors: &Doors, request: &Request, channels: &[Channel], error: Error) -> Response {
    match error.code {
        Code::BrokerUnavailable
        | Code::Draining
        | Code::KeysUnavailable
        | Code::Overloaded
        | Code::TooManyConnections => {
            come_back(&error, headers(doors, channels, request.query.has("conflate")), received(request))
        }
        _ => Problem::from(error).into_response(),
    }
}

fn received(request: &Request) -> Option<&str> {
    request.last_event_id().or(request.query.first("after"))
}

fn come_back(error: &Error, headers: HeaderMap, received: Option<&str>) -> Response {
    // `after` may also say `latest` or `earliest`, which no browser may bring back as a cursor.
    let id = received.filter(|id| id.parse::<Cursor>().is_ok()).map(|id| format!("id: {id}\n"));
    let body = format!("retry: {}\n: {}\n{}\n", come_back_ms(), error.code, id.unwrap_or_default());
    (StatusCode::OK, headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn refused(received: Option<&str>) -> String {
        let error = Error::new(Code::Draining, "this node is shutting down");
        let reply = come_back(&error, HeaderMap::new(), received);
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
