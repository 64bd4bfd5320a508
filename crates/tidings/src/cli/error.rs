//! A failure, in two lines: what is the matter, and what to do about it.

use std::fmt;
use std::io::Write as _;

use anstyle::{AnsiColor, Style};

use crate::client;

/// A failure that comes with advice. Give it where a command knows what its user can do.
#[derive(Debug)]
pub struct Failure {
    what: String,
    advice: String,
}

impl Failure {
    /// `what` is the matter, and `advice` is what to try: each one sentence in lower case,
    /// without a full stop.
    pub fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), advice: advice.into() }
    }

    /// What to try.
    pub fn advice(&self) -> &str {
        &self.advice
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Failure {}

/// Writes an error to standard error: `error: …`, and `try: …` if there is something to try.
pub(super) fn report(error: &anyhow::Error) {
    let (bad, good) = (colour(AnsiColor::Red), colour(AnsiColor::Cyan));
    let mut stderr = anstream::stderr().lock();
    // Where standard error is gone, there is nobody to tell.
    let _ = writeln!(stderr, "{bad}error:{bad:#} {error:#}");
    if let Some(advice) = advice(error) {
        let _ = writeln!(stderr, "{good}try:{good:#} {advice}");
    }
}

fn colour(colour: AnsiColor) -> Style {
    colour.on_default().bold()
}

fn advice(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return Some(failure.advice.clone());
        }
        Some(match cause.downcast_ref::<client::Error>()? {
            client::Error::Refused(problem) => after_refusal(&problem.code),
            client::Error::Unreachable(_) => {
                "start a node with `tidings serve --dev`, or name yours with --url or TIDINGS_URL".to_owned()
            }
            client::Error::Unexpected(_) => {
                "check that --url names a Tidings node of this version".to_owned()
            }
            client::Error::Untrusted(why) if why.contains("certificate") => {
                "name the certificate of a private CA with --ca or TIDINGS_CA, and the host as it stands in the \
                 server's certificate"
                    .to_owned()
            }
            client::Error::Untrusted(_) => "begin --url with http:// if this node has no [tls]".to_owned(),
            client::Error::Unsendable(_) => "see this command's --help".to_owned(),
        })
    })
}

fn after_refusal(code: &str) -> String {
    let advice = match code {
        "" => "check that --url names a Tidings node, and that what stands before it lets it through",
        "no-credentials" => {
            "give an API key or a token with --token or TIDINGS_TOKEN; `tidings token` makes one"
        }
        "bad-token" | "token-expired" => "make a new token with `tidings token`, and give it with --token",
        "forbidden" => "use an API key, or a token that lists the channel: see `tidings token --help`",
        "unknown-namespace" => {
            "declare [namespaces.NAME] in the node's configuration; NAME is what stands before the first `:`"
        }
        "bad-cursor" => "give --after a cursor as it was printed, or `earliest` or `latest`",
        "too-many-channels" => {
            "name fewer channels, or raise limits.connection_channels in the node's configuration"
        }
        "tls-required" => "begin --url with https://",
        "unknown-node" => "`tidings nodes` lists those that there are",
        "no-answer" => "look with `tidings nodes` whether it drains, and at the node where it runs",
        "too-large" => "send less at once, or raise limits.message_bytes in the node's configuration",
        "bad-json" => "mend the JSON, or publish it as text with --text",
        code => return format!("look up `{code}` in docs/errors.md"),
    };
    advice.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_of_the_wire_says_what_to_do() {
        let refused =
            client::Error::Refused(client::Problem { code: "forbidden".into(), ..Default::default() });
        let advice = advice(&anyhow::Error::new(refused).context("while reading")).unwrap();
        assert!(advice.contains("tidings token"), "{advice}");
        assert!(after_refusal("no-such-code").contains("docs/errors.md"));
    }
}
