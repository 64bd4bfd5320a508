//! One URL a channel: which door answers, and in which order a request is judged.
//!
//! The order is part of the contract: path 404, method 405, channel name 400,
//! namespace 404, credentials 401, right 403, query 400, body.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::header::{CONNECTION, HOST, HeaderMap, UPGRADE};
use http::{Method, StatusCode, Version};
use tidings_core::log::Start;
use tidings_core::{Channel, Code, Consumer, Cursor, Error, Result, Session};
use tracing::Instrument;

use crate::http::Transport;
use crate::http::credentials::credentials;
use crate::http::peer::Peer;
use crate::http::problem::{Counted, Problem};
use crate::http::refusal::{Refused, TARGET_BYTES_MAX};
use crate::{
    Doors, Entrance, Request, channel as life, consumer, item, operate, poll, presence, publish, revocation,
    sse, websocket,
};

/// The names in a path, if they are text.
pub(crate) type Path = std::result::Result<RawPathParams, RawPathParamsRejection>;

/// The routes of channels. Wrap what they are merged into with [`shared`].
pub fn router(entrance: &Entrance) -> Router {
    let mut router = Router::new()
        .route("/v1/channels/{channel}", any(channel))
        .route("/v1/channels/{channel}/presence", any(roster))
        .route("/v1/channels/{channel}/consumers/{consumer}", any(consumer))
        .route("/v1/channels/{channel}/consumers/{consumer}/ack", any(ack))
        .route("/v1/subscribe", any(subscribe))
        .route("/v1/publish", any(batch))
        .route("/v1/connect", any(connect))
        .route("/v1/revocations", any(revoke));
    if entrance.doors().echo {
        router = router.route("/dev/echo", any(echo));
    }
    router.merge(operate::routes()).with_state(entrance.clone())
}

/// What holds for every path of a node: limits of the target, origins, preflights, counting, and a 404 in our words.
pub fn shared(router: Router, entrance: &Entrance) -> Router {
    let unknown = || async {
        Problem::from(Error::new(Code::NotFound, "this server has nothing at this path")).into_response()
    };
    let wrong_method = || async {
        Problem::from(Error::new(Code::MethodNotAllowed, "this path does not take this method"))
            .into_response()
    };
    router
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(entrance.clone(), around))
}

async fn around(State(doors): State<Arc<Doors>>, mut request: http::Request<Body>, next: Next) -> Response {
    if request.version() == Version::HTTP_10 {
        // RFC 9110 section 7.8.
        request.headers_mut().remove(UPGRADE);
    }
    let origin = request.headers().get(http::header::ORIGIN).cloned();
    let mut response = if let Some(refused) = request.extensions().get::<Refused>() {
        Problem::from(refused.error()).into_response()
    } else if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > TARGET_BYTES_MAX) {
        Problem::from(Error::new(Code::UriTooLong, "the request target is longer than 16 KiB"))
            .into_response()
    } else if request.version() == Version::HTTP_11 && !has_one_host(request.headers()) {
        let error = Error::new(Code::BadRequest, "a request of HTTP/1.1 has one Host header");
        ([(CONNECTION, "close")], Problem::from(error)).into_response()
    } else if let Some(code) = one_too_many(&request) {
        crowded(&doors, request, code).await
    } else if let Err(error) = doors.cors.admit(request.headers()) {
        Problem::from(error).into_response()
    } else if request.method() == Method::OPTIONS {
        let mut response = StatusCode::NO_CONTENT.into_response();
        doors.cors.add_preflight(response.headers_mut());
        response
    } else {
        // The path alone: a query may hold a token.
        let span = tracing::debug_span!("request", method = %request.method(), path = request.uri().path());
        next.run(request).instrument(span).await
    };
    doors.cors.add(origin.as_ref(), response.headers_mut());
    if let Some(Counted(code)) = response.extensions().get() {
        doors.hub.metrics().error(*code);
        tracing::debug!(%code, "refused");
    }
    response
}

/// Why the connection of a request is one too many, if it is. The health of a node has nothing to do with that.
fn one_too_many(request: &http::Request<Body>) -> Option<Code> {
    let code = request.extensions().get::<Peer>()?.refused?;
    (!matches!(request.uri().path(), "/healthz" | "/readyz")).then_some(code)
}

/// Refuses a request in the way that its client understands, and ends its connection.
async fn crowded(doors: &Doors, request: http::Request<Body>, code: Code) -> Response {
    let is_session = request.uri().path() == "/v1/connect";
    let (request, _) = Request::split(request);
    let detail = match code {
        Code::TooManyConnections => "this address has as many connections as it may",
        _ => "this node has as many connections as it may",
    };
    let error = Error::new(code, detail);
    let mut reply = match Transport::of(&request.headers, &request.query) {
        Transport::WebSocket if is_session => return websocket::connect(doors, &request, Err(error)).await,
        Transport::Sse => sse::refuse(doors, &request, &[], error),
        _ => Problem::from(error).into_response(),
    };
    // A connection of HTTP/2 has no such header, and ends all the same.
    if request.version != Version::HTTP_2 {
        reply.headers_mut().insert(CONNECTION, http::HeaderValue::from_static("close"));
    }
    reply
}

/// RFC 9112 section 3.2: with none, or with two, it is not clear whom the request is for.
fn has_one_host(headers: &HeaderMap) -> bool {
    headers.get_all(HOST).iter().count() == 1
}

async fn channel(State(doors): State<Arc<Doors>>, path: Path, request: http::Request<Body>) -> Response {
    let (request, body) = Request::split(request);
    match request.method {
        Method::GET | Method::HEAD => {
            answer(read(&doors, &request, std::iter::once(name(&path)), true).await)
        }
        Method::POST => {
            let opened = async {
                let channel = item::channel(name(&path))?;
                let session = open(&doors, &request, std::slice::from_ref(&channel)).await?;
                Ok::<_, Error>((channel, session))
            };
            match opened.await {
                Ok((channel, session)) => publish::one(&doors, &request, body, &session, &channel).await,
                Err(error) => Problem::from(error).into_response(),
            }
        }
        Method::PUT | Method::DELETE => {
            let done = async {
                let channel = item::channel(name(&path))?;
                let session = open(&doors, &request, std::slice::from_ref(&channel)).await?;
                match request.method {
                    Method::PUT => life::create(&session, &doors, body, &channel).await,
                    _ => life::delete(&session, &channel).await,
                }
            };
            answer(done.await)
        }
        _ => Problem::method_not_allowed("GET, HEAD, POST, PUT, DELETE, OPTIONS").into_response(),
    }
}

async fn subscribe(State(doors): State<Arc<Doors>>, request: http::Request<Body>) -> Response {
    let (request, _) = Request::split(request);
    match request.method {
        Method::GET | Method::HEAD => {
            answer(read(&doors, &request, request.query.all("channel"), false).await)
        }
        _ => Problem::method_not_allowed("GET, HEAD, OPTIONS").into_response(),
    }
}

async fn batch(State(doors): State<Arc<Doors>>, request: http::Request<Body>) -> Response {
    let (request, body) = Request::split(request);
    match request.method {
        Method::POST => match open(&doors, &request, &[]).await {
            Ok(session) => publish::many(&doors, body, &session).await,
            Err(error) => Problem::from(error).into_response(),
        },
        _ => Problem::method_not_allowed("POST, OPTIONS").into_response(),
    }
}

async fn revoke(State(doors): State<Arc<Doors>>, request: http::Request<Body>) -> Response {
    let (request, body) = Request::split(request);
    if request.method != Method::POST {
        return Problem::method_not_allowed("POST, OPTIONS").into_response();
    }
    let revoked = async { revocation::revoke(&doors, &open(&doors, &request, &[]).await?, body).await };
    answer(revoked.await)
}

async fn roster(State(doors): State<Arc<Doors>>, path: Path, request: http::Request<Body>) -> Response {
    let (request, _) = Request::split(request);
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Problem::method_not_allowed("GET, HEAD, OPTIONS").into_response();
    }
    let roster = async {
        let channel = item::channel(name(&path))?;
        let session = open(&doors, &request, std::slice::from_ref(&channel)).await?;
        presence::read(&session, &channel).await
    };
    answer(roster.await)
}

async fn consumer(State(doors): State<Arc<Doors>>, path: Path, request: http::Request<Body>) -> Response {
    let (request, _) = Request::split(request);
    if !matches!(request.method, Method::GET | Method::HEAD | Method::DELETE) {
        return Problem::method_not_allowed("GET, HEAD, DELETE, OPTIONS").into_response();
    }
    let looked = async {
        let (channel, consumer, session) = consumption(&doors, &request, &path).await?;
        consumer::look(&session, &request.method, &channel, &consumer).await
    };
    answer(looked.await)
}

async fn ack(State(doors): State<Arc<Doors>>, path: Path, request: http::Request<Body>) -> Response {
    let (request, body) = Request::split(request);
    if request.method != Method::POST {
        return Problem::method_not_allowed("POST, OPTIONS").into_response();
    }
    let acknowledged = async {
        let (channel, consumer, session) = consumption(&doors, &request, &path).await?;
        consumer::acknowledge(&session, &doors, body, &channel, &consumer).await
    };
    answer(acknowledged.await)
}

/// The channel and the consumer that a path names, for a session that may have one.
async fn consumption(doors: &Doors, request: &Request, path: &Path) -> Result<(Channel, Consumer, Session)> {
    let channel = item::channel(name(path))?;
    let session = open(doors, request, std::slice::from_ref(&channel)).await?;
    session.may_consume(&channel)?;
    let consumer = path.as_ref().ok().and_then(|params| params.iter().nth(1)).map_or("", |(_, name)| name);
    Ok((channel, Consumer::parse(consumer)?, session))
}

async fn connect(State(doors): State<Arc<Doors>>, request: http::Request<Body>) -> Response {
    let (request, _) = Request::split(request);
    match request.method {
        Method::GET => {
            let opened = open(&doors, &request, &[]).await;
            websocket::connect(&doors, &request, opened).await
        }
        _ => Problem::method_not_allowed("GET, OPTIONS").into_response(),
    }
}

async fn echo(State(doors): State<Arc<Doors>>, request: http::Request<Body>) -> Response {
    let (request, _) = Request::split(request);
    match open(&doors, &request, &[]).await {
        Ok(session) => websocket::echo(&doors, &request, session.now_ms()).await,
        Err(error) => Problem::from(error).into_response(),
    }
}

/// A read of one channel (`single`) or of several, by the transport that it asks for.
async fn read(
    doors: &Doors,
    request: &Request,
    names: impl Iterator<Item = &str>,
    single: bool,
) -> Result<Response> {
    let channels = channels(names)?;
    let transport = match request.method {
        Method::HEAD => Transport::Poll,
        _ => Transport::of(&request.headers, &request.query),
    };
    let session = match open(doors, request, &channels).await {
        Err(error) if transport == Transport::Sse => {
            return Ok(sse::refuse(doors, request, &channels, error));
        }
        opened => opened?,
    };
    if transport != Transport::Poll {
        session.may_stay()?;
    }
    session.may_read(&channels)?;
    if channels.is_empty() {
        return Err(Error::new(Code::BadQuery, "name at least one `channel`"));
    }
    let default = match transport {
        Transport::WebSocket | Transport::Sse => Start::Latest,
        Transport::LongPoll | Transport::Poll => Start::Earliest,
    };
    let last_event_id = request.last_event_id().filter(|_| transport == Transport::Sse);
    let (want, reading) = request.query.want(channels, last_event_id, default)?;
    Ok(match transport {
        Transport::WebSocket => websocket::read(doors, request, session, want, reading, single).await,
        Transport::Sse => sse::read(doors, request, &session, want, reading, single).await,
        Transport::LongPoll => {
            poll::read(doors, request, &session, want, reading, request.query.wait_ms()?).await
        }
        Transport::Poll => poll::read(doors, request, &session, want, reading, None).await,
    })
}

/// The name in a path. Bytes that are not UTF-8 become U+FFFD, which no channel has.
pub(crate) fn name(path: &Path) -> &str {
    match path {
        Ok(params) => params.iter().next().map_or("", |(_, name)| name),
        Err(_) => "\u{fffd}",
    }
}

pub(crate) fn channels<'a>(names: impl Iterator<Item = &'a str>) -> Result<Vec<Channel>> {
    let mut channels: Vec<Channel> = Vec::new();
    for name in names {
        let channel = item::channel(name)?;
        if !channels.contains(&channel) {
            channels.push(channel);
        }
        if channels.len() > Cursor::CHANNELS_MAX {
            let detail = format!("the request names more than {} channels", Cursor::CHANNELS_MAX);
            return Err(Error::new(Code::TooManyChannels, detail));
        }
    }
    Ok(channels)
}

pub(crate) async fn open(doors: &Doors, request: &Request, channels: &[Channel]) -> Result<Session> {
    let credentials = credentials(&request.headers, &request.query);
    // The namespace is judged before the credentials, also where those cannot be read.
    match credentials {
        Ok(credentials) => doors.hub.admit(channels, &credentials).await,
        Err(error) => doors.hub.declared(channels).and(Err(error)),
    }
}

pub(crate) fn answer(result: Result<Response>) -> Response {
    result.unwrap_or_else(|error| Problem::from(error).into_response())
}
