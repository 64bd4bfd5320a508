//! A certificate that is renewed while the node runs.

use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{Authority, with_tls};
use crate::node::TestNode;
use crate::process::Process;
use crate::raw::soon;

fn presented(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

async fn logged(process: &Process, text: &str) {
    soon(text, async {
        while !process.log().contains(text) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_hangup_renews_the_certificate_and_a_wrong_one_is_refused() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let first = authority.issue(folder.path());
    let process = Process::start(with_tls(TestNode::new().namespace("orders", |n| n), folder.path())).await;
    let mut old = authority.connect(process.address, &["http/1.1"]).await;
    assert_eq!(presented(&old), first);

    // A pair that does not match: the key is gone.
    let second = authority.issue(folder.path());
    let key = std::fs::read(folder.path().join("key.pem")).unwrap();
    std::fs::write(folder.path().join("key.pem"), "not a key").unwrap();
    process.hang_up();
    logged(&process, "the new configuration is refused").await;
    assert_eq!(presented(&authority.connect(process.address, &[]).await), first);

    std::fs::write(folder.path().join("key.pem"), &key).unwrap();
    process.hang_up();
    soon("the new certificate", async {
        while presented(&authority.connect(process.address, &[]).await) != second {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    // A connection of before lives on.
    old.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = [0; 15];
    soon("an answer", old.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    let secret = String::from_utf8(key).unwrap().lines().nth(1).unwrap().to_owned();
    assert!(!process.log().contains(&secret), "a key is no matter for a log");
}
