//! What an operator asks of the nodes, and does to them: JSON over what [`Session`] answers for all of them.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::Method;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;
use tidings_core::{Result, Session};

use crate::http::problem::Problem;
use crate::router::{Path, answer, name, open};
use crate::{Doors, Entrance, Request, census, item, orders};

/// Which nodes have answered, as it stands in each answer.
#[derive(Serialize)]
pub(crate) struct Nodes {
    pub(crate) answered: Vec<String>,
    pub(crate) silent: Vec<String>,
}

/// The paths of operators.
pub(crate) fn routes() -> Router<Entrance> {
    Router::new()
        .route("/v1/nodes", any(nodes))
        .route("/v1/nodes/{node}/drain", any(drain))
        .route("/v1/channels", any(channels))
        .route("/v1/channels/{channel}/readers", any(readers))
        .route("/v1/clients", any(clients))
        .route("/v1/clients/disconnect", any(disconnect))
}

async fn nodes(State(doors): State<Arc<Doors>>, request: http::Request<Body>) -> Response {
    let (request, _) = Request::split(request);
    let Some(opened) = reading(&doors, &request).await else { return only_get() };
    answer(opened.and_then(|session| census::nodes(&session)))
}

async fn channels(State(doors): State<Arc<Doors>>, request: http::Request<Body>) -> Response {
    let (request, _) = Request::split(request);
    let Some(opened) = reading(&doors, &request).await else { return only_get() };
    let found = async { census::channels(&opened?, &request.query).await };
    answer(found.await)
}

async fn clients(State(doors): State<Arc<Doors>>, request: http::Request<Body>) -> Response {
    let (request, _) = Request::split(request);
    let Some(opened) = reading(&doors, &request).await else { return only_get() };
    let found = async { census::clients(&opened?, &request.query).await };
    answer(found.await)
}

async fn readers(State(doors): State<Arc<Doors>>, path: Path, request: http::Request<Body>) -> Response {
    let (request, _) = Request::split(request);
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return only_get();
    }
    let found = async {
        let channel = item::channel(name(&path))?;
        let session = open(&doors, &request, std::slice::from_ref(&channel)).await?;
        census::readers(&session, &channel, &request.query).await
    };
    answer(found.await)
}

async fn disconnect(State(doors): State<Arc<Doors>>, request: http::Request<Body>) -> Response {
    let (request, body) = Request::split(request);
    if request.method != Method::POST {
        return Problem::method_not_allowed("POST, OPTIONS").into_response();
    }
    let done = async { orders::disconnect(&doors, &open(&doors, &request, &[]).await?, body).await };
    answer(done.await)
}

async fn drain(State(doors): State<Arc<Doors>>, path: Path, request: http::Request<Body>) -> Response {
    let (request, _) = Request::split(request);
    if request.method != Method::POST {
        return Problem::method_not_allowed("POST, OPTIONS").into_response();
    }
    let done = async { orders::drain(&open(&doors, &request, &[]).await?, name(&path)).await };
    answer(done.await)
}

/// The session of a request that reads; `None` where its method is another.
async fn reading(doors: &Doors, request: &Request) -> Option<Result<Session>> {
    match request.method {
        Method::GET | Method::HEAD => Some(open(doors, request, &[]).await),
        _ => None,
    }
}

fn only_get() -> Response {
    Problem::method_not_allowed("GET, HEAD, OPTIONS").into_response()
}

pub(crate) fn json(value: &impl Serialize) -> Response {
    // Structs of strings and numbers always serialise.
    let body = serde_json::to_string(value).unwrap_or_default();
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], body).into_response()
}
