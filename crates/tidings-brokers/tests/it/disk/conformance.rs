//! The suite that every broker passes.

use std::time::Duration;

use tidings_brokers::disk::{Disk, Options, Sync};
use tidings_core::broker::conformance;

async fn holds(sync: Sync) {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { path: folder.path().join("data"), sync };
    conformance::run(async |clock| Disk::open(clock, &options).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_holds() {
    holds(Sync::EveryWrite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_holds_where_fsyncs_are_rarer() {
    holds(Sync::Every(Duration::from_millis(100))).await;
}
