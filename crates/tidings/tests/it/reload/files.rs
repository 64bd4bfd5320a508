//! Files that keys name: TLS that comes and goes, and a public key whose file has other content.

use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::process::reload;
use crate::jwks::Signer;
use crate::node::{Plan, TestNode, now_ms};
use crate::process::Process;
use crate::raw::{Raw, soon};
use crate::socket::Socket;
use crate::tls::{Authority, with_tls};

const CHANNEL: &str = "/v1/channels/orders:1";

fn plan() -> Plan {
    TestNode::new().namespace("orders", |n| n)
}

/// Whether a connection is answered as one of its kind.
async fn is_served(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let (mut answer, end) = (Vec::new(), b"{\"status\":\"ok\"}");
    while !answer.ends_with(end) {
        let byte = soon("an answer", stream.read_u8()).await.unwrap();
        answer.push(byte);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer));
}

/// New connections have it, or have it no more; those that are open stay what they are.
#[tokio::test]
async fn tls_is_turned_on_and_off() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    authority.issue(folder.path());
    let process = Process::start(plan()).await;
    let mut plain = Raw::connect(process.address).await;
    is_served(&mut plain.stream).await;
    process.configure(&with_tls(plan(), folder.path()));
    assert_eq!(reload(&process).await["changes"], "tls.certificate, tls.key");
    process.call("GET", CHANNEL).await.problem(400, "tls-required");
    let mut secure = authority.connect(process.address, &["http/1.1"]).await;
    is_served(&mut secure).await;
    is_served(&mut plain.stream).await;
    process.configure(&plan());
    assert_eq!(reload(&process).await["changes"], "tls.certificate, tls.key");
    process.call("GET", CHANNEL).await.ok();
    is_served(&mut secure).await;
    is_served(&mut plain.stream).await;
    // Half of it is none: nothing changes.
    process.configure(&plan().set("tls.key = \"key.pem\""));
    let said = reload(&process).await;
    assert!(said["level"] == "ERROR" && said["error"].as_str().unwrap().contains("certificate"), "{said}");
    process.call("GET", CHANNEL).await.ok();
}

#[tokio::test]
async fn the_file_of_a_public_key_has_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem");
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../tidings-core/tests/keys");
    let write = |name: &str| std::fs::copy(format!("{keys}/{name}.pub.pem"), &file).unwrap();
    write("ed25519");
    let [_, ec, ed] = Signer::all();
    let (before, after) = (ed.token_at(None, now_ms()), ec.token_at(None, now_ms()));
    let plan = TestNode::new().namespace("orders", |n| n.set("subscribe = \"user\""));
    let process = Process::start(plan.jwt(&format!("jwt.public_key_file = '{}'", file.display()))).await;
    let mut socket = Socket::open(process.address, CHANNEL, Some(&before)).await;
    socket.frame_with("subscribed").await;
    process.call("GET", CHANNEL).bearer(&after).await.problem(401, "bad-token");
    // Written again, and not changed.
    write("ed25519");
    assert!(reload(&process).await["message"].as_str().unwrap().contains("nothing has changed"));
    std::fs::write(&file, "not a key").unwrap();
    let said = reload(&process).await;
    let error = said["error"].as_str().unwrap();
    assert!(
        said["level"] == "ERROR" && error.contains("public_key_file") && error.contains("key.pem"),
        "{said}"
    );
    process.post(CHANNEL).text("x").await.ok();
    assert_eq!(socket.frame().await["data"], "x");
    write("p256");
    assert_eq!(reload(&process).await["changes"], "auth.jwt.public_key_file (its content)");
    assert_eq!(socket.closed().await, (4001, json!({ "code": "token-expired", "retry_ms": 0 })));
    process.call("GET", CHANNEL).bearer(&after).await.ok();
    process.call("GET", CHANNEL).bearer(&before).await.problem(401, "bad-token");
}
