//! A node on disk that is killed under load, again and again: what was acknowledged is there, once, in order.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::node::{KEY, Plan, TestNode};
use crate::process::Process;

/// Publishers, each with messages of its own numbers; two share a channel.
pub const PUBLISHERS: usize = 16;
/// No round is longer.
const ROUND_MAX: Duration = Duration::from_secs(20);
/// Requests that the kernel's record holds.
const TRACED: usize = 30;
/// A page.
const PAGE: usize = 1_000;

/// One publisher, over all lives of the node.
#[derive(Default)]
pub struct Publisher {
    /// The cursors of what was acknowledged, in order.
    pub cursors: Vec<String>,
}

pub fn plan(folder: &Path) -> Plan {
    let broker = format!(
        "broker.kind = \"disk\"\nbroker.path = {:?}\nlimits.publish_rate = 1000000",
        folder.join("data")
    );
    TestNode::new()
        .set(&broker)
        .set("limits.publish_burst = 1000000")
        .namespace("default", |n| n.set("retain = { messages = 10000000, age = \"24h\" }\ndedupe = \"1h\""))
}

pub fn channel(publisher: usize) -> String {
    format!("log-{}", publisher / 2)
}

/// Publishes one after the other until the node is gone. What has no answer is sent again in its next life.
pub async fn publish(
    base: String,
    number: usize,
    mut publisher: Publisher,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
) -> Publisher {
    let client = reqwest::Client::new();
    while !stop.load(Ordering::Relaxed) {
        let n = publisher.cursors.len();
        let sent = client
            .post(format!("{base}/v1/channels/{}", channel(number)))
            .bearer_auth(KEY)
            .header("content-type", "application/json")
            .header("idempotency-key", format!("{number}-{n}"))
            .body(json!({ "publisher": number, "n": n }).to_string())
            .timeout(Duration::from_secs(5))
            .send();
        let Ok(answer) = sent.await else { break };
        let Ok(text) = answer.text().await else { break };
        let Ok(answer) = serde_json::from_str::<Value>(&text) else { break };
        let Some(cursor) = answer["cursor"].as_str() else { break };
        publisher.cursors.push(cursor.to_owned());
        count.fetch_add(1, Ordering::Relaxed);
    }
    publisher
}

/// Everything of a channel, and that each place in it is valid.
pub async fn read(node: &Process, channel: &str) -> Vec<Value> {
    let mut after = "earliest".to_owned();
    let mut all = Vec::new();
    loop {
        let target = format!("/v1/channels/{channel}?after={after}&limit={PAGE}");
        let page = node.call("GET", &target).await.ok().json();
        assert_eq!(page["gap"], Value::Null, "{channel} after {after}");
        let messages = page["messages"].as_array().unwrap();
        all.extend(messages.iter().cloned());
        after = page["cursor"].as_str().unwrap().to_owned();
        if messages.len() < PAGE {
            return all;
        }
    }
}

pub async fn verify(node: &Process, publishers: &[Publisher]) {
    for shared in 0..PUBLISHERS / 2 {
        let mut next: HashMap<usize, usize> = HashMap::new();
        for message in read(node, &format!("log-{shared}")).await {
            let number = |key: &str| usize::try_from(message["data"][key].as_u64().unwrap()).unwrap();
            let (publisher, n) = (number("publisher"), number("n"));
            let expected = next.entry(publisher).or_default();
            assert_eq!(n, *expected, "publisher {publisher}: lost, twice or out of order");
            if let Some(cursor) = publishers[publisher].cursors.get(n) {
                assert_eq!(message["cursor"], **cursor, "publisher {publisher}, message {n}: another place");
            }
            *expected += 1;
        }
        for publisher in [2 * shared, 2 * shared + 1] {
            let stored = next.get(&publisher).copied().unwrap_or(0);
            let acknowledged = publishers[publisher].cursors.len();
            assert!(stored >= acknowledged, "publisher {publisher}: {stored} of {acknowledged} are there");
            // Beyond those there is at most the one that had no answer.
            assert!(
                stored <= acknowledged + 1,
                "publisher {publisher}: {stored}, and {acknowledged} acknowledged"
            );
        }
    }
    // Cursors from before the kill go on.
    for (number, publisher) in publishers.iter().enumerate() {
        for cursor in publisher.cursors.iter().rev().step_by(publisher.cursors.len() / 3 + 1) {
            let target = format!("/v1/channels/{}?after={cursor}&limit=1", channel(number));
            assert_eq!(node.call("GET", &target).await.ok().json()["gap"], Value::Null, "{cursor}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_under_load_loses_nothing() {
    let number = |name: &str, usual| Env::number(name).unwrap_or(usual);
    let (kills, acknowledged_min) = (number("TIDINGS_KILLS", 10), number("TIDINGS_ACKNOWLEDGED", 500));
    // Another test may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let mut publishers: Vec<_> = (0..PUBLISHERS).map(|_| Publisher::default()).collect();
    for kill in 0..kills {
        let mut node = Process::start(plan(folder.path())).await;
        verify(&node, &publishers).await;
        let before: usize = publishers.iter().map(|publisher| publisher.cursors.len()).sum();
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let base = format!("http://{}", node.address);
        let tasks: Vec<_> = publishers
            .drain(..)
            .enumerate()
            .map(|(number, publisher)| {
                tokio::spawn(publish(base.clone(), number, publisher, stop.clone(), count.clone()))
            })
            .collect();
        // Its share of all, and then at another time in the flow each round.
        let share = acknowledged_min.div_ceil(kills);
        let deadline = tokio::time::Instant::now() + ROUND_MAX;
        while count.load(Ordering::Relaxed) < share && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis((kill as u64 * 37) % 200)).await;
        node.kill();
        stop.store(true, Ordering::Relaxed);
        for task in tasks {
            publishers.push(task.await.unwrap());
        }
        let after: usize = publishers.iter().map(|publisher| publisher.cursors.len()).sum();
        println!("kill {kill}: {} acknowledged", after - before);
    }
    let node = Process::start(plan(folder.path())).await;
    verify(&node, &publishers).await;
    let acknowledged: usize = publishers.iter().map(|publisher| publisher.cursors.len()).sum();
    println!("{kills} kills, {acknowledged} acknowledged: none lost, none twice, order kept, cursors valid");
    assert!(acknowledged >= acknowledged_min, "only {acknowledged} were acknowledged");
}

/// The variables of the long proof.
pub struct Env;

impl Env {
    #[allow(clippy::disallowed_methods, reason = "a test that a proof makes longer")]
    pub fn number(name: &str) -> Option<usize> {
        std::env::var(name).ok()?.parse().ok()
    }
}

/// How many fsyncs of the store were over at each answer, by the kernel's own record of the calls.
async fn record(plan: Plan, trace: &Path) -> Option<Vec<usize>> {
    let mut node = Process::start(plan).await;
    let strace = Command::new("strace")
        .args(["-f", "-q", "-s", "40", "-y", "-e", "trace=fdatasync,fsync,write,writev,sendto,sendmsg"])
        .args(["-p", &node.pid().to_string(), "-o"])
        .arg(trace)
        .stderr(std::process::Stdio::null())
        .spawn();
    let Ok(mut strace) = strace else {
        let _ = writeln!(std::io::stderr(), "SKIP: the record of system calls needs strace");
        return None;
    };
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    for n in 0..TRACED {
        node.post("/v1/channels/traced").text(&format!("{n}")).await.ok();
    }
    node.kill();
    let _ = strace.wait();
    let text = std::fs::read_to_string(trace).unwrap_or_default();
    let (mut synced, mut at_answers) = (0, Vec::new());
    for line in text.lines() {
        // A call that another thread interrupts stands in two lines; what counts is when it is over.
        let is_sync = (line.contains("sync(") && line.contains("-wal")) || line.contains("sync resumed>");
        if is_sync && line.trim_end().ends_with("= 0") {
            synced += 1;
        } else if line.contains("HTTP/1.1 200 OK") {
            at_answers.push(synced);
        }
    }
    if at_answers.is_empty() {
        let _ = writeln!(std::io::stderr(), "note: not shown here: strace may not look at the node");
        return None;
    }
    assert!(at_answers.len() >= TRACED, "{} answers are in the record", at_answers.len());
    Some(at_answers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_200_goes_out_before_its_fsync() {
    let folder = tempfile::tempdir().unwrap();
    let Some(synced) = record(plan(folder.path()), &folder.path().join("trace")).await else { return };
    for (answer, synced) in synced.into_iter().enumerate() {
        assert!(synced > answer, "answer {} after {synced} fsyncs", answer + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_shows_where_a_200_waits_for_no_fsync() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(folder.path()).set("broker.fsync_every = \"10s\"");
    let Some(synced) = record(plan, &folder.path().join("trace")).await else { return };
    assert!(*synced.last().unwrap() < TRACED / 2, "a check that cannot fail proves nothing");
}
