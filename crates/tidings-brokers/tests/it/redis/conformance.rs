//! The suite that every broker passes.

use tidings_core::broker::conformance;

use super::log::{open, options};
use super::server::{Server, is_there, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_holds() {
    if !is_there() {
        return;
    }
    let server = Server::volatile();
    let options = options(&[&server]);
    conformance::run(async |_clock| open(&options).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_holds_where_replicas_are_waited_for() {
    if !is_there() {
        return;
    }
    let primary = Server::volatile();
    let replica = Server::volatile();
    replica.tell(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
    until("the replica is linked", async || replica.tell(&["INFO"]).contains("master_link_status:up")).await;
    let mut options = options(&[&primary]);
    options.replicas = 1;
    conformance::run(async |_clock| open(&options).await).await;
}
