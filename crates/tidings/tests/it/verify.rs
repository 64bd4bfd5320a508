//! `tidings verify` can fail, and does where it should: a check that cannot fail proves nothing.

use std::process::{Command, Output};

use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::node::{KEY, Namespace, TestNode};
use crate::tls::Secure;

/// Seconds of faults, of which the shortest storm has enough.
const DURATION: &str = "4s";

async fn verify(args: &[&str]) -> (Output, Value) {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let run = move || {
        let mut command = Command::new("timeout");
        command.args(["150", env!("CARGO_BIN_EXE_tidings"), "verify", "--json"]);
        if !args.iter().any(|arg| arg == "--duration") {
            command.args(["--duration", DURATION]);
        }
        command.args(args).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").output()
    };
    let output = spawn_blocking(run).await.unwrap().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output, report)
}

/// Runs a faulty path, which must be caught on each transport by this word.
async fn caught(mode: &str, faults: &str, broken: &str) {
    let (output, report) = verify(&["--seed", "7", "--break", mode, "--faults", faults]).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{report}");
    assert!(errors.contains(&format!("caught: with --break {mode}")) && errors.contains(broken), "{errors}");
    assert_eq!(report["pass"], false);
    for transport in ["ws", "sse", "long-poll", "poll", "session"] {
        let is_caught = |row: &&Value| {
            let said = row["broken"].as_array().unwrap();
            row["transport"] == transport && said.iter().any(|what| what.as_str().unwrap().contains(broken))
        };
        assert!(
            report["rows"].as_array().unwrap().iter().any(|row| is_caught(&row)),
            "{transport}: {report}"
        );
    }
}

#[tokio::test]
async fn a_dropped_message_is_caught() {
    caught("drop", "cut", "lost").await;
}

#[tokio::test]
async fn a_repeated_message_is_caught() {
    caught("repeat", "delay", "duplicated after cursors").await;
}

#[tokio::test]
async fn reordered_messages_are_caught() {
    caught("reorder", "cut", "out of order").await;
}

#[tokio::test]
async fn a_hidden_gap_is_caught() {
    caught("hide-gap", "kill", "gaps untold").await;
}

/// Over TLS, and on a node that was running.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_runs_is_proved_through_its_url() {
    let plan = TestNode::new().namespace("orders", |n| n).namespace("ticks", Namespace::at_most_once);
    let secure = Secure::run(plan).await;
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, secure.authority.pem()).unwrap();
    let url = format!("https://localhost:{}", secure.node.address.port());
    let names = ["--namespace", "orders", "--namespace", "ticks"];
    let own =
        ["--url", &url, "--ca", ca.to_str().unwrap(), "--token", KEY, "--faults", "cut,throttle,no-upgrade"];
    let (output, report) = verify(&[&own[..], &names].concat()).await;
    assert!(output.status.success(), "{}{report}", String::from_utf8_lossy(&output.stderr));
    assert_eq!((report["pass"].clone(), report["broker"].clone()), (true.into(), Value::Null));
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 10);
    assert!(rows.iter().all(|row| row["acknowledged"].as_u64() > Some(50)), "{report}");
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_advice() {
    for (args, advice) in [
        (&["--url", "http://127.0.0.1:9", "--faults", "kill"][..], "leave it out"),
        (&["--rate", "1000", "--duration", "1h"], "lower --rate"),
    ] {
        let (output, _) = verify(args).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains(advice), "{errors}");
    }
}
