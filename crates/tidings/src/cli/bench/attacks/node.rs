//! The node that is attacked: its configuration, and its keys.

use super::super::certificate::Certificate;
use super::super::child::Child;

/// What the broker may take: so that a flood of messages reaches its bound within an attack.
pub const BROKER_BYTES: u64 = 64 << 20;
/// Channels that it follows at once, so that a flood of names reaches that bound, too.
const FEEDS: usize = 10_000;
/// The key of the well-behaved.
pub const KEY: &str = "sk_of_the_clients_beside";
/// The secret of tokens, of a node that is gone after the attack.
pub const SECRET: &str = "the secret of a node that lives for a minute";

/// Starts a node: plain or with TLS, and with keys from a URL or by a secret.
pub fn start(certificate: Option<&Certificate>, jwks: Option<String>) -> anyhow::Result<Child> {
    let jwt = match jwks {
        Some(url) => format!("jwks_url = \"{url}\""),
        None => format!("hmac_secret = \"{SECRET}\""),
    };
    let (tls, files) = certificate.map(Certificate::files).unwrap_or_default();
    let configuration = format!(
        "max_lag = \"5s\"\n\
         [broker]\nkind = \"memory\"\nmemory_bytes = {BROKER_BYTES}\n\
         [auth]\napi_keys = [\"{KEY}\"]\n[auth.jwt]\n{jwt}\n\
         [limits]\nbody_idle = \"5s\"\nfeeds = {FEEDS}\n\
         [websocket]\ndeflate = true\n\
         [namespaces.beside]\ndelivery = \"at-least-once\"\nsubscribe = \"public\"\npublish = \"server\"\n\
         [namespaces.open]\ndelivery = \"at-least-once\"\nsubscribe = \"public\"\npublish = \"user\"\n{tls}"
    );
    Child::configured(&configuration, &files)
}
