//! A server that is absent, slow, full, protected, or not what it was: a clear error, and no silent loss.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tidings_brokers::redis::Redis;
use tidings_core::broker::{Broker, BrokerError};
use tidings_core::log::{Start, Why};
use tokio::time::Instant;

use super::log::{all, append, channel, find, follow, next, open, options, ready};
use super::server::{Server, free_port, is_there, until};

/// Why a broker is not ready, as soon as it says something that holds this.
async fn refusal(redis: &Redis, what: &str) -> String {
    let said = async || redis.ready().await.err().map_or(String::new(), |error| error.to_string());
    until(what, async || said().await.contains(what)).await;
    said().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_that_kept_everything_is_no_new_epoch() {
    if !is_there() {
        return;
    }
    let mut server = Server::durable();
    let redis = open(&options(&[&server])).await;
    let mut acknowledged = Vec::new();
    let mut places = Vec::new();
    for round in 0..3 {
        let mut tail = follow(&redis, "a").await;
        for n in 0..20 {
            let text = format!("{round}.{n}");
            places.push(append(&redis, "a", &text).await.unwrap());
            acknowledged.push(text);
        }
        server.kill();
        while next(&mut tail).await.is_some() {}
        let error = append(&redis, "a", "nobody has this").await.unwrap_err();
        // Unknown, where it was sent before the end of the connection was noticed.
        assert!(matches!(error, BrokerError::Unavailable(_) | BrokerError::Lost(_)), "{error:?}");
        server.again();
        ready(&redis).await;
        assert_eq!(all(&redis, "a").await, acknowledged, "after kill {round}");
        assert_eq!(find(&redis, "a", Start::After(places[0])).await.gap, None);
        // A node that was not there before finds the same.
        let other = open(&options(&[&server])).await;
        assert_eq!(find(&other, "a", Start::After(places[0])).await.gap, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_stopped_in_order_is_no_new_epoch() {
    if !is_there() {
        return;
    }
    for kept in [["--save", "", "--appendonly", "yes"], ["--save", "3600 1", "--appendonly", "no"]] {
        let mut server = Server::start(&kept);
        let redis = open(&options(&[&server])).await;
        let first = append(&redis, "a", "1").await.unwrap();
        server.stop();
        refusal(&redis, "refused").await;
        server.again();
        ready(&redis).await;
        append(&redis, "a", "2").await.unwrap();
        assert_eq!(find(&redis, "a", Start::After(first)).await.gap, None, "{kept:?}");
        assert_eq!(all(&redis, "a").await, ["1", "2"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_forgot_is_a_new_epoch() {
    if !is_there() {
        return;
    }
    let mut server = Server::volatile();
    let redis = open(&options(&[&server])).await;
    let first = append(&redis, "a", "1").await.unwrap();
    let empty = find(&redis, "b", Start::Latest).await.at;
    for how in 0..2 {
        if how == 0 {
            server.kill();
            server.again();
        } else {
            server.tell(&["FLUSHALL"]);
        }
        until("it is used again", async || {
            redis.ready().await.is_ok() && append(&redis, "c", "x").await.is_ok()
        })
        .await;
        append(&redis, "a", "2").await.unwrap();
        append(&redis, "a", "3").await.unwrap();
        let gap = find(&redis, "a", Start::After(first)).await.gap.expect("what came after 1 is gone");
        assert_eq!((gap.why, gap.missed), (Why::Epoch, None));
        assert_eq!(all(&redis, "a").await, ["2", "3"]);
        assert!(find(&redis, "b", Start::After(empty)).await.gap.is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_came_back_with_less_is_a_new_epoch() {
    if !is_there() {
        return;
    }
    let mut server = Server::durable();
    let redis = open(&options(&[&server])).await;
    let first = append(&redis, "a", "1").await.unwrap();
    server.stop();
    let (live, copied) = (server.folder.path().join("appendonlydir"), server.folder.path().join("copy"));
    copy(&live, &copied);
    server.again();
    ready(&redis).await;
    append(&redis, "a", "2").await.unwrap();
    server.kill();
    copy(&copied, &live);
    server.again();
    // Another node comes first, and cannot know; this one was there, and tells everybody.
    let other = open(&options(&[&server])).await;
    append(&other, "a", "another 2").await.unwrap();
    append(&other, "a", "another 3").await.unwrap();
    ready(&redis).await;
    until("a new epoch", async || find(&other, "a", Start::After(first)).await.gap.is_some()).await;
    let gap = find(&redis, "a", Start::After(first)).await.gap;
    assert_eq!(gap.map(|gap| gap.why), Some(Why::Epoch), "a cursor must not go on in another history");
    assert_eq!(all(&redis, "a").await, ["1", "another 2", "another 3"]);
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_is_waited_for() {
    if !is_there() {
        return;
    }
    let server = Server::volatile();
    let redis = open(&options(&[&server])).await;
    let mut tail = follow(&redis, "a").await;
    server.signal("-STOP");
    let began = Instant::now();
    let goes_on = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        let error = redis.ready().await.expect_err("nothing has come for 4 s");
        assert!(error.to_string().contains("has not answered for"), "{error}");
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.signal("-CONT");
    };
    let (appended, ()) = tokio::join!(append(&redis, "a", "1"), goes_on);
    appended.expect("it was only late");
    assert!(began.elapsed() >= Duration::from_secs(5));
    assert_eq!(next(&mut tail).await.unwrap(), ["1"], "who follows has noticed nothing");
    ready(&redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_may_come_later() {
    if !is_there() {
        return;
    }
    let mut server = Server::volatile();
    server.kill();
    let redis = Redis::start(&options(&[&server])).unwrap();
    let why = refusal(&redis, "refused").await;
    assert!(why.contains("cannot be reached"), "{why}");
    let error = append(&redis, "a", "1").await.unwrap_err();
    assert!(matches!(error, BrokerError::Unavailable(_)), "nothing happened: {error:?}");
    server.again();
    ready(&redis).await;
    append(&redis, "a", "1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_and_never_shown() {
    if !is_there() {
        return;
    }
    let server = Server::start(&["--save", "", "--requirepass", "right-one"]);
    let mut options = options(&[&server]);
    let none = Redis::start(&options).unwrap();
    assert!(refusal(&none, "NOAUTH").await.contains("set broker.password"));
    options.password = Some("hunter2".into());
    let why = refusal(&Redis::start(&options).unwrap(), "WRONGPASS").await;
    assert!(!why.contains("hunter2") && !format!("{options:?}").contains("hunter2"), "{why}");
    options.urls = vec![format!("redis://:hunter2@127.0.0.1:{}", server.port)];
    options.password = Some("right-one".into());
    let redis = open(&options).await;
    append(&redis, "a", "1").await.unwrap();
    options.urls = vec!["redis:/hunter2@".into()];
    let error = Redis::start(&options).unwrap_err().to_string();
    assert!(error.contains("broker.url") && !error.contains("hunter2"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_refuses_and_is_read() {
    if !is_there() {
        return;
    }
    let server = Server::start(&["--save", "", "--maxmemory", "4mb", "--maxmemory-policy", "noeviction"]);
    let redis = open(&options(&[&server])).await;
    let mut acknowledged = Vec::new();
    let refused = loop {
        let text = format!("{:04} {}", acknowledged.len(), "x".repeat(10_000));
        match append(&redis, "a", &text).await {
            Ok(_) => acknowledged.push(text),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 2_000, "a server of 4 MB is never full");
    };
    assert!(matches!(&refused, BrokerError::Unavailable(what) if what.contains("maxmemory")), "{refused}");
    assert_eq!(all(&redis, "a").await, acknowledged, "reads are served");
    follow(&redis, "a").await;
    assert!(redis.delete(&channel("a"), &super::log::RULES).await.unwrap());
    // The server counts what its connections hold as well, which goes a little later.
    until("there is room again", async || append(&redis, "a", "after").await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_may_evict_is_refused() {
    if !is_there() {
        return;
    }
    let server = Server::start(&["--save", "", "--maxmemory", "50mb", "--maxmemory-policy", "volatile-lru"]);
    let redis = Redis::start(&options(&[&server])).unwrap();
    refusal(&redis, "maxmemory-policy volatile-lru").await;
    server.tell(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    ready(&redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_refused() {
    if !is_there() {
        return;
    }
    let server = Server::start(&["--save", "", "--replicaof", &format!("127.0.0.1 {}", free_port())]);
    let redis = Redis::start(&options(&[&server])).unwrap();
    refusal(&redis, "read-only replica").await;
    server.tell(&["REPLICAOF", "NO", "ONE"]);
    ready(&redis).await;
    append(&redis, "a", "1").await.unwrap();
    // It becomes one while it is used.
    server.tell(&["REPLICAOF", "127.0.0.1", &free_port().to_string()]);
    let error = append(&redis, "a", "2").await.unwrap_err();
    assert!(matches!(&error, BrokerError::Unavailable(what) if what.contains("replica")), "{error}");
    refusal(&redis, "read-only replica").await;
}
