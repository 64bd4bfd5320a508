//! What a broker of this kind is told.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use url::Url;

/// The server, and how what is kept there is named.
#[derive(Clone)]
pub struct Options {
    /// `nats://host:port` or `tls://host:port`; several of one cluster with commas between them. It
    /// may hold a user and a password, or a token: `nats://user:password@host`.
    pub url: String,
    /// A file of credentials, as `nsc` makes it.
    pub credentials: Option<PathBuf>,
    /// Certificates (PEM) to trust besides those of the system.
    pub ca: Option<PathBuf>,
    /// What streams and subjects begin with: letters and digits. Two installations that share an
    /// account have two prefixes.
    pub prefix: String,
    /// Copies of each stream, 1 to 5. It counts for streams that are made from now on.
    pub replicas: u8,
}

/// As whom to connect, where the URL says so.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Login {
    Nobody,
    Token(String),
    User(String, String),
}

impl Options {
    /// One server, the prefix `tidings`, one copy.
    pub fn new(url: impl Into<String>) -> Self {
        Options { url: url.into(), credentials: None, ca: None, prefix: "tidings".into(), replicas: 1 }
    }

    /// The addresses of the servers, without what is secret, and the login of the first that has one.
    pub(super) fn servers(&self) -> Option<(Vec<String>, Login)> {
        let (mut servers, mut login) = (Vec::new(), Login::Nobody);
        for server in self.url.split(',') {
            let is_nats = |url: &Url| matches!(url.scheme(), "nats" | "tls") && url.host().is_some();
            let mut url = Url::parse(server.trim()).ok().filter(is_nats)?;
            let said = login_of(&url)?;
            if login == Login::Nobody {
                login = said;
            }
            let _ = url.set_username("").and_then(|()| url.set_password(None));
            servers.push(url.to_string());
        }
        Some((servers, login))
    }
}

fn login_of(url: &Url) -> Option<Login> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().ok().map(String::from);
    Some(match (url.username(), url.password()) {
        ("", None) => Login::Nobody,
        (token, None) => Login::Token(decoded(token)?),
        (user, Some(password)) => Login::User(decoded(user)?, decoded(password)?),
    })
}

/// Without the URL, which may hold a password.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("credentials", &self.credentials)
            .field("ca", &self.ca)
            .field("prefix", &self.prefix)
            .field("replicas", &self.replicas)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_of_a_url_is_taken_out_of_it() {
        let said = |url: &str| Options::new(url).servers().map(|(servers, login)| (servers.join(" "), login));
        let user = |password: &str| Login::User("u".into(), password.into());
        let expected = [
            ("nats://h:4222", "nats://h:4222", Login::Nobody),
            ("nats://u:p%40%2f@h", "nats://h", user("p@/")),
            ("tls://secret@h:1, tls://i:1", "tls://h:1 tls://i:1", Login::Token("secret".into())),
            ("nats://a,nats://u:p@b", "nats://a nats://b", user("p")),
        ];
        for (url, servers, login) in expected {
            assert!(said(url) == Some((servers.into(), login)), "{url}");
        }
        assert!(said("h:x").is_none() && said("").is_none() && said("nats://%ff@h").is_none());
    }
}
