//! `[auth]`: keys and tokens.

use super::*;

#[test]
fn api_keys_are_strings_or_tables() {
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let with = |keys: &str| format!("[auth]\napi_keys = [{keys}]\n{ORDERS}");
    let table = |fields: &str| with(&format!("{{ {fields} }}"));
    let good = with(&format!(
        "\"sk_0123456789abcdef\", {{ sha256 = \"{hash}\", rights = [\"publish\"], name = \"billing\" }}"
    ));
    let loaded = load(&good, &[]).unwrap();
    let keys = &loaded.config.auth.api_keys;
    assert_eq!(keys[0].key.rights, tidings_core::Rights::ALL);
    assert_eq!(
        keys[1].key,
        tidings_core::ApiKey {
            sha256: tidings_core::ApiKey::plain("test").sha256,
            rights: tidings_core::Rights { publish: true, read: false, administer: false },
            name: Some("billing".into()),
        }
    );
    assert_eq!(
        Report::new(&loaded).api_keys,
        "one without a name (publish, read, administer); billing (publish)"
    );
    // By the environment, too: as a list of strings, or as TOML; also one table without the list's brackets.
    let bare = format!("{{ sha256 = \"{hash}\", rights = [\"read\"] }}");
    let loaded = load(ORDERS, &[("TIDINGS_AUTH__API_KEYS", &bare)]).unwrap();
    assert_eq!(Report::new(&loaded).api_keys, "one without a name (read)");
    let variable = format!("[{{ sha256 = \"{hash}\", rights = [\"read\"] }}, \"k\"]");
    let loaded = load(ORDERS, &[("TIDINGS_AUTH__API_KEYS", &variable)]).unwrap();
    assert_eq!(loaded.config.auth.api_keys.len(), 2);
    assert!(
        loaded.warnings.iter().any(|warning| warning.contains("1 of 2 API keys")),
        "{:?}",
        loaded.warnings
    );
    for (text, expected) in [
        (table("rights = [\"read\"]"), "missing field `sha256`"),
        (table(&format!("sha256 = \"{hash}\"")), "missing field `rights`"),
        (table(&format!("sha256 = \"{hash}\", rights = []")), "a key without `rights`"),
        (table(&format!("sha256 = \"{hash}\", rights = [\"raed\"]")), "did you mean `read`?"),
        (table(&format!("sha256 = \"{hash}\", right = [\"read\"]")), "did you mean `rights`?"),
        (table(&format!("sha256 = \"{}\", rights = [\"read\"]", &hash[1..])), "not 64 hexadecimal digits"),
        (table(&format!("sha256 = \"+{}\", rights = [\"read\"]", &hash[1..])), "not 64 hexadecimal digits"),
        (with(&format!("\"test\", {{ sha256 = \"{hash}\", rights = [\"read\"] }}")), "holds a key twice"),
    ] {
        let sentence = refused(&text);
        assert!(sentence.contains(expected), "{sentence}\n has no \n{expected}");
    }
}

/// The path of a key for tests.
fn key_file(name: &str) -> String {
    format!("{}/../tidings-core/tests/keys/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn tokens_are_verified_in_one_way() {
    let jwt = |lines: &str| format!("[auth.jwt]\n{lines}\n{ORDERS}");
    let file = |name: &str| jwt(&format!("public_key_file = \"{}\"", key_file(name)));
    for (name, kind) in [
        ("rsa.pub.pem", "RSA, 2048 bits (RS256)"),
        ("rsa.pkcs1.pub.pem", "RSA, 2048 bits (RS256)"),
        ("p256.pub.pem", "EC P-256 (ES256)"),
        ("ed25519.pub.pem", "Ed25519 (EdDSA)"),
    ] {
        let loaded = load(&format!("{}audience = \"me\"", file(name).replace(ORDERS, "")), &[]).unwrap();
        let tokens = Report::new(&loaded).tokens;
        assert!(tokens.contains(kind) && tokens.ends_with("for the audience me"), "{tokens}");
    }
    for (name, why) in [
        ("p384.pub.pem", "another curve than P-256"),
        ("short-rsa.pub.pem", "RSA key of 1024 bits"),
        ("rsa.pem", "holds a private key"),
        ("ed25519.pem", "holds a private key"),
        ("certificate.pem", "holds a certificate"),
        ("README.md", "holds no PEM"),
        ("missing.pem", "cannot be read"),
        ("", "cannot be read"),
    ] {
        let sentence = refused(&file(name));
        assert!(
            sentence.starts_with("`public_key_file` in [auth.jwt] (tidings.toml:2:1) names"),
            "{sentence}"
        );
        assert!(sentence.contains(why), "{sentence}");
    }
    let both = format!("hmac_secret = \"{:0>32}\"\npublic_key_file = \"{}\"", 1, key_file("rsa.pub.pem"));
    assert!(refused(&jwt(&both)).contains("stands beside `hmac_secret`"));
    assert!(refused(&jwt("audience = \"me\"")).contains("no token is accepted"));
    assert!(refused(&jwt(&format!("hmac_secret = \"{:0>32}\"\nissuer = \"\"", 1))).contains("is empty"));
    // --dev has a secret of its own where the file says nothing.
    let dev = Flags { dev: true, listen: None };
    let text = file("rsa.pub.pem");
    let loaded = Config::load_text(Some(("tidings.toml", &text)), &Env::default(), &dev).unwrap();
    assert!(loaded.config.auth.jwt.hmac_secret.is_none());
}

#[test]
fn a_jwks_has_a_url_that_can_be_fetched() {
    let at = |url: &str| format!("[auth.jwt]\njwks_url = \"{url}\"\n{ORDERS}");
    let warned = |url: &str| load(&at(url), &[]).unwrap().warnings.iter().any(|w| w.contains("without TLS"));
    assert!(!warned("https://issuer.example/jwks.json"));
    assert!(!warned("http://localhost:1/a") && !warned("http://127.0.0.1/") && !warned("http://[::1]/"));
    assert!(warned("http://issuer.example/jwks.json"));
    for url in ["", "issuer.example", "ftp://a/", "file:///a", "https://user:hunter2@a/", "https://"] {
        let error = load(&at(url), &[]).unwrap_err().to_string();
        assert!(error.starts_with("`jwks_url` in [auth.jwt] (tidings.toml:2:1)"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
