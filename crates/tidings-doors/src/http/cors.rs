//! Which pages may use this node (Fetch standard, CORS protocol).

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HOST, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use tidings_core::{Code, Error, Result};
use url::Url;

/// The rule for origins.
#[derive(Debug, Clone)]
pub enum Cors {
    /// Any page may. Safe, because no cookie is ever read.
    Any,
    /// These origins.
    List(Vec<String>),
    /// Development: this machine alone, and pages that the node itself serves, which may also come through another
    /// port of this machine: a lane of the lab is one.
    Local {
        /// Where the node listens.
        port: u16,
    },
}

const EXPOSED: HeaderValue =
    HeaderValue::from_static("ETag, Tidings-Poll-After, Tidings-Delivery, Retry-After");
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS");
const HEADERS: HeaderValue = HeaderValue::from_static(
    "Accept, Authorization, Cache-Control, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, \
     Tidings-Event, Tidings-Key",
);
const DAY: HeaderValue = HeaderValue::from_static("86400");

impl Cors {
    /// Refuses a request that may not even be looked at.
    pub fn admit(&self, headers: &HeaderMap) -> Result<()> {
        let Cors::Local { port } = self else { return Ok(()) };
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
        if !is_local(host) {
            // Else a page of another site could reach this node under a name of its own (DNS rebinding).
            return Err(refused(format!("a development node answers to localhost alone, not to `{host}`")));
        }
        match headers.get(ORIGIN) {
            None => Ok(()),
            Some(origin) if same_origin(origin, host) || is_own_page(origin, *port) => Ok(()),
            Some(_) => Err(refused("a development node serves its own pages alone".into())),
        }
    }

    /// Refuses a WebSocket from a page of another origin, which browsers would let through.
    pub fn admit_websocket(&self, headers: &HeaderMap) -> Result<()> {
        match (self, headers.get(ORIGIN)) {
            (Cors::List(origins), Some(origin))
                if !origins.iter().any(|o| o.as_bytes() == origin.as_bytes()) =>
            {
                Err(refused("pages of this origin may not connect".into()))
            }
            _ => Ok(()),
        }
    }

    /// Adds what a browser must see on every reply.
    pub fn add(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        match (self, origin) {
            (Cors::Any, _) => {
                drop(headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")))
            }
            (Cors::List(origins), origin) => {
                headers.append(VARY, HeaderValue::from_static("Origin"));
                match origin {
                    Some(origin) if origins.iter().any(|o| o.as_bytes() == origin.as_bytes()) => {
                        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                    }
                    _ => return,
                }
            }
            (Cors::Local { .. }, Some(origin)) => {
                drop(headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()))
            }
            (Cors::Local { .. }, None) => return,
        }
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }

    /// Adds what a preflight asks for.
    pub fn add_preflight(&self, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, DAY);
    }
}

/// `localhost`, `127.0.0.1` or `[::1]`, with any port.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => {
            return rest.strip_prefix("::1]").is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
        }
        None => host.split(':').next().unwrap_or(""),
    };
    name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1"
}

fn same_origin(origin: &HeaderValue, host: &str) -> bool {
    let origin = origin.to_str().ok().and_then(|text| Url::parse(text).ok());
    origin.is_some_and(|origin| {
        let name = origin.host_str().unwrap_or("");
        match origin.port() {
            Some(port) => format!("{name}:{port}").eq_ignore_ascii_case(host),
            None => name.eq_ignore_ascii_case(host),
        }
    })
}

/// Whether a page comes from this port of this machine.
fn is_own_page(origin: &HeaderValue, port: u16) -> bool {
    let origin = origin.to_str().ok().and_then(|text| Url::parse(text).ok());
    origin.is_some_and(|origin| {
        origin.port_or_known_default() == Some(port) && origin.host_str().is_some_and(is_local)
    })
}

fn refused(detail: String) -> Error {
    Error::new(Code::OriginRefused, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_this_node_come_through_any_port() {
        let admit = |host: &str, origin: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_str(host).unwrap());
            headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
            Cors::Local { port: 8080 }.admit(&headers).is_ok()
        };
        for (host, origin) in [
            ("localhost:8080", "http://localhost:8080"),
            ("127.0.0.1:5000", "http://localhost:8080"),
            ("127.0.0.1:5000", "http://127.0.0.1:8080"),
            ("[::1]:5000", "http://[::1]:8080"),
            ("localhost:5173", "http://localhost:5173"),
        ] {
            assert!(admit(host, origin), "{host} {origin}");
        }
        for (host, origin) in [
            ("127.0.0.1:8080", "http://localhost:3000"),
            ("127.0.0.1:5000", "http://localhost"),
            ("127.0.0.1:5000", "http://evil.test:8080"),
            ("127.0.0.1:5000", "null"),
            ("evil.test:8080", "http://localhost:8080"),
            ("evil.test:8080", "http://evil.test:8080"),
        ] {
            assert!(!admit(host, origin), "{host} {origin}");
        }
    }

    #[test]
    fn hosts_of_this_machine() {
        for host in ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]", "[::1]:8080", "LOCALHOST"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["", "evil.test", "localhost.evil.test", "127.0.0.1.evil.test", "[::2]:1", "[::1]x"] {
            assert!(!is_local(host), "{host}");
        }
    }
}
