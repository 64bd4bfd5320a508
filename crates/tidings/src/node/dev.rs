//! What a development node serves besides: tokens and advice for the asking, and a page to look at.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde::Deserialize;
use serde_json::json;
use tidings_core::{Clock, Code, Error};
use tidings_doors::http::problem::Problem;

use tokio::sync::watch;

use crate::advise::{Example, Situation, advise, examples};
use crate::config::Config;

use super::demo;

struct Dev {
    config: watch::Receiver<Arc<Config>>,
    clock: Clock,
}

/// What a token is to say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    user: Option<String>,
    #[serde(default)]
    subscribe: Vec<String>,
    #[serde(default)]
    publish: Vec<String>,
    info: Option<serde_json::Value>,
    /// Seconds.
    #[serde(default = "hour")]
    ttl: u64,
}

fn hour() -> u64 {
    3_600
}

/// The pages, `POST /dev/token` and `POST /dev/advise`.
pub(super) fn router(config: watch::Receiver<Arc<Config>>, clock: Clock) -> Router {
    let asked = Router::new().route("/dev/token", post(token)).route("/dev/advise", post(advice));
    let asked = asked
        .method_not_allowed_fallback(async || Problem::method_not_allowed("POST, OPTIONS"))
        .with_state(Arc::new(Dev { config, clock }));
    let mut router = Router::new();
    for (path, kind, text) in demo::FILES {
        let page = ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], text);
        router = router.route(path, get(async move || page));
    }
    let pages =
        router.method_not_allowed_fallback(async || Problem::method_not_allowed("GET, HEAD, OPTIONS"));
    pages.merge(asked).merge(
        Router::new()
            .route("/dev/advise/examples", get(applications))
            .method_not_allowed_fallback(async || Problem::method_not_allowed("GET, HEAD, OPTIONS")),
    )
}

async fn token(State(dev): State<Arc<Dev>>, body: Bytes) -> Response {
    let made = serde_json::from_slice::<Wish>(&body)
        .map_err(|error| Error::new(Code::BadJson, format!("the body is no wish for a token ({error})")))
        .and_then(|wish| dev.token(wish));
    match made {
        Ok(token) => {
            let body = json!({ "token": token }).to_string();
            ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], body).into_response()
        }
        Err(error) => Problem::from(error).into_response(),
    }
}

/// The answer of `tidings advise --json` to a situation: the same rules, for a page.
async fn advice(body: Bytes) -> Response {
    match serde_json::from_slice::<Situation>(&body) {
        Ok(situation) => {
            let body = json!(advise(situation.clamped())).to_string();
            ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], body).into_response()
        }
        Err(error) => {
            let detail =
                format!("the body is no situation to advise on ({error}); see `tidings advise --json`");
            Problem::from(Error::new(Code::BadJson, detail)).into_response()
        }
    }
}

/// The applications of docs/choosing.md, for a page to start from.
async fn applications() -> Response {
    let body = json!({ "examples": examples().collect::<Vec<Example>>() }).to_string();
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], body).into_response()
}

impl Dev {
    fn token(&self, wish: Wish) -> Result<String, Error> {
        let config = self.config.borrow().clone();
        let jwt = &config.auth.jwt;
        let Some(secret) = &jwt.hmac_secret else {
            return Err(Error::new(
                Code::NotFound,
                "tokens of this node are signed with a key that it does not have",
            ));
        };
        let key = EncodingKey::from_secret(secret.expose().as_bytes());
        let mut rights =
            BTreeMap::from([("subscribe", json!(wish.subscribe)), ("publish", json!(wish.publish))]);
        if let Some(info) = wish.info {
            rights.insert("info", info);
        }
        let expires_s = (self.clock.now_ms() / 1_000).saturating_add(wish.ttl);
        let mut claims = json!({ "exp": expires_s, "tidings": rights });
        if let Some(user) = wish.user {
            claims["sub"] = user.into();
        }
        for (claim, value) in [("aud", &jwt.audience), ("iss", &jwt.issuer)] {
            if let Some(value) = value {
                claims[claim] = value.as_str().into();
            }
        }
        // HS256 with a secret cannot fail; if it does, there is no token.
        encode(&Header::default(), &claims, &key)
            .map_err(|error| Error::new(Code::BadToken, format!("the token cannot be signed ({error})")))
    }
}
