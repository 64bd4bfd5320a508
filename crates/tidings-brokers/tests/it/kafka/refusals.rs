//! Servers that will not do, and what they are told: wrong password, a stranger's certificate, other settings.

use tidings_brokers::kafka::{Kafka, Login, Options};
use tidings_core::Clock;
use tidings_core::broker::BrokerError;

use super::server::{Listener, Server, all, append, draft, open, until_ready, until_refused};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_and_not_repeated() {
    let Some(mut server) = Server::stopped(&Listener::Sasl("tidings", "right")) else { return };
    server.begin();
    let options = |password: &str| Options {
        login: Some(Login { user: "tidings".into(), password: password.into(), mechanism: "PLAIN" }),
        ..server.options()
    };
    let broker = open(&options("wrong-one"));
    let said = until_refused(&broker, "refuse the user or the password").await;
    assert!(said.contains("broker.password") && !said.contains("wrong-one"), "{said}");
    assert!(!format!("{:?}", options("wrong-one")).contains("wrong-one"));
    let refused = append(&broker, "a", draft("1")).await.unwrap_err();
    assert!(matches!(&refused, BrokerError::Unavailable(what) if what.contains("password")), "{refused}");
    let broker = open(&options("right"));
    until_ready(&broker).await;
    append(&broker, "a", draft("1")).await.unwrap();
    assert_eq!(all(&broker, "a").await, ["1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_checked_by_the_file_that_is_given() {
    let keys = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&keys).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (pem, ca) = (folder.path().join("server.pem"), folder.path().join("server.ca"));
    std::fs::write(&pem, keys.serialize_pem() + &certificate.pem()).unwrap();
    std::fs::write(&ca, certificate.pem()).unwrap();
    let Some(mut server) = Server::stopped(&Listener::Tls(pem)) else { return };
    server.begin();

    let stranger = open(&Options { tls: true, ..server.options() });
    let said = until_refused(&stranger, "TLS fails").await;
    assert!(said.contains("broker.ca"), "{said}");

    let broker = open(&Options { ca: Some(ca), ..server.options() });
    until_ready(&broker).await;
    append(&broker, "a", draft("1")).await.unwrap();
    assert_eq!(all(&broker, "a").await, ["1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_will_not_do_are_told() {
    let Some(server) = Server::start() else { return };
    server.make_topic("tidings.default", &[("cleanup.policy", "compact")]).await;
    let broker = server.ready().await;
    let refused = append(&broker, "a", draft("1")).await.unwrap_err();
    assert!(
        matches!(&refused, BrokerError::Unavailable(what) if what.contains("cleanup.policy")),
        "{refused}"
    );
    let three = open(&Options { prefix: "three".into(), replicas: 3, ..server.options() });
    until_ready(&three).await;
    let refused = append(&three, "a", draft("1")).await.unwrap_err();
    assert!(
        matches!(&refused, BrokerError::Unavailable(what) if what.contains("broker.replicas")),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_that_are_not_there_are_told() {
    let options = Options { ca: Some("/nowhere/x.pem".into()), ..Options::new(vec!["127.0.0.1:1".into()]) };
    let refused = Kafka::open(Clock::system(), &options).unwrap_err();
    assert!(
        matches!(&refused, BrokerError::Unavailable(what) if what.contains("/nowhere/x.pem")),
        "{refused}"
    );
}
