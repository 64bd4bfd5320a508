//! What an idle reader over TLS keeps resident in the node. Prints it, for docs/benchmarks.md.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Authority, Many, with_tls};
use crate::node::{KEY, Plan, TestNode};
use crate::process::Process;
use crate::socket::upgrade;

const ORDERS: &str = "/v1/channels/orders:1";
const READERS: usize = 1_000;
/// Streams on one connection of HTTP/2.
const SHARED: usize = 100;
const MESSAGES: usize = 20;

/// Sends a request, and throws away what comes.
fn reader(mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, request: String) {
    tokio::spawn(async move {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut chunk = [0; 1024];
        while let Ok(1..) = stream.read(&mut chunk).await {}
    });
}

fn event_stream() -> String {
    format!("GET {ORDERS} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
}

fn plan(folder: &Path) -> Plan {
    let plan = TestNode::new().namespace("orders", |n| n).set("ops_listen = \"127.0.0.1:39471\"");
    if folder.join("cert.pem").exists() { with_tls(plan, folder) } else { plan }
}

/// The number behind a name in the measures.
async fn measure(name: &str) -> u64 {
    let ops = "127.0.0.1:39471".parse().unwrap();
    let text = TestNode::call_at(ops, "GET", "/metrics").await.ok().body;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{text}"));
    line.trim().parse().unwrap()
}

async fn until_reading(count: u64) {
    while measure("tidings_subscriptions ").await != count {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Resident bytes that each reader adds.
async fn cost(tls: bool, connect: impl AsyncFn(&Authority, std::net::SocketAddr)) -> u64 {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    if tls {
        authority.issue(folder.path());
    }
    let process = Process::start(plan(folder.path())).await;
    let before = measure("tidings_resident_bytes ").await;
    connect(&authority, process.address).await;
    until_reading(READERS as u64).await;
    if tls {
        let many = Many::connect(&authority, process.address).await;
        for n in 0..MESSAGES {
            many.publish("orders:1", n).await;
        }
    } else {
        for n in 0..MESSAGES {
            process.call("POST", ORDERS).bearer(KEY).text(&n.to_string()).await.ok();
        }
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    (measure("tidings_resident_bytes ").await - before) / READERS as u64
}

#[tokio::test]
// No check: it prints what docs/benchmarks.md quotes, idles for half a minute, and takes a fixed port.
#[ignore = "a measurement: cargo test -p tidings --test it -- --ignored --nocapture memory"]
async fn an_idle_reader_over_tls() {
    for (name, request) in [("WebSocket", upgrade(ORDERS)), ("SSE", event_stream())] {
        let plain = cost(false, async |_, address| {
            for _ in 0..READERS {
                reader(TcpStream::connect(address).await.unwrap(), request.clone());
            }
        });
        println!("{name}: {} bytes", plain.await);
        let tls = cost(true, async |authority, address| {
            for _ in 0..READERS {
                reader(authority.connect(address, &["http/1.1"]).await, request.clone());
            }
        });
        println!("{name} over TLS: {} bytes", tls.await);
    }
    let shared = cost(true, async |authority, address| {
        for _ in 0..READERS / SHARED {
            let many = Many::connect(authority, address).await;
            for _ in 0..SHARED {
                let mut stream = many.sse(ORDERS).await;
                tokio::spawn(async move { while stream.block().await.is_some() {} });
            }
        }
    });
    println!("SSE over HTTP/2, {SHARED} a connection: {} bytes", shared.await);
}
