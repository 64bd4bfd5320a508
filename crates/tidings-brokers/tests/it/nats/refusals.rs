//! Servers that will not do, and what they are told: wrong password, no JetStream, too old, full.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::Duration;

use tidings_brokers::nats::{Nats, Options};
use tidings_core::Clock;
use tidings_core::broker::{Broker, BrokerError};

use super::server::{Server, all, append, draft, open, until_ready, until_refused};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_and_not_repeated() {
    let locked = "jetstream { store_dir: STORE }\nauthorization { user: tidings, password: right }";
    let Some(server) = Server::with(locked) else { return };
    let url = |password: &str| format!("nats://tidings:{password}@127.0.0.1:{}", server.port);
    let broker = open(&url("wrong-one"));
    let said = until_refused(&broker, "refuses the user, password").await;
    assert!(said.contains("broker.url") && !said.contains("wrong-one"), "{said}");
    assert!(!format!("{:?}", Options::new(url("wrong-one"))).contains("wrong-one"));
    let refused = append(&broker, "a", draft("1")).await.unwrap_err();
    assert!(matches!(&refused, BrokerError::Unavailable(what) if what.contains("password")), "{refused}");
    let broker = open(&url("right"));
    until_ready(&broker).await;
    append(&broker, "a", draft("1")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_jetstream_is_told() {
    let Some(server) = Server::with("") else { return };
    let broker = server.broker();
    let said = until_refused(&broker, "JetStream is off").await;
    assert!(said.contains("-js"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_server_is_refused_by_name() {
    // What Debian 12 has, as far as a client sees it before it asks for anything.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let info = r#"{"server_id":"x","version":"2.9.10","proto":1,"headers":true,"max_payload":1048576,"jetstream":true}"#;
        write!(socket, "INFO {info}\r\n").unwrap();
        let lines = BufReader::new(socket.try_clone().unwrap()).lines().take(100);
        for line in lines.map_while(Result::ok) {
            if line.starts_with("PING") && socket.write_all(b"PONG\r\n").is_err() {
                break;
            }
        }
    });
    let broker = open(&format!("nats://127.0.0.1:{port}"));
    let said = until_refused(&broker, "2.9.10 is too old").await;
    assert!(said.contains("2.12 or newer"), "{said}");
    let refused = append(&broker, "a", draft("1")).await.unwrap_err();
    assert!(matches!(&refused, BrokerError::Unavailable(what) if what.contains("2.9.10")), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_refuses_and_takes_messages_again_when_there_is_room() {
    let Some(server) = Server::with("jetstream { store_dir: STORE, max_file_store: 8M }") else { return };
    let broker = server.ready().await;
    let mut acknowledged = Vec::new();
    for _ in 0..4 {
        append(&broker, "filler", draft(&"x".repeat(400_000))).await.unwrap();
    }
    let refused = loop {
        let text = format!("{:04} {}", acknowledged.len(), "x".repeat(25_000));
        match append(&broker, "a", draft(&text)).await {
            Ok(_) => acknowledged.push(text),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 1_000, "8 MiB are never full");
    };
    assert!(matches!(&refused, BrokerError::Unavailable(what) if what.contains("no room")), "{refused}");
    assert!(broker.ready().await.is_err());
    assert_eq!(all(&broker, "a").await, acknowledged, "reads are served");
    let client = server.client().await;
    let purge = r#"{"filter":"tidings.log.default.c.filler"}"#;
    client.request("$JS.API.STREAM.PURGE.tidings_default", purge.into()).await.unwrap();
    for _ in 0..50 {
        if append(&broker, "a", draft("after")).await.is_ok() {
            acknowledged.push("after".into());
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(acknowledged.last().map(String::as_str), Some("after"), "there is room again");
    broker.ready().await.unwrap();
    assert_eq!(all(&broker, "a").await, acknowledged);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_too_large_is_told() {
    let Some(server) = Server::with("jetstream { store_dir: STORE }\nmax_payload: 10000") else { return };
    let broker = server.ready().await;
    let refused = append(&broker, "a", draft(&"x".repeat(9_000))).await.unwrap_err();
    assert!(matches!(&refused, BrokerError::Unavailable(what) if what.contains("max_payload")), "{refused}");
    append(&broker, "a", draft("small")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_are_not_there_are_told() {
    let options =
        Options { credentials: Some("/nowhere/x.creds".into()), ..Options::new("nats://127.0.0.1:1") };
    let refused = Nats::open(Clock::system(), &options).unwrap_err();
    assert!(
        matches!(&refused, BrokerError::Unavailable(what) if what.contains("/nowhere/x.creds")),
        "{refused}"
    );
}
