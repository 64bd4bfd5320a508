//! What an error of the server or of the connection means, and what to do about it.

use redis::RedisError;
use tidings_core::broker::BrokerError;

const FORBIDDEN: &str =
    "the server does not allow its user what a node needs; docs/redis.md has the commands";

/// Of something that changes the log: where no answer came, what happened is unknown.
pub(super) fn of_write(error: &RedisError) -> BrokerError {
    match advice(error) {
        Some(advice) => BrokerError::Unavailable(advice),
        None if error.is_connection_refusal() => BrokerError::Unavailable(error.to_string()),
        None if error.to_string().contains("can't run this command") => {
            BrokerError::Lost(format!("{FORBIDDEN} (ACL LOG says which)"))
        }
        None => BrokerError::Lost(error.to_string()),
    }
}

/// Of something that changes nothing.
pub(super) fn of_read(error: &RedisError) -> BrokerError {
    BrokerError::Unavailable(advice(error).unwrap_or_else(|| error.to_string()))
}

/// Whether the server did nothing because it is not the one that keeps this.
pub(super) fn is_elsewhere(error: &RedisError) -> bool {
    matches!(error.code(), Some("MOVED" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN"))
}

/// Whether the connection cannot be used any more, or leads to a server that cannot.
pub(super) fn ends_connection(error: &RedisError) -> bool {
    error.is_unrecoverable_error() || error.is_connection_dropped() || error.code() == Some("READONLY")
}

/// Where the server says by a code that it did nothing.
fn advice(error: &RedisError) -> Option<String> {
    let code = error.code()?;
    let advice = match code {
        "NOAUTH" => "the server wants a password; set broker.password",
        "WRONGPASS" => {
            "the server refuses the password; set broker.password (and the user's name in broker.url)"
        }
        "NOPERM" => FORBIDDEN,
        "OOM" => "the server is full (maxmemory); give it more, or keep less by `retain`",
        "READONLY" => "the server is a read-only replica; let broker.url name the primary, or all of them",
        "MISCONF" => "the server cannot save to its disk, and so takes no writes; see its log",
        "NOREPLICAS" => "the server has fewer replicas than its min-replicas-to-write",
        "LOADING" => "the server is loading its data; it is used when it has done so",
        "BUSY" => "the server is busy with a script of somebody else",
        "MASTERDOWN" => "the server is a replica that has lost its primary",
        "CLUSTERDOWN" => "the cluster has no primary for some slots; see `redis-cli --cluster check`",
        "MOVED" | "ASK" | "TRYAGAIN" => "the cluster is moving slots",
        _ => return refusal(error, code),
    };
    Some(format!("{advice} ({code})"))
}

/// A code that says nothing of what was done: only the server's own words help.
fn refusal(error: &RedisError, code: &str) -> Option<String> {
    let words = error.detail().unwrap_or_default();
    // A server without a password answers a client with one by a plain error.
    (words.contains("without any password configured"))
        .then(|| format!("the server has no password, and broker.password or broker.url has one ({code})"))
}
