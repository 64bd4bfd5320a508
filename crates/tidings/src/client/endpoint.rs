//! Where the server is, and as whom it is asked.

use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use reqwest::{RequestBuilder, Response};
use url::Url;

use super::ITEM_BYTES_MAX;
use super::error::{Cut, Error, Problem, describe, untrusted};

/// What a client calls itself.
pub(super) const USER_AGENT: &str = concat!("tidings/", env!("CARGO_PKG_VERSION"));

/// How long a connection may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// How long a shared connection may be silent before it is asked whether it lives, and then again.
#[cfg(feature = "client-tls")]
const PING_EVERY: Duration = Duration::from_secs(10);

/// How long an answer may take that is not held back on purpose.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(30);

/// One server and one credential, with its pool of connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Endpoint {
    base: Url,
    auth: Option<HeaderValue>,
    /// As which host it is asked, where that is not the one of `base`.
    host: Option<HeaderValue>,
    http: reqwest::Client,
    #[cfg(feature = "client-tls")]
    tls: std::sync::Arc<rustls::ClientConfig>,
}

impl Endpoint {
    /// An endpoint for the node (or what stands before it) at `base`, `http:` or `https:`; a path
    /// in it is kept. `token` is an API key or a client token. Over TLS the roots of the system are trusted.
    ///
    /// # Errors
    ///
    /// [`Error::Unsendable`] for another scheme, or a token that no header can carry.
    pub fn new(base: Url, token: Option<&str>) -> Result<Self, Error> {
        Self::trusting(base, token, None)
    }

    /// The same, trusting the certificates of `ca` (PEM) beside the system's.
    ///
    /// # Errors
    ///
    /// As [`Endpoint::new`], or [`Error::Unsendable`] for a `ca` that holds no certificate.
    pub fn trusting(base: Url, token: Option<&str>, ca: Option<&[u8]>) -> Result<Self, Error> {
        if !matches!(base.scheme(), "http" | "https") {
            return Err(Error::Unsendable(format!("the URL {base} is neither http:// nor https://")));
        }
        let auth = token.map(|token| HeaderValue::from_str(&format!("Bearer {}", token.trim()))).transpose();
        let mut auth = auth
            .map_err(|_| Error::Unsendable("the token holds characters that no header can carry".into()))?;
        if let Some(auth) = &mut auth {
            auth.set_sensitive(true);
        }
        let builder = reqwest::Client::builder().user_agent(USER_AGENT).connect_timeout(CONNECT_MAX);
        #[cfg(feature = "client-tls")]
        let (builder, tls) = with_tls(builder, ca, base.scheme() == "https")?;
        #[cfg(not(feature = "client-tls"))]
        let _ = ca;
        let http = builder
            .build()
            .map_err(|error| Error::Unsendable(format!("no HTTP client: {}", describe(&error))))?;
        Ok(Self {
            base,
            auth,
            host: None,
            http,
            #[cfg(feature = "client-tls")]
            tls,
        })
    }

    /// The same server, reached in plain HTTP through what listens at `address` of this machine, with
    /// connections of its own.
    ///
    /// # Errors
    ///
    /// As [`Endpoint::new`].
    pub(crate) fn through(&self, address: SocketAddr) -> Result<Self, Error> {
        let url = format!("http://{address}{}", self.base.path());
        let base = Url::parse(&url).map_err(|error| Error::Unsendable(error.to_string()))?;
        let (host, _) = self.authority();
        let name = match self.base.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        Ok(Self {
            auth: self.auth.clone(),
            host: HeaderValue::from_str(&name).ok(),
            ..Self::new(base, None)?
        })
    }

    /// The host and the port to connect to.
    pub(crate) fn authority(&self) -> (&str, u16) {
        (self.base.host_str().unwrap_or_default(), self.base.port_or_known_default().unwrap_or(80))
    }

    /// Whether it is reached over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// The URL of a path, whose segments are escaped.
    pub fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.set_query(None);
        url.set_fragment(None);
        // Cannot fail: http URLs have segments.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// The server as a person would name it.
    pub fn name(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// The `Authorization` header, if there is a credential.
    pub(super) fn auth(&self) -> Option<&HeaderValue> {
        self.auth.as_ref()
    }

    /// The `Host` header, if it is not that of the URL.
    pub(super) fn host(&self) -> Option<&HeaderValue> {
        self.host.as_ref()
    }

    /// How HTTP/1.1 and a WebSocket speak TLS.
    #[cfg(feature = "client-tls")]
    pub(crate) fn tls(&self) -> std::sync::Arc<rustls::ClientConfig> {
        self.tls.clone()
    }

    pub(super) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let mut request = self.http.request(method, url);
        if let Some(host) = &self.host {
            request = request.header(HOST, host);
        }
        match &self.auth {
            Some(auth) => request.header(AUTHORIZATION, auth),
            None => request,
        }
    }

    /// Posts JSON, and gives the body of a success.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`], or [`Error::Refused`] for any other status. There is no retry.
    pub async fn post_json(&self, path: &[&str], body: &serde_json::Value) -> Result<Vec<u8>, Error> {
        let request = self.request(Method::POST, self.url(path));
        // An order without a body has none.
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.answer(request.header(CONTENT_TYPE, "application/json").body(body)).await
    }

    /// Gets what a URL of the node has, and gives the body of a success.
    ///
    /// # Errors
    ///
    /// [`Error::Unreachable`], or [`Error::Refused`] for any other status. There is no retry.
    pub async fn get_json(&self, url: Url) -> Result<Vec<u8>, Error> {
        self.answer(self.request(Method::GET, url)).await
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Vec<u8>, Error> {
        let unreachable = |error: &reqwest::Error| {
            untrusted(error).unwrap_or_else(|| {
                Error::Unreachable(format!("cannot reach {}: {}", self.name(), describe(error)))
            })
        };
        let response = request.timeout(ANSWER_MAX).send().await.map_err(|error| unreachable(&error))?;
        let status = response.status();
        let body = read_body(response, ITEM_BYTES_MAX).await.map_err(|cut| match cut {
            Cut::Again { why, .. } => Error::Unreachable(why),
            Cut::Final(error) | Cut::Unfit(error) => error,
            Cut::Done => Error::Unexpected("no answer".into()),
        })?;
        if status.is_success() { Ok(body) } else { Err(Error::Refused(Problem::read(status, &body))) }
    }
}

/// A builder that trusts what this system trusts, if TLS `is_needed` and this build has it.
pub(crate) fn with_roots(
    builder: reqwest::ClientBuilder,
    is_needed: bool,
) -> Result<reqwest::ClientBuilder, Error> {
    #[cfg(feature = "client-tls")]
    let (builder, _) = with_tls(builder, None, is_needed)?;
    #[cfg(not(feature = "client-tls"))]
    let _ = is_needed;
    Ok(builder)
}

/// Gives the same configuration for WebSockets, which are HTTP/1.1 alone.
#[cfg(feature = "client-tls")]
fn with_tls(
    builder: reqwest::ClientBuilder,
    ca: Option<&[u8]>,
    is_needed: bool,
) -> Result<(reqwest::ClientBuilder, std::sync::Arc<rustls::ClientConfig>), Error> {
    let config = super::tls::config(ca, is_needed)?;
    let mut multiplexed = config.clone();
    multiplexed.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A dead connection that is shared must be found out, or each new request would go there again.
    let builder = builder
        .tls_backend_preconfigured(multiplexed)
        .http2_keep_alive_interval(PING_EVERY)
        .http2_keep_alive_timeout(PING_EVERY)
        .http2_keep_alive_while_idle(true);
    Ok((builder, config.into()))
}

/// The body of a response, of at most `max` bytes.
pub(super) async fn read_body(mut response: Response, max: usize) -> Result<Vec<u8>, Cut> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Cut::from_reqwest(&error))? {
        if body.len() + chunk.len() > max {
            return Err(Cut::Final(Error::Unexpected(format!(
                "the server's answer is larger than {max} bytes"
            ))));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What a response that is no success means.
pub(super) async fn refusal(response: Response) -> Cut {
    let (status, headers) = (response.status(), response.headers().clone());
    match tokio::time::timeout(ANSWER_MAX, read_body(response, ITEM_BYTES_MAX)).await {
        Ok(Ok(body)) => Cut::refused(Problem::read(status, &body), &headers),
        Ok(Err(cut)) => cut,
        Err(_) => Cut::lost("the server's answer stopped in the middle"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_keeps_its_path_and_segments_are_escaped() {
        let endpoint = Endpoint::new(Url::parse("http://host/live/?x=1").unwrap(), None).unwrap();
        assert_eq!(endpoint.url(&["v1", "channels", "a:b@c"]).as_str(), "http://host/live/v1/channels/a:b@c");
        assert_eq!(endpoint.url(&["v1", "a/b"]).as_str(), "http://host/live/v1/a%2Fb");
    }

    #[test]
    fn what_cannot_be_sent_is_refused_at_once() {
        assert!(Endpoint::new(Url::parse("ftp://host/").unwrap(), None).is_err());
        assert!(Endpoint::new(Url::parse("http://host/").unwrap(), Some("a\nb")).is_err());
    }
}
