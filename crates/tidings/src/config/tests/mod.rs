//! The configuration from outside: what is accepted, and what each refusal says.

mod auth;
mod changes;
mod variables;

use super::*;

type Variables<'a> = &'a [(&'a str, &'a str)];

fn load(text: &str, variables: Variables<'_>) -> Result<Loaded, ConfigError> {
    let env = variables.iter().copied().collect();
    Config::load_text(Some(("tidings.toml", text)), &env, &Flags::default())
}

/// The sentence with which a file is refused.
fn refused(text: &str) -> String {
    load(text, &[]).unwrap_err().sentence().to_owned()
}

/// The sentence with which variables are refused.
fn refused_env(variables: Variables<'_>) -> String {
    load("", variables).unwrap_err().sentence().to_owned()
}

const ORDERS: &str = "[namespaces.orders]\ndelivery = \"at-least-once\"\n";

#[test]
fn without_a_file_every_key_has_its_documented_default() {
    let Loaded { config, warnings, sources, .. } =
        Config::load(None, &Env::default(), &Flags::default()).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(config.heartbeat, Period::secs(15));
    assert_eq!(config.broker.memory_bytes, Size(1 << 30));
    assert_eq!(config.limits.message_bytes, Size(1 << 20));
    assert!(config.cors.any());
    assert!(sources.is_empty());
    assert!(warnings[0].contains("no namespace"), "{warnings:?}");
}

#[test]
fn the_example_is_complete_and_gives_no_warning() {
    let Loaded { config, warnings, .. } = load(EXAMPLE, &[]).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(config.namespaces["orders"].delivery, Delivery::AtLeastOnce);
    let reference = reference();
    for heading in reference.lines().filter_map(|line| line.strip_prefix("### `")) {
        let key = heading.trim_end_matches('`').rsplit('.').next().unwrap();
        let later = ["path", "url", "brokers", "password", "prefix", "ca"].contains(&key);
        assert!(later || EXAMPLE.contains(&format!("{key} = ")), "{key} is not in example.toml");
    }
}

#[test]
fn the_example_of_the_surface_is_a_configuration() {
    let loaded = load(
        r#"
        listen = "0.0.0.0:8080"

        [broker]
        kind = "memory"              # memory | disk | redis | nats | kafka

        [auth]
        api_keys = ["sk_…"]          # for backends: publish, read, administer
        [auth.jwt]
        hmac_secret = "…"

        [namespaces.orders]
        delivery = "at-least-once"   # required
        retain = { messages = 10000, age = "24h" }
        presence = false
        subscribe = "token"
        publish = "server"
        "#,
        &[],
    )
    .unwrap();
    assert_eq!(loaded.warnings.len(), 3, "{:?}", loaded.warnings);
}

#[test]
fn numbers_are_written_as_toml_writes_them() {
    for (text, feeds) in [("1_000", 1000), ("0x10", 16), ("+5", 5), ("0b11", 3)] {
        let config = load(&format!("\u{feff}[limits]\r\nfeeds = {text}\r\n"), &[]).unwrap().config;
        assert_eq!(config.limits.feeds, feeds);
    }
}

#[test]
fn the_reference_is_what_the_code_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == reference(),
        "docs/configuration.md is not what the code says; run: tidings check --reference > docs/configuration.md"
    );
}

#[test]
fn the_reference_names_every_key_and_never_contradicts_the_schema() {
    let page = reference();
    for expected in [
        "### `namespaces.NAME.delivery`",
        "**required**",
        "`TIDINGS_NAMESPACES__NAME__RETAIN__AGE`",
        "duration, 1s to 60s",
        "`\"1GiB\"`",
        "`[\"*\"]`",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
    assert_eq!(schema()["additionalProperties"], false);
    assert!(schema()["properties"]["dev"].is_null());
}

#[test]
fn unknown_keys_are_refused_with_the_nearest() {
    assert_eq!(
        refused(&format!("{ORDERS}retian = 1")),
        "unknown key `retian` in [namespaces.orders] (tidings.toml:3:1): did you mean `retain`?"
    );
    assert_eq!(refused("\n  lisen = 1"), "unknown key `lisen` (tidings.toml:2:3): did you mean `listen`?");
    assert_eq!(refused("[brokr]"), "unknown key `brokr` (tidings.toml:1:2): did you mean `broker`?");
    assert_eq!(
        refused("hmac_secret = \"x\""),
        "unknown key `hmac_secret` (tidings.toml:1:1): there is a `hmac_secret` under [auth.jwt]"
    );
    assert_eq!(
        refused("[namespaces.a]\nretain = { mesages = 1 }"),
        "unknown key `mesages` in [namespaces.a.retain] (tidings.toml:2:12): did you mean `messages`?"
    );
    assert!(load("xyzzy = 1", &[]).unwrap_err().advice().contains("listen"));
}

#[test]
fn delivery_has_to_be_declared() {
    let error = load("[namespaces.orders]\nretain = { messages = 5 }", &[]).unwrap_err();
    assert!(error.sentence().starts_with("[namespaces.orders] (tidings.toml:1:13) does not say"), "{error}");
    assert!(
        error.sentence().contains("at-least-once") && error.sentence().contains("at-most-once"),
        "{error}"
    );
    assert!(error.advice().contains("delivery = "), "{error}");
    let error = refused("[namespaces.orders]\ndelivery = \"at-least-onc\"");
    assert!(error.contains("did you mean `at-least-once`?"), "{error}");
    let error = refused_env(&[("TIDINGS_NAMESPACES__ORDERS__PRESENCE", "true")]);
    assert!(error.contains("(TIDINGS_NAMESPACES__ORDERS__PRESENCE) does not say"), "{error}");
}

#[test]
fn types_and_bounds_are_named_with_their_place() {
    for (text, expected) in [
        (
            "heartbeat = 5",
            "`heartbeat` (tidings.toml:1:1) is a number, and should be a duration of \"1s\" to \"60s\"",
        ),
        ("heartbeat = \"2m\"", "`heartbeat` (tidings.toml:1:1) is 2m, which is more than 60s"),
        ("heartbeat = \"soon\"", "`heartbeat` (tidings.toml:1:1) is not a duration: `soon`"),
        ("listen = \":8080\"", "`listen` (tidings.toml:1:1) has no IP address before its port: `:8080`"),
        ("listen = 8080", "`listen` (tidings.toml:1:1) is a number, and should be an IP address with a port"),
        (
            "[limits]\nmessage_bytes = 1",
            "`message_bytes` in [limits] (tidings.toml:2:1) is 1B, which is less than 1KiB",
        ),
        (
            "[limits]\nmessage_bytes = \"1GiB\"",
            "`message_bytes` in [limits] (tidings.toml:2:1) is 1GiB, which is more than 64MiB",
        ),
        ("[limits]\nfeeds = -1", "`feeds` in [limits] (tidings.toml:2:1) is -1, which is below zero"),
        ("[limits]\nfeeds = 0", "`feeds` in [limits] (tidings.toml:2:1) is 0, which is less than 1"),
        (
            "[limits]\nfeeds = 99999999999999999999",
            "`feeds` in [limits] (tidings.toml:2:1) is too large a number",
        ),
        ("[limits]\nfeeds = 1.5", "`feeds` in [limits] (tidings.toml:2:1) is a number with a fraction"),
        ("[log]\nformat = \"xml\"", "`format` in [log] (tidings.toml:2:1) cannot be `xml`"),
        ("[log]\nlevel = \"inof\"", "`level` in [log] (tidings.toml:2:1) holds `inof`, which is no level"),
        (
            "[auth]\napi_keys = \"a\"",
            "`api_keys` in [auth] (tidings.toml:2:1) is a string, and should be a list",
        ),
        (
            "[auth]\napi_keys = [1]",
            "`api_keys` in [auth] (tidings.toml:2:1) is a number, and should be a string",
        ),
        ("[auth]\napi_keys = [\"\"]", "`api_keys` in [auth] (tidings.toml:2:1) holds an empty key"),
        ("[auth.jwt]\nhmac_secret = \"\"", "`hmac_secret` in [auth.jwt] (tidings.toml:2:1) is empty"),
        (
            "[cors]\norigins = [\"https://a.example/\"]",
            "`origins` in [cors] (tidings.toml:2:1) holds `https://a.example/`",
        ),
        ("broker = 5", "`broker` (tidings.toml:1:1) is a number, and should be a table"),
        (
            "[namespaces]\norders = 5",
            "[namespaces.orders] (tidings.toml:2:1) is a number, and should be a table",
        ),
        (
            "[namespaces.\"a:b\"]\ndelivery = \"at-most-once\"",
            "[namespaces.\"a:b\"] (tidings.toml:1:13) has a `:`",
        ),
        ("ops_listen = \"0.0.0.0:8080\"", "`ops_listen` (tidings.toml:1:1) is 0.0.0.0:8080, as `listen` is"),
    ] {
        let sentence = refused(text);
        assert!(sentence.starts_with(expected), "{sentence}\n is not \n{expected}");
    }
}

#[test]
fn a_key_of_another_broker_is_refused() {
    assert!(
        refused("[broker]\npath = \"data\"")
            .contains("`path` in [broker] (tidings.toml:2:1) is for kind = \"disk\"")
    );
    assert!(refused("[broker]\nfsync_every = \"1s\"").contains("is for kind = \"disk\""));
    let disk = load("[broker]\nkind = \"disk\"\npath = \"x\"\nfsync_every = \"100ms\"", &[]).unwrap().config;
    assert_eq!((disk.broker.kind, disk.broker.folder()), (BrokerKind::Disk, "x"));
    assert_eq!(load("[broker]\nkind = \"disk\"", &[]).unwrap().config.broker.folder(), "data");
    assert!(refused("[broker]\nurl = \"redis://u:p@h\"").contains("is for kind = \"redis\" or \"nats\""));
    assert!(refused("[broker]\nbrokers = [\"a\"]").contains("is for kind = \"kafka\""));
    for key in ["password = \"hunter2\"", "prefix = \"a:\"", "replicas = 1", "ca = \"ca.pem\""] {
        assert!(refused(&format!("[broker]\n{key}")).contains("is for kind = \"redis\""), "{key}");
    }
    assert!(refused("[broker]\nkind = \"redis\"\nprefix = \"{a}\"").contains("holds a brace"));
    let redis = load("[broker]\nkind = \"redis\"\nurl = \"redis://a:1, redis://b:2\"", &[]).unwrap().config;
    assert_eq!(
        (redis.broker.urls(), redis.broker.prefix()),
        (vec!["redis://a:1".into(), "redis://b:2".into()], "tidings:")
    );
}

#[test]
fn a_nats_server_is_named_by_its_url_which_is_never_printed() {
    let nats = |more: &str| format!("[broker]\nkind = \"nats\"\n{more}\n{ORDERS}");
    assert!(refused(&nats("")).contains("needs a server"));
    for url in ["redis://:hunter2@h", "hunter2", "nats://a,http://hunter2", ""] {
        let sentence = refused(&nats(&format!("url = \"{url}\"")));
        assert!(
            sentence.contains("is no URL of a NATS server") && !sentence.contains("hunter2"),
            "{sentence}"
        );
    }
    let url = "url = \"nats://u:hunter2@a:4222, tls://b\"";
    let broker = load(&nats(&format!("{url}\nprefix = \"two\"\nreplicas = 3")), &[]).unwrap().config.broker;
    assert_eq!((broker.kind, broker.replicas), (BrokerKind::Nats, Some(3)));
    assert!(!format!("{broker:?}").contains("hunter2"));
    for (more, words) in [("prefix = \"a.b\"", "letters and digits"), ("replicas = 4", "is not 1, 3 or 5")] {
        assert!(refused(&nats(&format!("{url}\n{more}"))).contains(words), "{more}");
    }
    for more in ["credentials = \"x\"", "ca = \"x\"", "prefix = \"x\"", "replicas = 3"] {
        assert!(refused(&format!("[broker]\n{more}")).contains("\"nats\""), "{more}");
    }
}

#[cfg(not(feature = "kafka"))]
#[test]
fn a_build_without_a_kafka_client_says_how_to_have_one() {
    let error = load("[broker]\nkind = \"kafka\"\nbrokers = [\"h:1\"]", &[]).unwrap_err();
    assert!(error.sentence().contains("this build has no Kafka client"), "{error}");
    assert!(error.advice().contains("--features kafka"), "{error}");
}

#[cfg(feature = "kafka")]
#[test]
fn kafka_servers_are_named_and_a_password_is_never_printed() {
    let kafka = |more: &str| format!("[broker]\nkind = \"kafka\"\n{more}\n{ORDERS}");
    assert!(refused(&kafka("")).contains("needs a server"));
    for servers in ["h", "h:0", "kafka://u:hunter2@h:1", ":9092", "h:9092,i:9092"] {
        let sentence = refused(&kafka(&format!("brokers = [\"{servers}\"]")));
        assert!(sentence.contains("no HOST:PORT") && !sentence.contains("hunter2"), "{sentence}");
    }
    let two = "brokers = [\"a:9092\", \"[::1]:9093\"]\nuser = \"u\"\npassword = \"hunter2\"";
    let more = "sasl = \"scram-sha-512\"\nca = \"ca.pem\"\nprefix = \"two\"\nreplicas = 3\npartitions = 6";
    let broker = load(&kafka(&format!("{two}\n{more}")), &[]).unwrap().config.broker;
    assert_eq!((broker.kind, broker.replicas, broker.partitions), (BrokerKind::Kafka, Some(3), Some(6)));
    assert!(!format!("{broker:?}").contains("hunter2"));
    for (more, words) in [
        ("user = \"u\"", "is missing, and there is a user"),
        ("password = \"hunter2\"", "is missing, and there is a password"),
        ("sasl = \"plain\"", "is missing, and sasl is how"),
        ("prefix = \"a.b\"", "letters and digits"),
        ("replicas = 0", "is not 1 to 16"),
        ("partitions = 0", "is 0, which is less than 1"),
        ("tls = false\nca = \"x\"", "there is a ca"),
        ("url = \"nats://h\"", "is for kind"),
        ("credentials = \"x\"", "is for kind"),
    ] {
        let sentence = refused(&kafka(&format!("brokers = [\"h:1\"]\n{more}")));
        assert!(sentence.contains(words), "{more}: {sentence}");
    }
}

#[test]
fn syntax_errors_have_a_line_and_keep_secrets() {
    let sentence = refused("listen = \"127.0.0.1:1\"\n[auth.jwt]\nhmac_secret = hunter2 hunter2\n");
    assert!(sentence.starts_with("tidings.toml:3:"), "{sentence}");
    assert!(sentence.contains("this is not TOML"), "{sentence}");
    assert!(!sentence.contains("hunter2"), "{sentence}");
    assert!(refused("a = 1\na = 2").starts_with("tidings.toml:2:"));
}

#[test]
fn files_that_are_no_files_are_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let at =
        |path: &std::path::Path| Config::load(Some(path), &Env::default(), &Flags::default()).unwrap_err();
    assert!(at(folder.path()).sentence().ends_with("this is a folder, not a file"));
    let missing = folder.path().join("missing.toml");
    assert_eq!(at(&missing).sentence(), format!("{}: there is no such file", missing.display()));
    let latin = folder.path().join("latin.toml");
    std::fs::write(&latin, b"# one\nlisten = \"caf\xe9\"").unwrap();
    assert_eq!(at(&latin).sentence(), format!("{}:2: this is not UTF-8", latin.display()));
    std::fs::write(&latin, vec![b' '; (1 << 20) + 1]).unwrap();
    assert!(at(&latin).sentence().ends_with("larger than 1 MiB"));
}

#[test]
fn weak_secrets_and_rights_that_nobody_has_are_warned_about() {
    let warned = |text: &str| load(text, &[]).unwrap().warnings.join("\n");
    assert!(
        warned(&format!("[auth.jwt]\nhmac_secret = \"short\"\n{ORDERS}"))
            .contains("hmac_secret has 5 of the 32 bytes")
    );
    assert!(warned(&format!("[auth]\napi_keys = [\"k\"]\n{ORDERS}")).contains("1 of 1 API keys is shorter"));
    assert!(warned(ORDERS).contains("nobody may publish to orders"));
    assert!(warned(ORDERS).contains("nobody may read orders"));
}

#[test]
fn secrets_are_printed_nowhere() {
    let file = format!(
        "[auth]\napi_keys = [\"hunter2hunter2hunter2\"]\n[auth.jwt]\nhmac_secret = \"hunter2hunter2hunter2\"\n{ORDERS}"
    );
    let loaded = load(&file, &[]).unwrap();
    assert!(!format!("{loaded:?} {:?}", Report::new(&loaded)).contains("hunter2"));
    for text in [
        "[auth]\napi_keys = \"hunter2\"",
        "[auth.jwt]\nhmac_secret = [\"hunter2\"]",
        "[broker]\nurl = \"redis://hunter2\"",
        "[broker]\npassword = \"hunter2\"",
    ] {
        assert!(!load(text, &[]).unwrap_err().to_string().contains("hunter2"), "{text}");
    }
    let env: Env = [("TIDINGS_AUTH__API_KEYS", "hunter2")].into_iter().collect();
    assert!(!format!("{env:?}").contains("hunter2"));
}

#[test]
fn dev_declares_what_the_file_does_not() {
    let dev = Config::dev().unwrap();
    assert_eq!(dev.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(dev.namespaces.keys().collect::<Vec<_>>(), ["default", "demo", "durable"]);
    assert_eq!(dev.namespaces["default"].delivery, Delivery::AtMostOnce);
    assert!(dev.dev && dev.namespaces["durable"].presence);
    let secret = |config: &Config| config.auth.jwt.hmac_secret.clone().unwrap();
    assert!(secret(&dev).expose().len() >= 32);
    // A configuration that is read again must not end the tokens of before.
    assert!(secret(&dev) == secret(&Config::dev().unwrap()));

    let flags = Flags { dev: true, listen: None };
    let file = format!(
        "[auth.jwt]\nhmac_secret = \"{:a>32}\"\n[namespaces.demo]\ndelivery = \"at-most-once\"\n{ORDERS}",
        ""
    );
    let merged = Config::load_text(Some(("t.toml", &file)), &Env::default(), &flags).unwrap();
    assert_eq!(merged.warnings, Vec::<String>::new());
    assert_eq!(secret(&merged.config).expose(), "a".repeat(32));
    assert_eq!(merged.config.namespaces.len(), 4);
    // A declared namespace is the file's alone: nothing of `--dev` seeps into it.
    assert!(!merged.config.namespaces["demo"].presence);
    assert_eq!(merged.config.namespaces["demo"].publish, Publish::Server);
}

#[test]
fn dev_is_for_this_machine_alone_and_the_flag_beats_all() {
    let file = Some(("t.toml", "listen = \"0.0.0.0:9000\""));
    let dev = |listen: Option<&str>| {
        let flags = Flags { dev: true, listen: listen.map(|address| address.parse().unwrap()) };
        Config::load_text(file, &Env::default(), &flags)
    };
    let error = dev(None).unwrap_err();
    assert!(
        error.sentence().starts_with("`listen` (t.toml:1:1) is 0.0.0.0:9000, which others can reach"),
        "{error}"
    );
    assert!(error.advice().starts_with("add --listen 127.0.0.1:9000"), "{error}");
    assert_eq!(dev(Some("127.0.0.1:1")).unwrap().config.listen.port(), 1);
    assert_eq!(dev(Some("[::1]:2")).unwrap().config.listen.port(), 2);
    let error = dev(Some("192.0.2.1:80")).unwrap_err();
    assert!(error.sentence().starts_with("`listen` (--listen) is"), "{error}");
}

#[test]
fn the_policy_resolves_every_default() {
    let config = load(
        "dedupe = \"5m\"\n[namespaces.a]\ndelivery = \"at-most-once\"\nretain = { messages = 7 }\nmax_lag = \"1s\"\n\
         [namespaces.b]\ndelivery = \"at-least-once\"\ncompact = \"latest-per-key\"\ndedupe = \"1m\"\nsubscribe = \"public\"",
        &[],
    )
    .unwrap()
    .config;
    let policy = config.policy();
    let of = |name: &str| policy.of(&tidings_core::Channel::parse(name).unwrap()).unwrap();
    let (a, b) = (of("a:1"), of("b:1"));
    assert_eq!(a.retain, tidings_core::Retain { messages: 7, age_ms: 60_000 });
    assert_eq!((a.dedupe_ms, a.max_lag_ms), (300_000, 1_000));
    assert_eq!((b.dedupe_ms, b.max_lag_ms), (60_000, 30_000));
    assert_eq!(b.retain, tidings_core::Retain::LOG);
    assert!(b.compact && b.subscribe == tidings_core::Subscribe::Public);
}

/// No input brings the reader down: mangled copies of the example, as file and as variables.
#[test]
fn mangled_input_is_refused_and_never_panics() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below.max(1) as u64).unwrap()
    };
    let pieces = [
        "[",
        "]]",
        "\"",
        "'''",
        "{",
        "}",
        "=",
        ".",
        "\n",
        "é",
        "\u{0}",
        "-9223372036854775808",
        "1e999",
        "[[x]]",
        "a.",
        "1979-05-27",
        "🦀",
    ];
    let names = [
        "LISTEN",
        "NAMESPACES__A",
        "NAMESPACES__A__RETAIN__AGE",
        "AUTH__API_KEYS",
        "CORS__ORIGINS",
        "LOG__LEVEL",
        "__",
        "",
    ];
    let mut accepted = 0;
    for _ in 0..3_000 {
        let mut text: Vec<char> = EXAMPLE.chars().collect();
        for _ in 0..=random(3) {
            let at = random(text.len());
            let end = (at + random(12)).min(text.len());
            match random(3) {
                0 => drop(text.drain(at..end)),
                1 => drop(text.splice(at..end, pieces[random(pieces.len())].chars())),
                _ => text.rotate_left(at),
            }
        }
        let text: String = text.into_iter().collect();
        let from = text.char_indices().nth(random(200)).map_or(0, |(at, _)| at);
        let value = text[from..].chars().take(random(60)).collect::<String>();
        let variable = format!("TIDINGS_{}", names[random(names.len())]);
        for outcome in [load(&text, &[]), load("", &[(&variable, &value)])] {
            match outcome {
                Ok(_) => accepted += 1,
                Err(error) => {
                    assert!(!error.sentence().contains('\n') && !error.advice().is_empty(), "{error}")
                }
            }
        }
    }
    assert!(accepted > 0);
    for nested in
        ["[".repeat(5_000), format!("a = {}", "[".repeat(5_000)), format!("{}b = 1", "a.".repeat(5_000))]
    {
        assert!(load(&nested, &[]).is_err());
    }
}

#[test]
fn a_node_has_a_name_that_can_be_said_and_no_namespace_is_the_nodes_own() {
    assert!(load("node = \"web-1.eu_2\"\n", &[]).is_ok());
    for name in ["", "a b", "..", "a:b", &"x".repeat(65)] {
        assert!(refused(&format!("node = \"{name}\"\n")).contains("is not the name of a node"), "{name}");
    }
    let own = "[namespaces.\"@tidings\"]\ndelivery = \"at-most-once\"\n";
    assert!(refused(own).contains("is built in"), "{}", refused(own));
}
