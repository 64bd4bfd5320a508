//! Where the servers are, as it is configured.

use redis::{Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, TlsCertificates};
use tidings_core::broker::BrokerError;

use super::Options;
use super::server::Target;

/// The servers of these options. What is told of a URL never holds the URL itself.
pub(super) fn targets(options: &Options) -> Result<Vec<Target>, BrokerError> {
    if options.prefix.contains(['{', '}']) {
        return Err(wrong("broker.prefix holds a brace; choose one without".into()));
    }
    if options.urls.is_empty() {
        return Err(wrong("there is no URL; set broker.url to \"redis://HOST:6379\"".into()));
    }
    options.urls.iter().map(|url| target(url, options)).collect()
}

fn target(url: &str, options: &Options) -> Result<Target, BrokerError> {
    let unusable = |error: redis::RedisError| {
        let detail = error.detail().unwrap_or("it cannot be read");
        wrong(format!("broker.url: {}: {detail}; it has the form redis://HOST:6379", error.category()))
    };
    let mut info = url.into_connection_info().map_err(unusable)?;
    let mut settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    if let Some(password) = &options.password {
        settings = settings.set_password(password);
    }
    info = info.set_redis_settings(settings);
    let address = match info.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            format!("{host}:{port}")
        }
        ConnectionAddr::Unix(path) => path.display().to_string(),
        _ => "the server".to_owned(),
    };
    let is_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
    let client = match &options.ca {
        Some(pem) if is_tls => {
            let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem.clone()) };
            Client::build_with_tls(info, certificates)
        }
        _ => Client::open(info),
    };
    Ok(Target { client: client.map_err(unusable)?, address })
}

fn wrong(what: String) -> BrokerError {
    BrokerError::Unavailable(what)
}
