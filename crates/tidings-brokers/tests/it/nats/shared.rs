//! Two brokers of one server, as two nodes have them.

use std::sync::Arc;
use std::time::Duration;

use tidings_core::broker::Broker;
use tidings_core::log::Start;
use tokio::time::Instant;

use crate::nodes;

use super::server::{RULES, Server, all, append, channel, draft, find, free_port};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_have_one_order_and_share_their_keys() {
    let Some(server) = Server::start() else { return };
    let nodes = [Arc::new(server.ready().await), Arc::new(server.ready().await)];
    nodes::have_one_order_and_share_their_keys(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_sends_what_is_followed_and_nothing_else() {
    let port = free_port();
    let watched = format!("jetstream {{ store_dir: STORE }}\nhttp: 127.0.0.1:{port}");
    let Some(server) = Server::with(&watched) else { return };
    let broker = server.ready().await;
    append(&broker, "a", draft("1")).await.unwrap();
    let tail = broker.follow(&channel("a"), &RULES).await.unwrap();
    let subscribed = || {
        use std::io::{Read, Write};
        let mut socket = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(socket, "GET /connz?subs=1 HTTP/1.0\r\n\r\n").unwrap();
        let mut said = String::new();
        socket.read_to_string(&mut said).unwrap();
        said.matches("tidings.live.").count()
    };
    assert_eq!(subscribed(), 1);
    drop(tail);
    // Reading and writing need no subscription.
    append(&broker, "a", draft("2")).await.unwrap();
    assert_eq!(all(&broker, "a").await, ["1", "2"]);
    let began = Instant::now();
    while subscribed() > 0 {
        assert!(began.elapsed() < Duration::from_secs(5), "its interest does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let info = server.client().await.request("$JS.API.STREAM.INFO.tidings_default", "".into()).await.unwrap();
    let info: serde_json::Value = serde_json::from_slice(&info.payload).unwrap();
    assert_eq!(info["state"]["consumer_count"], 0);
    assert_eq!(find(&broker, "a", Start::Earliest).await.gap, None);
}
