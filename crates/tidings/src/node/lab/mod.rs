//! The lab: one channel, read on each transport through a lane of its own, where everything that crosses is counted
//! and cables are cut on request. For a node under `--dev`.
//!
//! ```text
//! page ─► lane (a proxy on a port of its own) ─► this node ◄─ publisher
//!   └──► POST /dev/lab/{id}: conditions of lanes, pace of the publisher
//! ```
//!
//! All is bounded: labs, their lanes, what they publish, and how long they live when nobody looks.

mod bench;
mod labs;
mod publisher;
mod wish;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidings_core::{Clock, Code, Error, Hub, Result};
use tidings_doors::http::problem::Problem;
use tokio::sync::Notify;

use labs::Labs;
use wish::{Changes, Opening};

/// `POST /dev/lab`, what a lab is asked and told, and `POST /dev/restart`, which calls `restart`.
pub(super) fn router(hub: Hub, clock: Clock, address: SocketAddr, restart: Arc<Notify>) -> Router {
    let again = post(async move || {
        restart.notify_one();
        json(StatusCode::ACCEPTED, &serde_json::json!({ "restarting": true }))
    });
    let again = Router::new().route("/dev/restart", again);
    let opening = Router::new().route("/dev/lab", post(open));
    let posts = again
        .merge(opening)
        .method_not_allowed_fallback(async || Problem::method_not_allowed("POST, OPTIONS"));
    let one =
        Router::new().route("/dev/lab/{id}", get(look).post(change).delete(end)).method_not_allowed_fallback(
            async || Problem::method_not_allowed("GET, HEAD, POST, DELETE, OPTIONS"),
        );
    posts.merge(one).with_state(Arc::new(Labs::new(hub, clock, address)))
}

async fn open(State(labs): State<Arc<Labs>>, body: Bytes) -> Response {
    let opened = async {
        let opening: Opening = if body.is_empty() { Opening::default() } else { parse(&body)? };
        labs.open(opening).await
    };
    answer(StatusCode::CREATED, opened.await)
}

async fn look(State(labs): State<Arc<Labs>>, Path(id): Path<String>) -> Response {
    answer(StatusCode::OK, labs.find(&id).map(|bench| bench.status()))
}

async fn change(State(labs): State<Arc<Labs>>, Path(id): Path<String>, body: Bytes) -> Response {
    let changed = labs.find(&id).and_then(|bench| {
        let changes: Changes = parse(&body)?;
        bench.change(changes)?;
        Ok(bench.status())
    });
    answer(StatusCode::OK, changed)
}

async fn end(State(labs): State<Arc<Labs>>, Path(id): Path<String>) -> Response {
    match labs.end(&id) {
        Ok(()) => (StatusCode::NO_CONTENT, [(CACHE_CONTROL, "no-store")]).into_response(),
        Err(error) => Problem::from(error).into_response(),
    }
}

fn parse<Body: DeserializeOwned>(body: &[u8]) -> Result<Body> {
    serde_json::from_slice(body).map_err(|error| {
        Error::new(Code::BadJson, format!("the body is nothing that a lab can do ({error})"))
    })
}

fn answer(status: StatusCode, result: Result<impl Serialize>) -> Response {
    result.map_or_else(|error| Problem::from(error).into_response(), |value| json(status, &value))
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    // Structs of numbers and names always serialise.
    let body = serde_json::to_string(value).unwrap_or_default();
    (status, [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], body).into_response()
}
