//! What may be a mistake, and what is worth knowing. Neither stops a node.

use tidings_core::Clock;
use url::{Host, Url};

use super::namespace::{Publish, Subscribe};
use super::{BrokerKind, Config, NamespaceConfig, Pair};

/// RFC 7518 asks for a key as long as the hash: 32 bytes for HS256.
const SECRET_BYTES_MIN: usize = 32;

/// Shorter keys can be guessed.
const KEY_BYTES_MIN: usize = 16;

/// What is probably a mistake; a node logs it when it starts.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if config.namespaces.is_empty() {
        warnings.push("no namespace is declared, so there is no channel: add [namespaces.default]".into());
    }
    secrets(config, &mut warnings);
    if let Some(files) = config.tls.files()
        && let Ok(pair) = Pair::load(&files.certificate, &files.key)
    {
        let now_ms = Clock::system().now_ms();
        warnings.extend(pair.warning(now_ms).map(|warning| format!("{} {warning}", files.certificate)));
    }
    if !config.dev {
        rights(config, &mut warnings);
    }
    if config.broker.kind == BrokerKind::Memory
        && config.broker.memory_bytes.0 < config.limits.message_bytes.0
    {
        warnings.push(format!(
            "memory_bytes ({}) is less than message_bytes ({}), so the largest messages are gone at once",
            config.broker.memory_bytes, config.limits.message_bytes
        ));
    }
    warnings
}

/// Secrets that can be guessed, or cannot be sent.
fn secrets(config: &Config, warnings: &mut Vec<String>) {
    let auth = &config.auth;
    if let Some(bytes) = auth.jwt.hmac_secret.as_ref().map(|secret| secret.expose().len())
        && bytes < SECRET_BYTES_MIN
    {
        warnings.push(format!(
            "hmac_secret has {bytes} of the {SECRET_BYTES_MIN} bytes that HS256 needs, so it can be guessed from a \
             token: use openssl rand -hex 32"
        ));
    }
    if let Some(url) = auth.jwt.jwks_url.as_deref().and_then(|url| Url::parse(url).ok())
        && url.scheme() == "http"
        && !is_here(&url)
    {
        warnings.push(format!(
            "jwks_url fetches keys from {url} without TLS: who is on the way can put in keys of their own, and sign tokens"
        ));
    }
    let plain = || auth.api_keys.iter().filter_map(|key| key.plain);
    match plain().filter(|key| key.bytes < KEY_BYTES_MIN).count() {
        0 => {}
        count => warnings.push(format!(
            "{count} of {} API keys {} shorter than {KEY_BYTES_MIN} bytes and can be guessed: use tidings key",
            auth.api_keys.len(),
            if count == 1 { "is" } else { "are" },
        )),
    }
    if plain().any(|key| !key.printable) {
        warnings.push(
            "an API key has a character that an Authorization header cannot carry, so nobody can use it: use \
             letters and digits"
                .into(),
        );
    }
}

/// Whether a URL leads to this machine.
fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Rights that nobody can have, since there is nothing to have them with.
fn rights(config: &Config, warnings: &mut Vec<String>) {
    let keys = || config.auth.api_keys.iter().map(|key| key.key.rights);
    let tokens = !config.auth.jwt.ways().is_empty();
    let nobody_writes = |namespace: &NamespaceConfig| match namespace.publish {
        Publish::Server => !keys().any(|rights| rights.publish),
        Publish::User | Publish::Token => !keys().any(|rights| rights.publish) && !tokens,
    };
    let nobody_reads = |namespace: &NamespaceConfig| match namespace.subscribe {
        Subscribe::Public => false,
        Subscribe::User | Subscribe::Token => !keys().any(|rights| rights.read) && !tokens,
    };
    if let Some(names) = list(config, nobody_writes) {
        warnings.push(format!(
            "nobody may publish to {names}, since [auth] has no api_keys with the right `publish`"
        ));
    }
    if let Some(names) = list(config, nobody_reads) {
        warnings.push(format!(
            "nobody may read {names}, since [auth] has neither api_keys with the right `read` nor jwt: set one, or \
             subscribe = \"public\""
        ));
    }
}

/// What is worth knowing, and may well be meant; `tidings check` says it.
pub(super) fn notes(config: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    if config.dev {
        notes.push(
            "--dev: a request from this machine without credentials has the rights of an API key".into(),
        );
    }
    if !config.listen.ip().is_loopback() && config.tls.files().is_none() {
        notes.push(format!(
            "{} takes plain HTTP from other machines: set [tls], or put a proxy with TLS before it, or tokens can be read on the way",
            config.listen
        ));
    }
    if let Some(ops) = config.ops_listen.filter(|ops| !ops.ip().is_loopback()) {
        notes.push(format!("/metrics on {ops} needs no key: let only your monitoring reach it"));
    }
    if !config.dev && config.auth.jwt.ways().is_empty() {
        notes.push("there is no [auth.jwt], so clients have no tokens: only what is public can be read without an API key".into());
    }
    if let Some(names) = list(config, |namespace| namespace.subscribe == Subscribe::Public) {
        notes.push(format!("anybody may read {names}, without credentials"));
    }
    if let Some(names) = list(config, |namespace| namespace.publish == Publish::User) {
        notes.push(format!("every valid token may publish to {names}"));
    }
    notes
}

/// The namespaces of which something holds, as a list for people.
fn list(config: &Config, holds: impl Fn(&NamespaceConfig) -> bool) -> Option<String> {
    let names: Vec<_> =
        config.namespaces.iter().filter(|(_, n)| holds(n)).map(|(name, _)| name.as_str()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}
