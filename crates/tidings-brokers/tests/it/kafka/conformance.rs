//! The suite that every broker passes.

use tidings_brokers::kafka::{Kafka, Options};
use tidings_core::broker::conformance;

use super::server::{Server, until_ready};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_holds() {
    let Some(server) = Server::start() else { return };
    holds(&server.options()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_holds_where_nothing_is_held() {
    let Some(server) = Server::start() else { return };
    holds(&Options { held_bytes: 0, ..server.options() }).await;
}

async fn holds(options: &Options) {
    conformance::run(async |clock| {
        let broker = Kafka::open(clock, options).unwrap();
        until_ready(&broker).await;
        broker
    })
    .await;
}
