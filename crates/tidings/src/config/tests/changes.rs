//! What differs between two configurations, and what of it a running node cannot change.

use super::*;
use crate::config::Changes;

const BASE: &str = "listen = \"127.0.0.1:80\"\n";

fn between(before: &str, after: &str) -> Changes {
    let load = |text: &str| {
        let (top, tables) = text.split_once('#').unwrap_or((text, ""));
        load(&format!("{top}\n{ORDERS}\n{tables}"), &[]).unwrap().config
    };
    Changes::between(&load(before), &load(after))
}

#[test]
fn what_is_only_written_in_another_way_is_no_change() {
    for (before, after) in [
        ("", "heartbeat = \"15s\"\nmax_lag = \"30000ms\"\nlimits.message_bytes = 1048576"),
        ("listen = \"0.0.0.0:8080\"", "cors.origins = [\"*\"]"),
    ] {
        assert!(between(before, after).is_empty(), "{after}: {}", between(before, after));
    }
}

#[test]
fn each_key_that_differs_is_named_and_no_value() {
    let changes = between(
        BASE,
        "heartbeat = \"2s\"\nauth.api_keys = [\"sk_one_of_enough_bytes\"]\n\
         auth.jwt.hmac_secret = \"a secret of thirty-two bytes or so\"\n\
         #[namespaces.\"a.b\"]\ndelivery = \"at-most-once\"",
    );
    assert_eq!(
        changes.to_string(),
        "listen, heartbeat, auth.api_keys, auth.jwt.hmac_secret, namespaces.\"a.b\" (added)"
    );
    assert_eq!(changes.fixed().to_string(), "listen");
    assert!(changes.touch("auth.jwt") && changes.touch("auth") && !changes.touch("auth.jwt.issuer"));
    assert!(!changes.touch("auth.j"));
}

#[test]
fn what_needs_a_restart_says_so() {
    let fixed = between(
        BASE,
        "ops_listen = \"127.0.0.1:81\"\nnode = \"b\"\nbroker.memory_bytes = \"1MiB\"\nlimits.idempotency_keys = 7\n\
         limits.feeds = 7\nlog.format = \"json\"\nlog.level = \"warn\"\ntls = {}",
    );
    assert_eq!(
        fixed.fixed().to_string(),
        "listen, ops_listen, node, broker.memory_bytes, limits.idempotency_keys, log.format"
    );
    let page = reference();
    for key in
        ["LISTEN", "OPS_LISTEN", "NODE", "BROKER__MEMORY_BYTES", "LIMITS__IDEMPOTENCY_KEYS", "LOG__FORMAT"]
    {
        assert!(page.contains(&format!("`TIDINGS_{key}` · needs a restart\n")), "{key}");
    }
    // With all those of [broker].
    assert_eq!(page.matches(" · needs a restart\n").count(), 21);
}
