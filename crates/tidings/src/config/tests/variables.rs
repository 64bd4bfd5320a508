//! Variables of the environment: what beats what, and what is refused.

use super::*;

#[test]
fn variables_beat_the_file_and_have_the_type_of_their_key() {
    let file = format!(
        "listen = \"127.0.0.1:1\"\nheartbeat = \"5s\"\n[auth]\napi_keys = [\"{:0>32}\"]\n{ORDERS}",
        1
    );
    let loaded = load(
        &file,
        &[
            ("TIDINGS_LISTEN", "127.0.0.1:2"),
            ("TIDINGS_AUTH__API_KEYS", "aaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbb"),
            ("TIDINGS_AUTH__JWT__HMAC_SECRET", "12345678901234567890123456789012"),
            ("TIDINGS_CORS__ORIGINS", "[\"https://a.example\"]"),
            ("TIDINGS_LIMITS__MESSAGE_BYTES", "2MiB"),
            ("TIDINGS_LIMITS__FEEDS", "7"),
            ("TIDINGS_BROKER__MEMORY_BYTES", "100000000"),
            ("TIDINGS_NAMESPACES__ORDERS__PRESENCE", "true"),
            ("TIDINGS_NAMESPACES__ORDERS__RETAIN", "{ messages = 5 }"),
            ("TIDINGS_NAMESPACES__ORDERS__RETAIN__AGE", "1h"),
            ("TIDINGS_NAMESPACES__NEW__DELIVERY", "at-most-once"),
        ],
    )
    .unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
    assert_eq!(loaded.sources.len(), 12);
    let config = loaded.config;
    assert_eq!(config.listen.port(), 2);
    assert_eq!(config.heartbeat, Period::secs(5));
    assert_eq!(config.auth.api_keys.len(), 2);
    assert_eq!(config.auth.jwt.hmac_secret.unwrap().expose().len(), 32);
    assert_eq!(config.cors.origins, ["https://a.example"]);
    assert_eq!(config.limits.message_bytes, Size(2 << 20));
    assert_eq!((config.limits.feeds, config.broker.memory_bytes), (7, Size(100_000_000)));
    let orders = &config.namespaces["orders"];
    assert_eq!((orders.retain.messages, orders.retain.age), (Some(5), Some(Period::secs(3600))));
    assert!(orders.presence);
    assert_eq!(config.namespaces["new"].delivery, Delivery::AtMostOnce);
}

#[test]
fn variables_are_refused_by_name() {
    for (name, value, expected) in [
        (
            "TIDINGS_BROKR__KIND",
            "memory",
            "unknown key `brokr` (TIDINGS_BROKR__KIND): did you mean TIDINGS_BROKER__KIND?",
        ),
        (
            "TIDINGS_NAMESPACES__A__DELIVRY",
            "x",
            "unknown key `delivry` (TIDINGS_NAMESPACES__A__DELIVRY): did you mean TIDINGS_NAMESPACES__A__DELIVERY?",
        ),
        ("TIDINGS_LISTEN__X", "x", "unknown key `x` in [listen] (TIDINGS_LISTEN__X)"),
        ("TIDINGS_HEARTBEAT", "90s", "`heartbeat` (TIDINGS_HEARTBEAT) is 90s, which is more than 60s"),
        ("TIDINGS_LOG", "debug", "`log` (TIDINGS_LOG) is a table"),
        (
            "TIDINGS_LIMITS__FEEDS",
            "many",
            "`feeds` in [limits] (TIDINGS_LIMITS__FEEDS) is not a whole number: `many`",
        ),
        (
            "TIDINGS_NAMESPACES__A__PRESENCE",
            "yes",
            "`presence` in [namespaces.a] (TIDINGS_NAMESPACES__A__PRESENCE) is neither",
        ),
        ("TIDINGS_AUTH__API_KEYS", "[\"a\"", "TIDINGS_AUTH__API_KEYS: this is not TOML"),
        (
            "TIDINGS_BROKER",
            "{ kin = 1 }",
            "unknown key `kin` in [broker] (TIDINGS_BROKER): did you mean `kind`?",
        ),
    ] {
        let sentence = refused_env(&[(name, value)]);
        assert!(sentence.starts_with(expected), "{sentence}\n is not \n{expected}");
    }
}

#[test]
fn other_variables_are_warned_about_or_none_of_ours() {
    let loaded = load(
        ORDERS,
        &[
            ("TIDINGS_TOKEN", "x"),
            ("TIDINGS_URL", "x"),
            ("TIDINGS_SECRET", "x"),
            ("TIDINGS_CONFIG", "x"),
            ("HOME", "/root"),
            ("TIDINGS_PORT", "tcp://10.0.0.1:80"),
            ("TIDINGS_BROKER_KIND", "redis"),
            ("TIDINGS_LSITEN", "x"),
        ],
    )
    .unwrap();
    assert_eq!(
        loaded.warnings[..3],
        [
            "the variable TIDINGS_BROKER_KIND is ignored, since it is no setting: did you mean TIDINGS_BROKER__KIND?",
            "the variable TIDINGS_LSITEN is ignored, since it is no setting: did you mean TIDINGS_LISTEN?",
            "the variable TIDINGS_PORT is ignored, since it is no setting",
        ]
    );
    assert_eq!(loaded.sources, ["tidings.toml"]);
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf8_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let value = std::ffi::OsString::from_vec(vec![0xff]);
    let env = [("TIDINGS_LISTEN", value)].into_iter().collect();
    let error = Config::load_text(None, &env, &Flags::default()).unwrap_err();
    assert_eq!(error.sentence(), "`listen` (TIDINGS_LISTEN) is not UTF-8");
}

#[test]
fn control_characters_in_a_name_do_not_reach_the_terminal() {
    for name in [
        "TIDINGS_NAMESPACES__A\u{1b}[31m",
        "TIDINGS_NAMESPACES__A\u{1b}[31m__DELIVERY",
        "TIDINGS_A\u{7}__B",
        "TIDINGS_LOGS__A\u{7}",
    ] {
        let refused = refused_env(&[(name, "10")]);
        assert!(refused.lines().all(|line| !line.contains(char::is_control)), "{refused:?}");
    }
}
