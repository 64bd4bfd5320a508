//! What an operator's machines ask: alive, ready, and the measures.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use parking_lot::Mutex;
use tidings_core::{Code, Control, Credentials, Error, Hub};
use tidings_doors::http::credentials::credentials;
use tidings_doors::http::problem::Problem;
use tidings_doors::http::query::Query;
use tokio::time::Instant;

use super::gauge;

/// The state behind the answers.
pub(super) struct Ops {
    hub: Hub,
    control: Arc<Control>,
    broker_lost: AtomicBool,
    /// Whether it is about to stop, and serves on until load balancers know.
    leaving: AtomicBool,
    /// Why the broker did not answer the last time.
    broker_problem: Mutex<Option<String>>,
}

/// One hiccup of the broker must not drain a fleet.
const LOST_AFTER: Duration = Duration::from_secs(10);
const ASK_EVERY: Duration = Duration::from_secs(1);
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Ops {
    /// Watches the broker while the value lives.
    pub(super) fn start(hub: Hub, control: Arc<Control>) -> Arc<Self> {
        let ops = Arc::new(Ops {
            hub,
            control,
            broker_lost: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            broker_problem: Mutex::default(),
        });
        let weak = Arc::downgrade(&ops);
        tokio::spawn(async move {
            let mut answered = Instant::now();
            while let Some(ops) = weak.upgrade() {
                let problem = match tokio::time::timeout(ASK_EVERY, ops.control.broker_ready()).await {
                    Ok(Ok(())) => None,
                    Ok(Err(error)) => Some(error.to_string()),
                    Err(_late) => Some("the broker does not answer".to_owned()),
                };
                if problem.is_none() {
                    answered = Instant::now();
                }
                let is_lost = answered.elapsed() >= LOST_AFTER;
                let was_lost = ops.broker_lost.swap(is_lost, Ordering::Relaxed);
                let had_problem = std::mem::replace(&mut *ops.broker_problem.lock(), problem).is_some();
                if was_lost != is_lost || had_problem != ops.broker_problem.lock().is_some() {
                    ops.control.say();
                }
                drop(ops);
                tokio::time::sleep(ASK_EVERY).await;
            }
        });
        ops
    }

    /// Says that the node is not ready, and changes nothing else.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        self.control.say();
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed) || self.hub.is_draining()
    }

    pub(super) fn drain(&self) {
        self.control.drain();
    }

    /// Why the broker did not answer the last time that it was asked.
    pub(super) fn broker_problem(&self) -> Option<String> {
        self.broker_problem.lock().clone()
    }

    pub(super) fn ready(&self) -> Result<(), Error> {
        if self.is_leaving() {
            return Err(Error::new(Code::Draining, "this node is shutting down"));
        }
        if self.broker_lost.load(Ordering::Relaxed) {
            return Err(Error::new(Code::BrokerUnavailable, "the broker has not answered for ten seconds"));
        }
        Ok(())
    }

    fn measures(&self) -> String {
        let metrics = self.hub.metrics();
        metrics.broker_ready.set(i64::from(self.broker_problem.lock().is_none()));
        metrics.draining.set(i64::from(self.is_leaving()));
        metrics.feeds.set(gauge(self.control.feeds()));
        metrics.feeds_polled.set(gauge(self.control.feeds_polled()));
        metrics.subscriptions.set(gauge(self.control.subscriptions()));
        metrics.resident_bytes.set(resident_bytes().unwrap_or(0));
        metrics.text()
    }
}

/// The routes. `open`: the measures need no key, since only operators reach this listener.
pub(super) fn router(ops: Arc<Ops>, open: bool) -> Router {
    let metrics = async move |State(ops): State<Arc<Ops>>, headers: HeaderMap| metrics(&ops, &headers, open);
    Router::new()
        .route("/healthz", get(async || ok()))
        .route("/readyz", get(async |State(ops): State<Arc<Ops>>| answer(ops.ready().map(|()| ok()))))
        .route("/metrics", get(metrics))
        .method_not_allowed_fallback(async || Problem::method_not_allowed("GET, HEAD, OPTIONS"))
        .with_state(ops)
}

fn metrics(ops: &Ops, headers: &HeaderMap, open: bool) -> Response {
    let allowed = || {
        if open {
            return Ok(());
        }
        let credentials = credentials(headers, &Query::default())?;
        match credentials {
            Credentials::None => Err(Error::new(Code::NoCredentials, "the measures need an API key")),
            credentials => ops.hub.open(&[], &credentials)?.may_administer(),
        }
    };
    answer(allowed().map(|()| ([(CONTENT_TYPE, OPENMETRICS)], ops.measures()).into_response()))
}

fn ok() -> Response {
    ([(CONTENT_TYPE, "application/json")], r#"{"status":"ok"}"#).into_response()
}

fn answer(result: Result<Response, Error>) -> Response {
    result.unwrap_or_else(|error| Problem::from(error).into_response())
}

/// Resident memory, where the system has /proc.
pub(super) fn resident_bytes() -> Option<i64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse::<i64>().ok()?;
    Some(pages.saturating_mul(i64::try_from(rustix::param::page_size()).ok()?))
}
