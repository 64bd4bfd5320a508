//! SIGHUP, as an operator sends it, and what the log says.

use std::time::Duration;

use serde_json::Value;

use crate::node::{KEY, Plan, TestNode};
use crate::process::Process;
use crate::raw::soon;

fn plan() -> Plan {
    TestNode::new().namespace("orders", |n| n)
}

/// Has it read its configuration again, and gives the line of the log that says what became of it.
pub async fn reload(process: &Process) -> Value {
    let before = outcomes(process).len();
    process.hang_up();
    let outcome = async {
        loop {
            if let Some(outcome) = outcomes(process).into_iter().nth(before) {
                return outcome;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon("a line in the log", outcome).await
}

fn outcomes(process: &Process) -> Vec<Value> {
    let log = process.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_outcome = |line: &Value| {
        let message = line["message"].as_str().unwrap_or_default();
        message.contains("configuration was read again") || message.contains("configuration is refused")
    };
    lines.filter(is_outcome).collect()
}

#[tokio::test]
async fn a_hangup_puts_the_file_into_force() {
    let process = Process::start(plan()).await;
    let said = reload(&process).await;
    assert_eq!(
        (&said["level"], said["message"].as_str().unwrap().contains("nothing")),
        (&"INFO".into(), true)
    );
    process.configure(&plan().namespace("chat", |n| n).keys(&format!("\"{KEY}\", \"sk_a_second_secret\"")));
    let said = reload(&process).await;
    assert_eq!(said["level"], "INFO");
    assert_eq!(said["changes"], "auth.api_keys, namespaces.chat (added)");
    process.call("GET", "/v1/channels/chat:1").await.ok();
    process.call("POST", "/v1/channels/chat:1").bearer("sk_a_second_secret").text("x").await.ok();
    assert!(!process.log().contains("sk_"), "a key is no matter for a log");
}

#[tokio::test]
async fn what_is_wrong_changes_nothing_and_is_said() {
    let process = Process::start(plan()).await;
    let other = || plan().namespace("chat", |n| n);
    let cases = [
        (other().text() + "\n[", "TOML"),
        (other().text() + "\n[limit]\n", "unknown key `limit`"),
        (other().set("heartbeat = \"1h\"").text(), "`heartbeat`"),
        (other().set("tls.certificate = \"missing.pem\"\ntls.key = \"missing.pem\"").text(), "missing.pem"),
        (other().jwt("jwt.public_key_file = \"missing.pem\"").text(), "missing.pem"),
        (other().set("listen = \"127.0.0.1:1\"\nops_listen = \"127.0.0.1:2\"").text(), "listen, ops_listen"),
        (TestNode::new().text(), "no namespace is declared"),
    ];
    for (text, why) in cases {
        process.write(&text);
        let said = reload(&process).await;
        assert_eq!(said["level"], "ERROR", "{said}");
        let error = said["error"].as_str().unwrap();
        assert!(error.contains(why) || why == "TOML", "{error} does not say {why}");
        assert!(!error.contains('\n') && !said["try"].as_str().unwrap().is_empty(), "{said}");
        process.call("GET", "/v1/channels/chat:1").await.problem(404, "unknown-namespace");
        process.post("/v1/channels/orders:1").text("x").await.ok();
    }
    std::fs::remove_file(process.file()).unwrap();
    let said = reload(&process).await;
    assert!(said["error"].as_str().unwrap().contains("there is no such file"), "{said}");
    process.configure(&other());
    assert_eq!(reload(&process).await["changes"], "namespaces.chat (added)");
}

/// A change of the level alone: what is logged from then on, and what is not.
#[tokio::test]
async fn the_level_of_the_log_changes() {
    let at = |level: &str, more: &str| {
        plan().namespace(more, |n| n).set(&format!("log.level = \"{level}\"")).text()
    };
    let process = Process::start_as_configured(at("info", "first")).await;
    let revoked = || process.log().matches("\"message\":\"revoked\"").count();
    let revoke = async || {
        process.post("/v1/revocations").text("{\"user\":\"alice\"}").await.ok();
    };
    let in_force = async |name: &str| {
        let path = format!("/v1/channels/{name}:1");
        let found = async {
            while process.call("GET", &path).await.status != 200 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        soon("the next configuration", found).await;
    };
    revoke().await;
    assert_eq!(revoked(), 1);
    // Where only errors are logged, no line says what has changed. The next hangup is heard when this one is done.
    for name in ["second", "third"] {
        process.write(&at("error", name));
        process.hang_up();
        in_force(name).await;
    }
    let before = process.log();
    revoke().await;
    process.call("GET", "/v1/channels/none:1").await.problem(404, "unknown-namespace");
    assert_eq!(process.log(), before);
    process.write("[");
    assert_eq!(reload(&process).await["level"], "ERROR");
    process.write(&at("debug", "third"));
    assert_eq!(reload(&process).await["changes"], "log.level");
    revoke().await;
    assert_eq!(revoked(), 2);
    process.call("GET", "/v1/channels/none:1").await.problem(404, "unknown-namespace");
    let log = process.log();
    assert!(log.contains("\"level\":\"DEBUG\"") && log.contains("unknown-namespace"), "{log}");
}

#[tokio::test]
async fn ten_hangups_in_a_row_are_as_good_as_one() {
    let mut process = Process::start(plan()).await;
    for at in 0..10 {
        process.configure(&plan().namespace(&format!("chat{at}"), |n| n));
        process.hang_up();
    }
    let last = async {
        while process.call("GET", "/v1/channels/chat9:1").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon("the last configuration", last).await;
    process.call("GET", "/v1/channels/chat0:1").await.problem(404, "unknown-namespace");
    assert!(outcomes(&process).iter().all(|line| line["level"] == "INFO"), "{}", process.log());
    process.terminate();
    process.hang_up();
    assert!(process.ended().await.success(), "{}", process.log());
}
