//! What the type of a key cannot say: words that have a grammar, and keys that exclude each other.

use std::collections::HashSet;

use tidings_core::Channel;
use url::Url;

use super::Config;
use super::auth::{AuthConfig, JwtConfig, public_key};
use super::certificate::Pair;
use super::error::{ConfigError, Problem};
use super::place::{Places, nearest, shown};
use super::section::{BrokerConfig, BrokerKind, TlsConfig};

/// Most bytes that the name of a namespace may have: what is left of 255 names channels.
const NAME_BYTES_MAX: usize = 100;
/// Bytes that the name of a node may have.
pub(crate) const NODE_BYTES_MAX: usize = 64;

/// The levels of a log.
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// The path of a key, and what is wrong with it.
type Found = (Vec<String>, Problem);

/// Refuses what cannot work. The first problem is told, with its place.
pub(super) fn config(config: &Config, places: &Places) -> Result<(), ConfigError> {
    check(config).map_err(|(path, problem)| ConfigError::at(&path, places.of(&path), &problem))
}

fn check(config: &Config) -> Result<(), Found> {
    addresses(config)?;
    if let Some(name) = &config.node {
        check_node(name).map_err(|problem| (path(&["node"]), problem))?;
    }
    broker(&config.broker)?;
    auth(&config.auth)?;
    tls(&config.tls)?;
    for origin in &config.cors.origins {
        check_origin(origin, config.cors.origins.len())
            .map_err(|problem| (path(&["cors", "origins"]), problem))?;
    }
    check_level(&config.log.level).map_err(|problem| (path(&["log", "level"]), problem))?;
    for name in config.namespaces.keys() {
        check_name(name).map_err(|problem| (path(&["namespaces", name]), problem))?;
    }
    Ok(())
}

/// A problem with the key at this path.
fn found(keys: &[&str], what: impl Into<String>, advice: impl Into<String>) -> Found {
    (path(keys), Problem::new(what, advice))
}

fn path(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

fn addresses(config: &Config) -> Result<(), Found> {
    if config.dev && !config.listen.ip().is_loopback() {
        let what = format!(
            "is {}, which others can reach; --dev gives everybody the rights of an API key, so it is for this \
             machine alone",
            config.listen
        );
        let advice = format!("add --listen 127.0.0.1:{}, or leave --dev out", config.listen.port());
        return Err(found(&["listen"], what, advice));
    }
    match config.ops_listen {
        Some(ops) if ops == config.listen && ops.port() != 0 => Err(found(
            &["ops_listen"],
            format!("is {ops}, as `listen` is"),
            "give it another port, or take it out to serve /metrics on `listen`",
        )),
        _ => Ok(()),
    }
}

fn broker(broker: &BrokerConfig) -> Result<(), Found> {
    // The key that names another broker says more than its kind, so it goes first.
    let misplaced = |key: &str, kinds: &str| {
        let what = format!("is for kind = {kinds}, and the kind is \"{}\"", broker.kind.as_str());
        found(&["broker", key], what, format!("take it out, or set kind = {kinds}"))
    };
    if broker.path.is_some() && broker.kind != BrokerKind::Disk {
        return Err(misplaced("path", "\"disk\""));
    }
    if broker.fsync_every.0 != std::time::Duration::ZERO && broker.kind != BrokerKind::Disk {
        return Err(misplaced("fsync_every", "\"disk\""));
    }
    if broker.url.is_some() && !matches!(broker.kind, BrokerKind::Redis | BrokerKind::Nats) {
        return Err(misplaced("url", "\"redis\" or \"nats\""));
    }
    if broker.brokers.is_some() && broker.kind != BrokerKind::Kafka {
        return Err(misplaced("brokers", "\"kafka\""));
    }
    for (keys, kinds, words) in own_keys(broker) {
        if let Some((key, _)) = keys.iter().find(|(_, is_set)| *is_set && !kinds.contains(&broker.kind)) {
            return Err(misplaced(key, words));
        }
    }
    if broker.kind == BrokerKind::Redis && broker.prefix().contains(['{', '}']) {
        let advice = "choose one without braces, such as \"tidings:\"";
        return Err(found(
            &["broker", "prefix"],
            "holds a brace, which is for the slots of a cluster",
            advice,
        ));
    }
    match broker.kind {
        BrokerKind::Nats => nats(broker),
        BrokerKind::Kafka => kafka(broker),
        _ => Ok(()),
    }
}

/// Keys of one kind of broker or two, with whether they are set.
type OwnKeys<'a> = (Vec<(&'a str, bool)>, &'a [BrokerKind], &'a str);

fn own_keys(broker: &BrokerConfig) -> [OwnKeys<'_>; 4] {
    let shared = vec![
        ("prefix", broker.prefix.is_some()),
        ("replicas", broker.replicas.is_some()),
        ("ca", broker.ca.is_some()),
    ];
    let of_kafka = vec![
        ("user", broker.user.is_some()),
        ("sasl", broker.sasl.is_some()),
        ("tls", broker.tls.is_some()),
        ("partitions", broker.partitions.is_some()),
    ];
    let several = &[BrokerKind::Redis, BrokerKind::Nats, BrokerKind::Kafka];
    let password = vec![("password", broker.password.is_some())];
    [
        (password, &[BrokerKind::Redis, BrokerKind::Kafka], "\"redis\" or \"kafka\""),
        (vec![("credentials", broker.credentials.is_some())], &[BrokerKind::Nats], "\"nats\""),
        (of_kafka, &[BrokerKind::Kafka], "\"kafka\""),
        (shared, several, "\"redis\", \"nats\" or \"kafka\""),
    ]
}

/// What `kind = "nats"` needs.
fn nats(broker: &BrokerConfig) -> Result<(), Found> {
    let advice = "write it as url = \"nats://host:4222\" or url = \"tls://host:4222\"";
    let Some(url) = &broker.url else {
        return Err(found(&["broker", "url"], "is missing, and kind = \"nats\" needs a server", advice));
    };
    let is_server = |text: &str| {
        Url::parse(text.trim())
            .is_ok_and(|url| matches!(url.scheme(), "nats" | "tls") && url.host().is_some())
    };
    if !url.expose().split(',').all(is_server) {
        return Err(found(&["broker", "url"], "is no URL of a NATS server", advice));
    }
    prefix(broker)?;
    if broker.replicas.is_some_and(|replicas| !matches!(replicas, 1 | 3 | 5)) {
        return Err(found(&["broker", "replicas"], "is not 1, 3 or 5", "with one NATS server it is 1"));
    }
    Ok(())
}

/// A prefix of which names are made.
fn prefix(broker: &BrokerConfig) -> Result<(), Found> {
    let is_name = |prefix: &String| {
        (1..=32).contains(&prefix.len()) && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    if broker.prefix.as_ref().is_some_and(|prefix| !is_name(prefix)) {
        let what = "is not made of 1 to 32 letters and digits";
        return Err(found(&["broker", "prefix"], what, "shorten it, or leave it out for \"tidings\""));
    }
    Ok(())
}

/// What `kind = "kafka"` needs.
fn kafka(broker: &BrokerConfig) -> Result<(), Found> {
    if !cfg!(feature = "kafka") {
        let what = "is \"kafka\", and this build has no Kafka client, which needs a C compiler";
        let advice = "build it with `cargo build --release --features kafka`, or use another kind";
        return Err(found(&["broker", "kind"], what, advice));
    }
    let advice = "write it as brokers = [\"host:9092\"]";
    let brokers = broker.brokers.as_deref().unwrap_or_default();
    if brokers.is_empty() {
        return Err(found(&["broker", "brokers"], "is missing, and kind = \"kafka\" needs a server", advice));
    }
    let is_server = |text: &String| {
        let port = text
            .rsplit_once(':')
            .filter(|(host, _)| !host.is_empty() && !host.contains(['/', '@', ',', ' ', '\\']));
        port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0))
    };
    if !brokers.iter().all(is_server) {
        return Err(found(&["broker", "brokers"], "holds something that is no HOST:PORT", advice));
    }
    prefix(broker)?;
    if broker.replicas.is_some_and(|replicas| !(1..=16).contains(&replicas)) {
        return Err(found(&["broker", "replicas"], "is not 1 to 16", "with one Kafka server it is 1"));
    }
    if broker.tls == Some(false) && broker.ca.is_some() {
        return Err(found(&["broker", "tls"], "is false, and there is a ca", "take one of them out"));
    }
    match (&broker.user, &broker.password) {
        (Some(_), None) => {
            let advice = "set it, best by the variable TIDINGS_BROKER__PASSWORD";
            Err(found(&["broker", "password"], "is missing, and there is a user", advice))
        }
        (None, Some(_)) => Err(found(&["broker", "user"], "is missing, and there is a password", "set it")),
        (None, None) if broker.sasl.is_some() => {
            Err(found(&["broker", "user"], "is missing, and sasl is how it is asked for", "set it"))
        }
        _ => Ok(()),
    }
}

fn auth(auth: &AuthConfig) -> Result<(), Found> {
    if auth.api_keys.iter().any(|key| key.plain.is_some_and(|plain| plain.bytes == 0)) {
        return Err(found(
            &["auth", "api_keys"],
            "holds an empty key, so anybody could use it",
            "take the empty key out, or make one: tidings key",
        ));
    }
    let hashes: HashSet<_> = auth.api_keys.iter().map(|key| key.key.sha256).collect();
    if hashes.len() < auth.api_keys.len() {
        let what = "holds a key twice, so it is not clear what it may do";
        return Err(found(&["auth", "api_keys"], what, "take one of them out"));
    }
    jwt(&auth.jwt)
}

fn jwt(jwt: &JwtConfig) -> Result<(), Found> {
    let at = |key: &'static str, what: &str, advice: &str| Err(found(&["auth", "jwt", key], what, advice));
    match jwt.ways().as_slice() {
        [first, second, ..] => {
            let what = format!("stands beside `{first}`, and tokens are verified in one way");
            return at(second, &what, "take one of them out");
        }
        [] => {
            for (key, value) in [("audience", &jwt.audience), ("issuer", &jwt.issuer)] {
                if value.is_some() {
                    let advice = "set one of hmac_secret, public_key_file and jwks_url beside it";
                    return at(key, "is for tokens, and no token is accepted", advice);
                }
            }
        }
        [_] => {}
    }
    if jwt.hmac_secret.as_ref().is_some_and(|secret| secret.expose().is_empty()) {
        let advice = "set it to at least 32 random bytes: openssl rand -hex 32";
        return at("hmac_secret", "is empty, so anybody could make tokens", advice);
    }
    if let Some(file) = &jwt.public_key_file {
        public_key(file).map_err(|what| {
            let advice = "name a PEM file with a public key: RSA, EC on the curve P-256, or Ed25519";
            found(&["auth", "jwt", "public_key_file"], what, advice)
        })?;
    }
    if let Some(url) = &jwt.jwks_url {
        check_jwks_url(url).map_err(|problem| (path(&["auth", "jwt", "jwks_url"]), problem))?;
    }
    for (key, value) in [("audience", &jwt.audience), ("issuer", &jwt.issuer)] {
        if value.as_ref().is_some_and(String::is_empty) {
            return at(key, "is empty, so no token could be right", "name one, or take the key out");
        }
    }
    Ok(())
}

/// One file alone is a mistake; two must be read and belong together.
fn tls(tls: &TlsConfig) -> Result<(), Found> {
    let alone = |given: &str, missing: &str| {
        let what = format!("is not set, and `tls.{given}` is: TLS needs both");
        Err(found(&["tls", missing], what, format!("set {missing} to a PEM file, or take {given} out")))
    };
    match (&tls.certificate, &tls.key) {
        (None, None) => Ok(()),
        (Some(_), None) => alone("certificate", "key"),
        (None, Some(_)) => alone("key", "certificate"),
        (Some(certificate), Some(key)) => match Pair::load(certificate, key) {
            Ok(_) => Ok(()),
            Err(bad) => Err((path(&["tls", bad.key]), bad.problem)),
        },
    }
}

/// A URL that can be fetched. A password in it would be shown, in the log as well.
fn check_jwks_url(text: &str) -> Result<(), Problem> {
    let advice = "write the URL of a JWKS, such as \"https://issuer.example/.well-known/jwks.json\"";
    let problem = |what: &str| Err(Problem::new(what, advice));
    match Url::parse(text) {
        Err(_) => problem("is not a URL"),
        Ok(url) if !matches!(url.scheme(), "http" | "https") => problem("is neither http:// nor https://"),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            problem("holds a user or password")
        }
        Ok(url) if url.scheme() == "https" && !cfg!(feature = "client-tls") => {
            problem("is https://, and this build is without TLS (feature client-tls)")
        }
        Ok(_) => Ok(()),
    }
}

/// A namespace has the alphabet of a channel without `:`.
fn check_name(name: &str) -> Result<(), Problem> {
    let what = if name.is_empty() {
        "has no name"
    } else if name.len() > NAME_BYTES_MAX {
        "has a name of more than 100 bytes"
    } else if name == Channel::OWN {
        return Err(Problem::new(
            "is the namespace of the nodes' own channels, which is built in",
            "choose another name",
        ));
    } else if name.contains(':') {
        "has a `:` in its name; the namespace is what stands before the first `:` of a channel"
    } else if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.@=".contains(&b)) {
        "has a character in its name that no channel can have"
    } else {
        return Ok(());
    };
    Err(Problem::new(what, "use 1 to 100 of A-Z a-z 0-9 _ - . @ = for the name"))
}

fn check_node(name: &str) -> Result<(), Problem> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    match (1..=NODE_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits) && name != "." && name != ".."
    {
        true => Ok(()),
        false => {
            Err(Problem::new("is not the name of a node", "use 1 to 64 of A-Z a-z 0-9 _ - . for the name"))
        }
    }
}

/// An origin as a browser sends it: anything else would silently never match.
fn check_origin(origin: &str, of: usize) -> Result<(), Problem> {
    if origin == "*" {
        let advice = "take `*` out, or take the others out";
        return if of == 1 {
            Ok(())
        } else {
            Err(Problem::new("holds `*`, which is every origin, and others", advice))
        };
    }
    let problem = |advice: String| {
        Problem::new(format!("holds `{}`, which no browser sends as its origin", shown(origin)), advice)
    };
    let Ok(url) = Url::parse(origin) else {
        return Err(problem("write scheme, host and port only, such as \"https://app.example\"".into()));
    };
    let serialized = url.origin().ascii_serialization();
    if serialized == origin {
        return Ok(());
    }
    if serialized != "null" {
        return Err(problem(format!("write \"{serialized}\"")));
    }
    // Apps have schemes of their own (capacitor://localhost), of which URLs know no origin.
    let host = url.host_str().unwrap_or_default();
    let plain = match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    };
    if host.is_empty() || plain != origin {
        return Err(problem("write scheme, host and port only, such as \"https://app.example\"".into()));
    }
    Ok(())
}

/// A level, or levels for parts of the program. A bare word that is no level would be taken for
/// a part of the program, and silence all others.
fn check_level(level: &str) -> Result<(), Problem> {
    let advice = "write error, warn, info, debug, trace or off; for a part of the program \"info,tidings_core=debug\", without spaces";
    for word in level.split(',') {
        let (part, level) = word.split_once('=').map_or((None, word), |(part, level)| (Some(part), level));
        if !LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level)) {
            let near = nearest(level, LEVELS).map(|near| format!(": did you mean `{near}`?"));
            let what = format!("holds `{}`, which is no level{}", shown(level), near.unwrap_or_default());
            return Err(Problem::new(what, advice));
        }
        let path =
            |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:.-".contains(&byte));
        if part.is_some_and(|part| part.is_empty() || !path(part)) {
            let what = format!("holds `{}`, which names no part of the program", shown(word));
            return Err(Problem::new(what, advice));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::filter::Targets;

    use super::*;

    #[test]
    fn names_of_namespaces() {
        for name in ["orders", "default", "a.b", "A-1", "u@x=y", &"x".repeat(100)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "a:b", "ä", "a b", "a/b", "$x", &"x".repeat(101)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn origins_are_as_browsers_send_them() {
        for origin in
            ["https://app.example", "http://localhost:5173", "capacitor://localhost", "http://[::1]:3000"]
        {
            assert_eq!(check_origin(origin, 2), Ok(()), "{origin}");
        }
        for origin in [
            "",
            "app.example",
            "https://app.example/",
            "https://App.example",
            "https://a.example:443",
            "null",
            "data:x",
        ] {
            assert!(check_origin(origin, 2).is_err(), "{origin}");
        }
        assert_eq!(check_origin("*", 1), Ok(()));
        assert!(check_origin("*", 2).is_err());
    }

    #[test]
    fn levels_are_levels() {
        for level in ["info", "WARN", "off", "info,tidings_core=debug", "warn,tidings::node=off"] {
            assert_eq!(check_level(level), Ok(()), "{level}");
            assert!(level.parse::<Targets>().is_ok(), "{level}");
        }
        for level in [
            "",
            "warn, hyper=off",
            "inof",
            "tidings",
            "info,",
            "tidings=loud",
            "=",
            "=info",
            "a=b=info",
            "info,x=[",
            "x=",
            "info,[span]=trace",
            "\u{feff}=info",
            "[a[te#=\u{feff}]=info",
        ] {
            assert!(check_level(level).is_err(), "{level}");
        }
        assert!(check_level("inof").unwrap_err().what.contains("`info`"));
    }
}
