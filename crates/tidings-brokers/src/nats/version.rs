//! Which servers will do.

use async_nats::ServerInfo;

/// Batches of direct gets and a time to live for each message came with 2.11. A cluster of 2.11 keeps
/// the id of a message that it refused, so that the message, sent again behind another one, waits
/// for itself until the window is over; 2.12 does not.
const NEEDS: (u32, u32) = (2, 12);

/// Whether a server is new enough and has JetStream; if not, what it lacks, and what to do.
pub(super) fn check(info: &ServerInfo) -> Result<(), String> {
    let mut numbers = info.version.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    let is = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if is < NEEDS {
        return Err(format!(
            "nats-server {} is too old: {}.{} or newer is needed, which forgets the id of a message that it refused; update it",
            info.version, NEEDS.0, NEEDS.1
        ));
    }
    if !info.jetstream {
        return Err(
            "JetStream is off; start nats-server with -js, or set jetstream in its configuration".into()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(version: &str, jetstream: bool) -> ServerInfo {
        ServerInfo { version: version.into(), jetstream, ..ServerInfo::default() }
    }

    #[test]
    fn old_servers_are_refused_by_name() {
        for version in ["2.12.0", "2.12.4-RC.5", "2.15.2", "3.0.0"] {
            assert_eq!(check(&server(version, true)), Ok(()), "{version}");
        }
        for version in ["2.9.10", "2.11.17", "1.4.1", "", "nonsense"] {
            let refused = check(&server(version, true)).unwrap_err();
            assert!(refused.contains(version) && refused.contains("2.12"), "{refused}");
        }
        assert!(check(&server("2.15.2", false)).unwrap_err().contains("JetStream is off"));
    }
}
