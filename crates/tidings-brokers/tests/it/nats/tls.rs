//! A server that speaks TLS, with a certificate that only a file of the broker's vouches for.

use tidings_brokers::nats::{Nats, Options};
use tidings_core::Clock;

use super::server::{Server, all, append, draft, until_ready, until_refused};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_checked_by_the_file_that_is_given() {
    let keys = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&keys).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, certificate.pem()).unwrap();
    std::fs::write(&key, keys.serialize_pem()).unwrap();
    let configuration =
        format!("jetstream {{ store_dir: STORE }}\ntls {{ cert_file: {cert:?}, key_file: {key:?} }}");
    let Some(server) = Server::with(&configuration) else { return };
    let options = Options::new(format!("tls://127.0.0.1:{}", server.port));

    let stranger = Nats::open(Clock::system(), &options).unwrap();
    let said = until_refused(&stranger, "TLS fails").await;
    assert!(said.contains("broker.ca"), "{said}");

    let broker = Nats::open(Clock::system(), &Options { ca: Some(cert), ..options }).unwrap();
    until_ready(&broker).await;
    append(&broker, "a", draft("1")).await.unwrap();
    assert_eq!(all(&broker, "a").await, ["1"]);
}
