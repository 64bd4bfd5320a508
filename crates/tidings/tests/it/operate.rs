//! What an operator asks of a cluster and does to it, over HTTP and by commands, on one node and on two.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidings::client::Transport;
use tidings_core::Clock;
use tidings_core::broker::{Broker, Memory, MemoryLimits};

use crate::node::{KEY, Plan, TestNode, token};
use crate::process::Process;
use crate::raw::soon;

const CHANNEL: &str = "/v1/channels/orders:1";

/// Two nodes on one broker that have heard of each other.
async fn two() -> (TestNode, TestNode) {
    let limits = MemoryLimits { bytes: 1 << 26, idempotency_keys: 1_000 };
    let broker: Arc<dyn Broker> = Arc::new(Memory::start(Clock::system(), limits, 7));
    let plan = |name: &str| plan(name).over(&broker);
    let (one, two) = (plan("one").run().await, plan("two").run().await);
    let heard = async {
        while nodes(&one).await.len() < 2 || nodes(&two).await.len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon("the nodes to hear of each other", heard).await;
    (one, two)
}

fn plan(name: &str) -> Plan {
    let plan = TestNode::new().set(&format!("node = \"{name}\""));
    plan.namespace("orders", |n| n.set("subscribe = \"user\"\npresence = true"))
}

async fn ask(node: &TestNode, target: &str) -> Value {
    node.get(target).bearer(KEY).await.ok().json()
}

async fn nodes(node: &TestNode) -> Vec<Value> {
    ask(node, "/v1/nodes").await["nodes"].as_array().unwrap().clone()
}

fn alice() -> String {
    token("alice", &["orders:*"], &[])
}

#[tokio::test]
async fn only_those_who_administer_may() {
    let node = TestNode::new().keys("{ sha256 = \"0bff5d6ad90ba2d9a7ac2ea6b7b1eb8db5a7b1ab41da7d3b4d4d4a7c51d6f6a0\", rights = [\"administer\"] }, \"sk_of_a_backend\"");
    let node = node.namespace("orders", |n| n).run().await;
    let gets = ["/v1/nodes", "/v1/channels", "/v1/clients", "/v1/channels/orders:1/readers"];
    for target in gets {
        node.get(target).await.problem(401, "no-credentials");
        node.get(target).bearer(&alice()).await.problem(403, "forbidden");
        node.call("PATCH", target).bearer(KEY).await.problem(405, "method-not-allowed");
        node.get(target).bearer(KEY).await.ok();
    }
    for target in ["/v1/clients/disconnect", "/v1/nodes/x/drain"] {
        node.call("POST", target).await.problem(401, "no-credentials");
        node.call("POST", target).bearer(&alice()).body("{").await.problem(403, "forbidden");
        node.get(target).bearer(KEY).await.problem(405, "method-not-allowed");
    }
    let log = "/v1/channels/@tidings:nodes";
    node.get(log).await.problem(401, "no-credentials");
    node.get(log).bearer(&token("alice", &["*"], &["*"])).await.problem(403, "forbidden");
    node.post(log).body("1").await.problem(403, "forbidden");
    node.call("DELETE", log).bearer(KEY).await.problem(403, "forbidden");
    node.get("/v1/channels/@tidings:x").bearer(KEY).await.problem(404, "unknown-namespace");
    for (target, code) in [
        ("/v1/channels?limit=0", "bad-query"),
        ("/v1/clients?limit=x", "bad-query"),
        ("/v1/clients?user=a&user=b", "bad-query"),
        ("/v1/channels/orders:1/readers?cursor=x", "bad-cursor"),
        ("/v1/channels/a%20b/readers", "bad-channel"),
    ] {
        node.get(target).bearer(KEY).await.problem(400, code);
    }
    node.post("/v1/clients/disconnect").body("{}").await.problem(400, "bad-order");
}

#[tokio::test]
async fn a_node_describes_itself_on_every_transport() {
    let node = plan("web-1").run().await;
    node.publish("orders:1", 1).await;
    node.get("/v1/channels/nowhere:1").await.problem(404, "unknown-namespace");
    let said = ask(&node, "/v1/nodes").await["nodes"][0].clone();
    assert_eq!(
        (&said["node"], &said["state"], &said["broker"]["kind"]),
        (&json!("web-1"), &json!("serving"), &json!("memory"))
    );
    assert_eq!((&said["messages"]["in"], &said["errors"]), (&json!(1), &json!({ "unknown-namespace": 1 })));
    assert!(said["memory"].as_u64().is_none_or(|bytes| bytes > 1 << 20), "{said}");
    for transport in [Transport::Ws, Transport::Sse, Transport::LongPoll, Transport::Poll] {
        let start = tidings::client::Start::Earliest;
        let mut reading = node.reader(transport, &["@tidings:nodes"], start, Some(1));
        let data: Value = serde_json::from_str(&reading.data(1).await[0]).unwrap();
        assert_eq!(
            (&data["node"], &data["incarnation"]),
            (&json!("web-1"), &said["incarnation"]),
            "{transport:?}"
        );
    }
}

#[tokio::test]
async fn readers_and_clients_of_two_nodes_are_seen_from_each() {
    let (one, two) = two().await;
    let mut stream = one.sse_as(CHANNEL, Some(&alice())).await;
    stream.block().await;
    let mut socket = two.socket_as(CHANNEL, Some(&alice())).await;
    socket.frame_with("subscribed").await;
    let mut session = two.socket_as("/v1/connect", Some(KEY)).await;
    session.send(json!({ "id": 1, "subscribe": { "channel": "orders:1" } })).await;
    session.frame_with("subscribed").await;
    let cursor = one.publish("orders:1", "x").await;
    socket.frame_with("data").await;
    session.frame_with("data").await;
    stream.block().await;
    for node in [&one, &two] {
        let roll = ask(node, &format!("{CHANNEL}/readers?cursor={cursor}")).await;
        assert_eq!(
            (&roll["count"], &roll["stuck"], &roll["passed"]),
            (&json!(3), &json!(0), &json!(3)),
            "{roll}"
        );
        assert_eq!(roll["cursor"], json!(cursor));
        assert_eq!(roll["nodes"], json!({ "answered": ["one", "two"], "silent": [] }));
        let mut seen: Vec<_> = roll["readers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|reader| {
                assert_eq!((&reader["behind"], &reader["address"]), (&json!(0), &json!("127.0.0.1")));
                format!("{} {} {}", reader["node"], reader["transport"], reader["user"])
            })
            .collect();
        seen.sort();
        assert_eq!(
            seen,
            ["\"one\" \"sse\" \"alice\"", "\"two\" \"session\" null", "\"two\" \"websocket\" \"alice\""]
        );
        let clients = ask(node, "/v1/clients?user=alice").await;
        assert_eq!((clients["clients"].as_array().unwrap().len(), &clients["count"]), (2, &json!(2)));
        let channels = ask(node, "/v1/channels?prefix=orders").await;
        assert_eq!(
            channels["channels"],
            json!([{ "channel": "orders:1", "readers": 3, "nodes": ["one", "two"] }])
        );
    }
    let before = json!(one.get(&format!("{CHANNEL}?limit=1")).bearer(KEY).await.ok().text("cursor"));
    assert_eq!(before, json!(cursor));
}

#[tokio::test]
async fn clients_of_another_node_are_sent_back_or_away() {
    let (one, two) = two().await;
    let mut stream = two.sse_as(CHANNEL, Some(&alice())).await;
    stream.block().await;
    let mut socket = two.socket_as(CHANNEL, Some(&alice())).await;
    socket.frame_with("subscribed").await;
    let mut bob = two.socket_as("/v1/connect", Some(&token("bob", &["*"], &[]))).await;
    bob.send(json!({ "id": 1, "subscribe": { "channel": "orders:1" } })).await;
    bob.frame_with("subscribed").await;
    let mut held = two.raw().await;
    let head = format!(
        "GET {CHANNEL}?after=latest&wait=60 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}",
        alice()
    );
    held.send(format!("{head}\r\n\r\n")).await;
    two.reading(4).await;
    let disconnect = |body: Value| one.post("/v1/clients/disconnect").json(&body);
    let answer = disconnect(json!({ "user": "alice", "reason": "a test" })).await.ok().json();
    assert_eq!((&answer["user"], &answer["ended"]), (&json!("alice"), &json!(3)));
    let (code, reason) = socket.closed().await;
    assert_eq!((code, &reason["code"]), (4000, &json!("disconnected")));
    assert!(reason["retry_ms"].as_u64().is_some_and(|ms| ms >= 1_000), "{reason}");
    let last = soon("the end", stream.rest()).await;
    assert!(last.contains("retry: ") && last.contains("id: "), "{last}");
    held.reply("GET").await.ok();
    let clients = ask(&one, "/v1/clients?user=bob").await;
    let connection = &clients["clients"][0]["connection"];
    let answer = disconnect(json!({ "connection": connection, "away": true })).await.ok().json();
    assert_eq!(answer["ended"], 1);
    let (code, reason) = bob.closed().await;
    assert_eq!((code, reason), (4503, json!({ "code": "sent-away" })));
    assert_eq!(disconnect(json!({ "connection": connection })).await.ok().json()["ended"], 0);
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_stuck() {
    let node = plan("one").set("max_lag = \"1m\"").run().await;
    let _stream = node.sse_as(CHANNEL, Some(&alice())).await;
    let mut reads = node.socket_as(CHANNEL, Some(&alice())).await;
    reads.frame_with("subscribed").await;
    let stuck = async {
        loop {
            node.publish("orders:1", "x".repeat(500_000)).await;
            reads.frame_with("data").await;
            let roll = ask(&node, &format!("{CHANNEL}/readers")).await;
            if roll["stuck"] == 1 && roll["readers"].as_array().unwrap().len() == 1 {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), stuck).await.unwrap();
    let noted = async {
        while nodes(&node).await[0]["behind"]["readers"] != 1 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon("that it is noted", noted).await;
    let clients = ask(&node, "/v1/clients").await;
    let stuck: Vec<_> =
        clients["clients"].as_array().unwrap().iter().map(|one| one["stuck"].clone()).collect();
    assert_eq!(stuck, [json!(true), json!(false)]);
    let answer = node.post("/v1/clients/disconnect").json(&json!({ "user": "alice" })).await.ok().json();
    assert_eq!(answer["ended"], 2);
    node.until_subscriptions(0).await;
}

/// Runs a command against a node; gives what it printed, and whether it succeeded.
async fn tidings(url: String, args: &[&str]) -> (String, bool) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    command.args(args).env_clear().env("TIDINGS_URL", url).env("TIDINGS_TOKEN", KEY);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.success())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_has_a_command() {
    let node = plan("web-1").run().await;
    let run = |args: &'static [&'static str]| tidings(node.url(), args);
    let mut socket = node.socket_as(CHANNEL, Some(&alice())).await;
    socket.frame_with("subscribed").await;
    let cursor = node.publish("orders:1", 1).await;
    socket.frame_with("data").await;
    for (args, parts) in [
        (&["nodes"][..], &["web-1", "serving", "memory"][..]),
        (&["nodes", "--json"], &["{\"node\":\"web-1\",\"incarnation\":"]),
        (&["channels", "ord"], &["orders:1"]),
        (&["channel", "orders:1"], &["readers   1, 0 stuck", "at-least-once", "alice", "websocket", &cursor]),
        (&["clients"], &["alice", "127.0.0.1", "1 of 1"]),
        (&["healthcheck"], &[]),
        (&["healthcheck", "--live"], &[]),
        (&["disconnect", "--user", "alice"], &["1 ended"]),
        (&["revoke", "--user", "alice", "--for", "1h"], &["revoked until 20"]),
    ] {
        let (printed, success) = tidings(node.url(), args).await;
        assert!(success && parts.iter().all(|part| printed.contains(part)), "{args:?}: {printed}");
    }
    let (printed, success) = run(&["drain", "web-2"]).await;
    assert!(!success && printed.contains("unknown-node") && printed.contains("tidings nodes"), "{printed}");
    let (printed, success) = tidings("http://127.0.0.1:1".into(), &["healthcheck"]).await;
    assert!(!success && printed.contains("cannot reach"), "{printed}");
}

#[tokio::test]
async fn a_drained_node_stops_in_good_order() {
    let mut process = Process::start(plan("web-1")).await;
    process.post("/v1/nodes/web-2/drain").await.problem(404, "unknown-node");
    let reply = process.post("/v1/nodes/web-1/drain").await;
    assert_eq!((reply.status, reply.json()), (202, json!({ "node": "web-1", "state": "draining" })));
    assert!(process.ended().await.success());
    let log = process.log();
    assert!(log.contains("drained by sha256:") && !log.contains(KEY), "{log}");
}

#[tokio::test]
async fn a_node_that_is_told_to_stop_serves_on_until_load_balancers_know() {
    let node = plan("web-1").set("drain_delay = \"2s\"").run().await;
    let mut socket = node.socket_as(CHANNEL, Some(&alice())).await;
    socket.frame_with("subscribed").await;
    let address = node.address;
    let call = |target: &str| TestNode::call_at(address, "GET", target).bearer(KEY);
    assert!(call("/metrics").await.ok().body.contains("\ntidings_draining 0\n"));
    let stopped = tokio::spawn(node.node.stop());
    let told = async {
        while call("/readyz").await.status != 503 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon("that it is not ready", told).await;
    call("/readyz").await.problem(503, "draining");
    let measures = call("/metrics").await.ok().body;
    for measure in ["tidings_draining 1", "tidings_broker_ready 1", "tidings_connections_max "] {
        assert!(measures.contains(&format!("\n{measure}")), "{measures}");
    }
    assert_eq!(call("/v1/nodes").await.ok().json()["nodes"][0]["state"], "draining");
    let published = TestNode::call_at(address, "POST", CHANNEL).bearer(KEY).body("1").await;
    published.ok();
    socket.frame_with("data").await;
    assert_eq!(socket.closed().await.0, 4000);
    drop(socket);
    soon("the node's end", stopped).await.unwrap();
}

#[tokio::test]
async fn systemd_is_told_when_it_is_ready_and_when_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = tokio::net::UnixDatagram::bind(&path).unwrap();
    let mut process = Process::start_with(plan("web-1"), [("NOTIFY_SOCKET", path.as_path())]).await;
    let mut buffer = [0; 256];
    let read = soon("READY", socket.recv(&mut buffer)).await.unwrap();
    assert_eq!(&buffer[..read], b"READY=1\n");
    process.terminate();
    let read = soon("STOPPING", socket.recv(&mut buffer)).await.unwrap();
    assert_eq!(&buffer[..read], b"STOPPING=1\n");
    assert!(process.ended().await.success());
}

#[tokio::test]
async fn errors_in_frames_and_closes_are_counted() {
    let node = plan("web-1").run().await;
    let mut session = node.socket_as("/v1/connect", Some(&alice())).await;
    session.send(json!({ "id": 1, "publish": { "channel": "orders:1", "data": 1 } })).await;
    session.frame_with("error").await;
    let mut socket = node.socket_as(CHANNEL, Some(&alice())).await;
    socket.send(json!({ "data": 1 })).await;
    socket.frame_with("error").await;
    node.post("/v1/clients/disconnect").json(&json!({ "user": "alice" })).await.ok();
    socket.closed().await;
    session.closed().await;
    let errors = nodes(&node).await[0]["errors"].clone();
    assert_eq!(errors, json!({ "disconnected": 2, "forbidden": 2 }));
}

/// A derived reader takes fields from an array, and an array names nobody.
#[tokio::test]
async fn an_order_is_an_object() {
    let node = plan("web-1").run().await;
    for (path, code) in [("/v1/clients/disconnect", "bad-order"), ("/v1/revocations", "bad-revocation")] {
        node.post(path).json(&json!(["alice", null, null])).await.problem(400, code);
        node.post(path).json(&json!([null, "alice", true, "x"])).await.problem(400, code);
    }
}

/// Who reads has had enough: `| head -1` is no failure, and ends a watch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_ends_where_nobody_reads_it() {
    let node = plan("web-1").run().await;
    let watch = "\"$0\" nodes --watch --json | head -1 >/dev/null; exit ${PIPESTATUS[0]}";
    let mut command = Command::new("bash");
    command.args(["-c", watch, env!("CARGO_BIN_EXE_tidings")]);
    command.env("TIDINGS_URL", node.url()).env("TIDINGS_TOKEN", KEY);
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
    let ended = soon("the end of a watch", ended).await.unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}
