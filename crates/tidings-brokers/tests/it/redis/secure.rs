//! TLS, and a user who may do no more than a node needs.

use std::fs;
use std::path::Path;
use std::process::Command;

use tidings_brokers::redis::Redis;
use tidings_core::broker::Broker;
use tidings_core::log::Draft;

use super::log::{RULES, all, append, channel, draft, follow, next, once, open, options};
use super::server::{Server, free_port, is_there, until};

/// What docs/redis.md says that a user needs.
fn rights() -> String {
    let page = include_str!("../../../../../docs/redis.md");
    let line = page.lines().find(|line| line.contains("The user of an ACL needs")).unwrap();
    let part = |at: usize| line.split('`').nth(at).unwrap();
    format!("{} {} {}", part(1), part(3), part(5)).replace("PREFIX", "tidings:")
}

fn openssl(folder: &Path, command: &str) {
    let output = Command::new("openssl").args(command.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_the_rights_that_are_documented_over_tls() {
    if !is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    openssl(folder.path(), "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=ca");
    openssl(
        folder.path(),
        "req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=localhost",
    );
    fs::write(at("names"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
    openssl(
        folder.path(),
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -out cert.pem",
    );
    let users = format!("user default on nopass ~* &* +@all\nuser node on >secret {}\n", rights());
    fs::write(at("users"), users).unwrap();
    let port = free_port();
    let (tls, files) = (port.to_string(), ["cert.pem", "key.pem", "ca.pem", "users"].map(at));
    let arguments = [
        "--tls-port",
        &tls,
        "--tls-cert-file",
        &files[0],
        "--tls-key-file",
        &files[1],
        "--tls-ca-cert-file",
        &files[2],
        "--tls-auth-clients",
        "no",
        "--aclfile",
        &files[3],
    ];
    let server = Server::start_in(folder, &arguments);
    let mut options = options(&[&server]);
    options.urls = vec![format!("rediss://node@127.0.0.1:{port}")];
    options.password = Some("secret".into());
    let stranger = Redis::start(&options).unwrap();
    let refused =
        async || stranger.ready().await.is_err_and(|error| error.to_string().contains("certificate"));
    until("a certificate of nobody we know is refused", refused).await;
    options.ca = Some(fs::read(server.folder.path().join("ca.pem")).unwrap());
    let redis = open(&options).await;
    let mut tail = follow(&redis, "a").await;
    append(&redis, "a", "1").await.unwrap();
    once(&redis, "a", Draft { once: tidings_core::log::Once::Id, ..draft("2") }).await.unwrap();
    assert_eq!(next(&mut tail).await.unwrap(), ["1"]);
    assert_eq!(all(&redis, "a").await, ["1", "2"]);
    assert!(redis.delete(&channel("a"), &RULES).await.unwrap());
}
