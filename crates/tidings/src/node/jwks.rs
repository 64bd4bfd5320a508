//! Fetching the keys of who signs tokens (JWKS, RFC 7517), and fetching them again.
//!
//! A fetch that fails changes nothing: keys that there are stay good, for as
//! long as it takes. What the endpoint sends has a bound in size, time and
//! number; it is asked again on a schedule, and when a token names a key that
//! is not here, at most once in ten seconds.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use http::StatusCode;
use http::header::{ACCEPT, CACHE_CONTROL, HeaderMap};
use reqwest::redirect::Policy;
use serde_json::Value;
use tidings_core::{KeySet, NamedKey, PublicKey};
use tokio::task::AbortHandle;
use url::Url;

/// Where keys come from.
pub(super) struct Source {
    configured: String,
    url: Url,
    http: reqwest::Client,
}

/// Keys that are kept as an endpoint has them, while this lives.
pub(super) struct Kept {
    /// As it was configured.
    url: String,
    keys: Arc<KeySet>,
    task: AbortHandle,
}

/// What a fetch brought.
struct Fetched {
    keys: Vec<NamedKey>,
    /// For how long they are good, by what the endpoint says.
    max_age: Option<Duration>,
}

/// A whole fetch: connecting, waiting, and the body.
const FETCH_MAX: Duration = Duration::from_secs(5);
const BODY_BYTES_MAX: usize = 1 << 20;
const KEYS_MAX: usize = 100;
/// When keys are fetched again, if the endpoint does not say; and the bounds of what it may say.
const REFRESH: Duration = Duration::from_secs(600);
const REFRESH_MIN: Duration = Duration::from_secs(60);
const REFRESH_MAX: Duration = Duration::from_secs(3_600);
/// After a failure, doubled with each; never longer than the last.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

impl Source {
    /// Where keys will be fetched.
    ///
    /// # Errors
    ///
    /// A system without what TLS needs.
    pub(super) fn new(configured: &str) -> anyhow::Result<Self> {
        let url = Url::parse(configured).context("jwks_url is not a URL")?;
        let agent = concat!("tidings/", env!("CARGO_PKG_VERSION"));
        // Where a redirect leads is not where the operator said that keys are.
        let builder =
            reqwest::Client::builder().user_agent(agent).timeout(FETCH_MAX).redirect(Policy::none());
        let builder = crate::client::with_roots(builder, url.scheme() == "https")?;
        let http = builder.build().context("jwks_url: there is no HTTP client")?;
        Ok(Source { configured: configured.to_owned(), url, http })
    }

    /// Keeps a set as the endpoint has it. Needs a tokio runtime.
    pub(super) fn keep(self) -> Kept {
        let (url, keys) = (self.configured.clone(), Arc::new(KeySet::default()));
        let set = keys.clone();
        let task = tokio::spawn(async move {
            let mut retry = RETRY_FIRST;
            loop {
                set.fetching();
                let wait = match self.fetch().await {
                    Ok(Fetched { keys, max_age }) => {
                        let names: Vec<_> = keys.iter().map(|key| key.id.as_deref().unwrap_or("")).collect();
                        tracing::info!(url = %self.url, keys = ?names, "the keys of tokens are fetched");
                        set.replace(keys);
                        retry = RETRY_FIRST;
                        max_age.unwrap_or(REFRESH).clamp(REFRESH_MIN, REFRESH_MAX)
                    }
                    Err(error) => {
                        tracing::warn!(
                            url = %self.url,
                            error = format!("{error:#}"),
                            "cannot fetch the keys of tokens: those that are known stay good, others are refused"
                        );
                        set.failed();
                        let wait = retry;
                        retry = (retry * 2).min(RETRY_MAX);
                        wait
                    }
                };
                // Whichever comes first. A key that is wanted ends the wait early, at most once in ten seconds.
                let _ = tokio::time::timeout(wait, set.wanted()).await;
            }
        });
        Kept { url, keys, task: task.abort_handle() }
    }

    async fn fetch(&self) -> anyhow::Result<Fetched> {
        let request =
            self.http.get(self.url.clone()).header(ACCEPT, "application/jwk-set+json, application/json");
        let mut response = request.send().await?;
        match response.status() {
            StatusCode::OK => {}
            status if status.is_redirection() => {
                bail!("it answers {status}: write the URL that it leads to, redirects are not followed")
            }
            status => bail!("it answers {status}"),
        }
        let max_age = max_age(response.headers());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                bail!("its answer is larger than 1 MiB");
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Fetched { keys: keys(&body)?, max_age })
    }
}

impl Kept {
    /// Where they come from.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn keys(&self) -> &Arc<KeySet> {
        &self.keys
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The keys of a set that can be used. What else it holds may be for others, and is left out.
fn keys(body: &[u8]) -> anyhow::Result<Vec<NamedKey>> {
    let set: Value = serde_json::from_slice(body).context("its answer is not JSON")?;
    let all = set["keys"].as_array().context("its answer has no list `keys`")?;
    if all.len() > KEYS_MAX {
        bail!("its answer has {} keys, of at most {KEYS_MAX}", all.len());
    }
    let mut keys = Vec::new();
    for jwk in all {
        match PublicKey::from_jwk(jwk) {
            Ok(key) => keys.push(key),
            Err(why) => tracing::debug!(kid = jwk["kid"].as_str(), %why, "a key of the JWKS is left out"),
        }
    }
    if keys.is_empty() {
        bail!("none of its {} keys is RSA for RS256, EC P-256 for ES256 or Ed25519 for EdDSA", all.len());
    }
    Ok(keys)
}

/// RFC 9111 section 5.2.2.1.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|value| value.to_str().ok());
    let directives = values.flat_map(|value| value.split(',')).filter_map(|one| one.trim().split_once('='));
    let mut ages = directives.filter(|(name, _)| name.eq_ignore_ascii_case("max-age"));
    ages.find_map(|(_, age)| age.trim_matches('"').parse().ok()).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use serde_json::json;

    const X: &str = "yjISEjSc-13Y2TdcVF4VyJ3m8VCxdBzT8Ph-idVo3tg";

    fn read(jwks: &Value) -> Result<Vec<String>, String> {
        let keys = keys(jwks.to_string().as_bytes()).map_err(|error| format!("{error:#}"))?;
        Ok(keys.iter().map(|key| format!("{} {}", key.id.as_deref().unwrap_or("-"), key.key)).collect())
    }

    #[test]
    fn what_cannot_be_used_is_left_out() {
        let good = json!({ "kty": "OKP", "crv": "Ed25519", "x": X, "kid": "a" });
        let with = |name: &str, value: Value| {
            let mut key = good.clone();
            key[name] = value;
            key
        };
        for other in [
            with("use", json!("enc")),
            with("key_ops", json!(["encrypt"])),
            with("alg", json!("ES256")),
            with("crv", json!("Ed448")),
            with("crv", json!("P-256")),
            with("x", json!("AAAA")),
            with("x", json!("")),
            with("x", json!(format!("{X}AAAA"))),
            with("x", json!(7)),
            with("x", json!("%%%")),
            with("kty", json!("EC")),
            with("kty", json!("RSA")),
            with("kty", Value::Null),
            json!({ "kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "a" }),
            json!({ "kty": "EC", "crv": "P-256", "x": X, "y": X }),
            json!({ "kty": "EC", "crv": "P-384", "x": X, "y": X }),
            json!({ "kty": "RSA", "n": X, "e": "AQAB" }),
            json!({ "kty": "RSA", "n": "A".repeat(100_000), "e": "AQAB" }),
            json!({ "kty": "RSA", "n": "_".repeat(100_000), "e": "AQAB" }),
            json!({ "kty": "RSA", "n": "", "e": "" }),
            json!(null),
            json!(7),
            json!([]),
            json!({}),
        ] {
            assert_eq!(
                read(&json!({ "keys": [other, good] })),
                Ok(vec!["a Ed25519 (EdDSA)".into()]),
                "{other}"
            );
            assert!(read(&json!({ "keys": [other] })).is_err(), "{other}");
        }
        let nameless = json!({ "kty": "OKP", "crv": "Ed25519", "x": X, "use": "sig", "key_ops": ["verify"] });
        assert_eq!(read(&json!({ "keys": [nameless] })), Ok(vec!["- Ed25519 (EdDSA)".into()]));
    }

    #[test]
    fn what_is_no_set_is_refused() {
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": X });
        assert!(read(&json!({ "keys": vec![key.clone(); 100] })).is_ok());
        for jwks in [
            json!({}),
            json!([]),
            json!(7),
            json!({ "keys": 7 }),
            json!({ "keys": [] }),
            json!({ "keys": vec![key; 101] }),
        ] {
            assert!(read(&jwks).is_err(), "{jwks}");
        }
        for text in ["", "<html>", "{\"keys\":[", "\u{0}"] {
            assert!(keys(text.as_bytes()).is_err(), "{text}");
        }
        assert!(keys("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn an_age_is_read_where_there_is_one() {
        for (value, age) in [
            ("max-age=300", Some(300)),
            ("public, Max-Age=\"300\", must-revalidate", Some(300)),
            ("no-store", None),
            ("max-age=soon", None),
            ("max-age=-1", None),
            ("s-maxage=10", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(value));
            assert_eq!(max_age(&headers), age.map(Duration::from_secs), "{value}");
        }
    }
}
