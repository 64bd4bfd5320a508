//! The suite that every broker passes.

use tidings_brokers::nats::{Nats, Options};
use tidings_core::broker::conformance;

use super::server::{Server, until_ready};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_holds() {
    let Some(server) = Server::start() else { return };
    let options = Options::new(server.url());
    conformance::run(async |clock| {
        let broker = Nats::open(clock, &options).unwrap();
        until_ready(&broker).await;
        broker
    })
    .await;
}
