//! Which server this is, and whether it can be used.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use tidings_core::broker::BrokerError;

use super::fault;

/// What a server says of itself. The same for as long as it is the primary without a break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// Of this process.
    pub(super) run: Arc<str>,
    /// Of what it replicates; another one after each promotion.
    pub(super) replid: Arc<str>,
    /// Whether no promotion made the replication id.
    pub(super) unshifted: bool,
    /// Its id in a cluster, which outlives restarts; empty outside of one.
    pub(super) server: Arc<str>,
    /// When its process began, in ms of its own clock, to the second.
    pub(super) started_ms: u64,
    /// Whether it has replicas.
    pub(super) replicas: bool,
    /// Whether it is a part of a cluster.
    pub(super) is_cluster: bool,
}

/// The oldest that has all that is used: scripts with flags, sharded topics.
const OLDEST: u32 = 7;
/// What a server answers whose data was never shifted by a promotion.
const NO_ID: &str = "0000000000000000000000000000000000000000";

impl Identity {
    /// Asks a server.
    ///
    /// # Errors
    ///
    /// Where it does not answer, and where it cannot be used as it is, with what to do about it.
    pub(super) async fn ask(connection: &mut MultiplexedConnection) -> Result<Self, BrokerError> {
        let mut info = redis::cmd("INFO");
        info.arg("server").arg("replication").arg("memory").arg("cluster").arg("persistence");
        let info: String = info.query_async(connection).await.map_err(|error| fault::of_read(&error))?;
        let mut identity = Identity::of(&info)?;
        if identity.is_cluster {
            let id = redis::cmd("CLUSTER").arg("MYID").query_async::<String>(connection).await;
            identity.server = id.map_err(|error| fault::of_read(&error))?.into();
        }
        Ok(identity)
    }

    /// Reads what it answered.
    fn of(info: &str) -> Result<Self, BrokerError> {
        let get = |name: &str| {
            let mut lines = info.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(key, _)| *key == name).map(|(_, value)| value.trim())
        };
        let number = |name: &str| get(name).and_then(|value| value.parse::<u64>().ok());
        refuse_version(get("redis_version"), get("server_name"))?;
        if get("loading") == Some("1") {
            return Err(unusable("the server is loading its data; it is used when it has done so"));
        }
        if get("role") != Some("master") {
            return Err(unusable(
                "the server is a read-only replica; let broker.url name the primary, or all of them",
            ));
        }
        if number("maxmemory").is_some_and(|bytes| bytes > 0)
            && let Some(policy) = get("maxmemory_policy").filter(|policy| *policy != "noeviction")
        {
            return Err(unusable(&format!(
                "the server may evict keys (maxmemory-policy {policy}), and so lose messages that were \
                 acknowledged; set it to noeviction"
            )));
        }
        let (Some(run), Some(replid)) = (get("run_id"), get("master_replid")) else {
            return Err(unusable("the server does not say who it is: INFO has no run_id or master_replid"));
        };
        let now_ms = number("server_time_usec").unwrap_or(0) / 1_000;
        let up_ms = number("uptime_in_seconds").unwrap_or(0).saturating_mul(1_000);
        Ok(Identity {
            run: run.into(),
            replid: replid.into(),
            unshifted: get("master_replid2").is_none_or(|id| id == NO_ID),
            server: "".into(),
            // Both sides count whole seconds.
            started_ms: (now_ms / 1_000 * 1_000).saturating_sub(up_ms),
            replicas: number("connected_slaves").is_some_and(|replicas| replicas > 0),
            is_cluster: get("cluster_enabled") == Some("1"),
        })
    }

    /// Whether it is the same server, and no other was the primary meanwhile.
    pub(super) fn goes_on_as(&self, other: &Identity) -> bool {
        (&self.run, &self.replid) == (&other.run, &other.replid)
    }
}

fn refuse_version(version: Option<&str>, name: Option<&str>) -> Result<(), BrokerError> {
    let version = version.unwrap_or("of an unknown version");
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major >= OLDEST) {
        return Ok(());
    }
    let name = name.unwrap_or("redis");
    Err(unusable(&format!("the server is {name} {version}; Redis {OLDEST}.0 or newer is needed, or Valkey")))
}

fn unusable(what: &str) -> BrokerError {
    BrokerError::Unavailable(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:aa\r\nserver_time_usec:10500000\r\n\
        uptime_in_seconds:3\r\nrole:master\r\nconnected_slaves:1\r\nmaster_replid:bb\r\n\
        master_replid2:0000000000000000000000000000000000000000\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n";

    #[test]
    fn a_server_is_known_by_what_it_says() {
        let identity = Identity::of(INFO).unwrap();
        assert_eq!((&*identity.run, &*identity.replid, identity.started_ms), ("aa", "bb", 7_000));
        assert!(identity.replicas && identity.unshifted && !identity.is_cluster);
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_name() {
        for (from, to, what) in [
            ("7.0.15", "6.2.14", "redis 6.2.14"),
            ("role:master", "role:slave", "read-only replica"),
            ("maxmemory:0", "maxmemory:9", "allkeys-lru"),
            ("run_id", "walk_id", "who it is"),
        ] {
            let error = Identity::of(&INFO.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        assert!(Identity::of(&INFO.replace("7.0.15", "255.255.255")).is_ok());
        assert!(Identity::of("").is_err());
    }
}
