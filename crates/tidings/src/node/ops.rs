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
    /// Why there is no broker for this node, where that is so.
    broker_lost: Mutex<Option<String>>,
    /// Whether it is about to stop, and serves on until load balancers know.
    leaving: AtomicBool,
    /// Why the broker did not answer the last time.
    broker_problem: Mutex<Option<String>>,
}

/// One hiccup of the broker must not drain a fleet.
const LOST_AFTER: Duration = Duration::from_secs(10);
const ASK_EVERY: Duration = Duration::from_secs(1);
const ASK_FIRST: Duration = Duration::from_millis(50);
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Ops {
    /// Watches the broker while the value lives. A broker that answers at once has answered when this returns.
    pub(super) async fn start(hub: Hub, control: Arc<Control>) -> Arc<Self> {
        let ops = Arc::new(Ops {
            hub,
            control,
            broker_lost: Mutex::default(),
            leaving: AtomicBool::new(false),
            broker_problem: Mutex::default(),
        });
        let mut answered = None;
        ops.ask(&mut answered).await;
        let weak = Arc::downgrade(&ops);
        tokio::spawn(async move {
            loop {
                // Who starts is waited for; after that a look a second is enough.
                let pause = if answered.is_some() { ASK_EVERY } else { ASK_FIRST };
                tokio::time::sleep(pause).await;
                let Some(ops) = weak.upgrade() else { return };
                ops.ask(&mut answered).await;
            }
        });
        ops
    }

    /// Asks the broker, and notes why this node is not ready: it never answered, or not for too long.
    async fn ask(&self, answered: &mut Option<Instant>) {
        let asked = tokio::time::timeout(ASK_EVERY, self.control.broker_ready()).await;
        let why = match asked {
            Ok(Ok(())) => {
                *answered = Some(Instant::now());
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("the broker does not answer".to_owned()),
        };
        let is_lost = answered.is_none_or(|answered| answered.elapsed() >= LOST_AFTER);
        let lost = why.clone().filter(|_| is_lost);
        let was_lost = std::mem::replace(&mut *self.broker_lost.lock(), lost).is_some();
        let has_problem = why.is_some();
        let had_problem = std::mem::replace(&mut *self.broker_problem.lock(), why).is_some();
        if was_lost != is_lost || had_problem != has_problem {
            self.control.say();
        }
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
        if let Some(why) = &*self.broker_lost.lock() {
            return Err(Error::new(Code::BrokerUnavailable, why.clone()));
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
