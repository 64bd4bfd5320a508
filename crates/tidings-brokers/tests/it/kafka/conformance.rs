//! The suite that every broker passes.

use tidings_brokers::kafka::Kafka;
use tidings_core::broker::conformance;

use super::server::{Server, until_ready};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_holds() {
    let Some(server) = Server::start() else { return };
    let options = server.options();
    conformance::run(async |clock| {
        let broker = Kafka::open(clock, &options).unwrap();
        until_ready(&broker).await;
        broker
    })
    .await;
}
