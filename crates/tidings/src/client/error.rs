//! How a request or a connection ends: for good, or to come back.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde::Deserialize;

/// Why something failed for good. A reader gives it once and has ended.
#[derive(Debug, Clone)]
pub enum Error {
    /// The server said no, and would say it again.
    Refused(Problem),
    /// No answer within the tries; what was the matter with the last one.
    Unreachable(String),
    /// The answer is not what Tidings says, or larger than a client takes.
    Unexpected(String),
    /// TLS says that this is not the server that was named, or no TLS server at all.
    Untrusted(String),
    /// The request cannot be sent as it is.
    Unsendable(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(problem) => problem.fmt(f),
            Self::Unreachable(why) | Self::Unexpected(why) | Self::Untrusted(why) | Self::Unsendable(why) => {
                f.write_str(why)
            }
        }
    }
}

impl std::error::Error for Error {}

/// An RFC 9457 problem, as far as a client needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// The HTTP status; 0 where it came on an open connection.
    #[serde(default)]
    pub status: u16,
    /// The stable code. Empty if the answer is not from Tidings: a proxy's, perhaps.
    #[serde(default)]
    pub code: String,
    /// What happened, in one sentence.
    #[serde(default)]
    pub detail: String,
    /// What had been stored of a streamed body before it failed.
    #[serde(default)]
    pub published: Option<u64>,
    /// Whether a failed publish was stored: `false` or `"unknown"`.
    #[serde(default)]
    pub stored: Option<serde_json::Value>,
}

impl Problem {
    /// Reads the body of a refusal. A body that is no problem gives one without a code.
    pub fn read(status: StatusCode, body: &[u8]) -> Self {
        let mut problem: Self = serde_json::from_slice(body).unwrap_or_default();
        problem.status = status.as_u16();
        if problem.detail.is_empty() {
            problem.detail = format!("the server answered {status}");
        }
        problem
    }

    /// Whether it is Tidings that speaks, and not something on the way to it.
    pub fn is_tidings(&self) -> bool {
        !self.code.is_empty()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail.trim_end_matches('.'))?;
        match (self.code.as_str(), self.status) {
            ("", _) => Ok(()),
            (code, 0) => write!(f, " ({code})"),
            (code, status) => write!(f, " ({status} {code})"),
        }
    }
}

/// How a connection, or a try for one, ended.
#[derive(Debug)]
pub(crate) enum Cut {
    /// For good.
    Final(Error),
    /// Complete: the server has nothing more, and coming back is of no use.
    Done,
    /// This transport does not work here; another may.
    Unfit(Error),
    /// Come back with your cursor, not before `hint`.
    Again { why: String, hint: Option<Duration>, blame: Blame },
}

/// What a failure says about the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// Nothing: there is no way to the server on any of them.
    Network,
    /// Nothing: the server itself answered, and is busy.
    Server,
    /// Perhaps it is what does not get through.
    Transport,
}

impl Cut {
    /// A failure for which the transport may be to blame.
    pub(super) fn lost(why: impl Into<String>) -> Self {
        Self::Again { why: why.into(), hint: None, blame: Blame::Transport }
    }

    /// What was waited for in vain.
    pub(crate) fn late() -> Self {
        Self::lost("no answer in time")
    }

    /// What a refusal before the first item means.
    pub(super) fn refused(problem: Problem, headers: &HeaderMap) -> Self {
        let passing = matches!(problem.status, 408 | 425 | 429 | 500 | 502..=504);
        match (passing, problem.is_tidings()) {
            (true, tidings) => {
                let blame = if tidings { Blame::Server } else { Blame::Transport };
                Self::Again { why: problem.to_string(), hint: retry_after(headers), blame }
            }
            (false, true) => Self::Final(Error::Refused(problem)),
            (false, false) => Self::Unfit(Error::Refused(problem)),
        }
    }

    /// What a failed request means.
    pub(super) fn from_reqwest(error: &reqwest::Error) -> Self {
        if let Some(error) = untrusted(error) {
            return Self::Final(error);
        }
        let blame = if error.is_connect() { Blame::Network } else { Blame::Transport };
        Self::Again { why: describe(error), hint: None, blame }
    }
}

/// The error that a failed handshake is, if TLS is to blame and trying again would not mend it.
pub(super) fn untrusted(error: &(dyn std::error::Error + 'static)) -> Option<Error> {
    let mut next = Some(error);
    let found = loop {
        let error = next?;
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            break found;
        }
        // An io::Error hides what it was made of from `source`.
        next = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    };
    match found {
        rustls::Error::InvalidCertificate(why) => {
            // What `openssl req -x509` makes is marked as a CA's, which may sign and not serve.
            let why = match format!("{why:?}").contains("CaUsedAsEndEntity") {
                true => {
                    "it is the certificate of a CA; make one for the server, with basicConstraints CA:FALSE"
                        .into()
                }
                false => why.to_string(),
            };
            Some(Error::Untrusted(format!("the server's certificate is not trusted: {why}")))
        }
        rustls::Error::InvalidMessage(_) => {
            Some(Error::Untrusted("the server does not speak TLS at this port".to_owned()))
        }
        _ => None,
    }
}

/// The innermost cause, which is what a person can act on; without the URL, which may be long.
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// `Retry-After` in seconds; as a date it is not understood, and ignored.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    seconds(headers, http::header::RETRY_AFTER.as_str())
}

/// A header that is a decimal number of seconds.
pub(super) fn seconds(headers: &HeaderMap, name: &str) -> Option<Duration> {
    let text = headers.get(name)?.to_str().ok()?;
    Duration::try_from_secs_f64(text.trim().parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_of_tidings_is_final_and_a_proxys_page_is_not() {
        let body = br#"{"code":"forbidden","detail":"No.","status":403}"#;
        let problem = Problem::read(StatusCode::FORBIDDEN, body);
        assert_eq!(problem.to_string(), "No (403 forbidden)");
        assert!(matches!(Cut::refused(problem, &HeaderMap::new()), Cut::Final(_)));
        let page = Problem::read(StatusCode::FORBIDDEN, b"<html>");
        assert!(matches!(Cut::refused(page, &HeaderMap::new()), Cut::Unfit(_)));
    }

    #[test]
    fn overload_comes_back_when_the_server_says() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", http::HeaderValue::from_static("3"));
        let problem = Problem::read(StatusCode::SERVICE_UNAVAILABLE, br#"{"code":"draining"}"#);
        let Cut::Again { hint, blame, .. } = Cut::refused(problem, &headers) else { panic!("final") };
        assert_eq!((hint, blame), (Some(Duration::from_secs(3)), Blame::Server));
    }
}
