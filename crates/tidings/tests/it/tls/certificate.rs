//! What `tidings check` says of a certificate and its key.

use std::path::Path;

use tidings::config::{Config, Env, Flags};

use super::{Authority, with_tls};
use crate::node::TestNode;

fn check(folder: &Path) -> Result<(), String> {
    let text = with_tls(TestNode::new().namespace("orders", |n| n), folder).text();
    let loaded = Config::load_text(Some(("test.toml", &text)), &Env::default(), &Flags::default());
    loaded.map(drop).map_err(|error| error.to_string())
}

#[test]
fn a_pair_must_be_readable_and_belong_together() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    let refused = |wanted: [&str; 3]| {
        let error = check(folder).unwrap_err();
        assert!(wanted.iter().all(|part| error.contains(part)), "{error}");
    };
    refused(["`certificate` in [tls] (test.toml:", "cert.pem, which cannot be read", "check the path"]);
    authority.issue(folder);
    check(folder).unwrap();
    let key = std::fs::read(folder.join("key.pem")).unwrap();
    std::fs::remove_file(folder.join("key.pem")).unwrap();
    refused(["`key` in [tls]", "key.pem, which cannot be read", "check the path"]);
    std::fs::write(folder.join("key.pem"), "").unwrap();
    refused(["`key` in [tls]", "holds no private key", "BEGIN PRIVATE KEY"]);
    authority.issue(folder);
    std::fs::write(folder.join("key.pem"), key).unwrap();
    refused(["`key` in [tls]", "which is not the key of", "name the key"]);
    std::fs::write(folder.join("cert.pem"), "-----BEGIN").unwrap();
    refused(["`certificate` in [tls]", "holds no certificate", "BEGIN CERTIFICATE"]);
}
