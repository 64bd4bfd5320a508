//! A cluster of three primaries.

use std::process::Command;

use tidings_core::broker::{Broker, conformance};
use tidings_core::log::{Start, Why};

use super::log::{append, find, open, options};
use super::server::{Server, is_there, until};

struct Cluster {
    servers: Vec<Server>,
}

impl Cluster {
    /// None where the ports that a cluster needs besides are taken.
    async fn start() -> Self {
        let arguments = [
            "--save",
            "",
            "--appendonly",
            "no",
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "2000",
        ];
        let mut servers = Vec::new();
        while servers.len() < 3 {
            let bus = super::server::free_port().to_string();
            let mut arguments = arguments.to_vec();
            arguments.extend(["--cluster-port", &bus]);
            servers.push(Server::start(&arguments));
        }
        let places = servers.iter().map(|server| format!("127.0.0.1:{}", server.port));
        let created = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(places)
            .args(["--cluster-replicas", "0", "--cluster-yes"])
            .output()
            .unwrap();
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stdout));
        let cluster = Cluster { servers };
        until("the cluster is whole", async || {
            cluster
                .servers
                .iter()
                .all(|server| server.tell(&["CLUSTER", "INFO"]).contains("cluster_state:ok"))
        })
        .await;
        cluster
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_holds_on_a_cluster() {
    if !is_there() {
        return;
    }
    let cluster = Cluster::start().await;
    let options = options(&[&cluster.servers[0], &cluster.servers[1]]);
    conformance::run(async |_clock| open(&options).await).await;
    let topics = |server: &Server| server.tell(&["DBSIZE"]).trim().parse::<u64>().unwrap();
    assert!(cluster.servers.iter().all(|server| topics(server) > 10), "each has a part of it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_is_gone_is_missed_by_its_channels_alone() {
    if !is_there() {
        return;
    }
    let mut cluster = Cluster::start().await;
    for server in &cluster.servers {
        server.tell(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
    }
    let redis = open(&options(&[&cluster.servers[0]])).await;
    let names: Vec<_> = (0..30).map(|n| format!("c{n}")).collect();
    let mut places = Vec::new();
    for name in &names {
        places.push(append(&redis, name, "1").await.unwrap());
    }
    cluster.servers[2].kill();
    until("it is noticed", async || redis.ready().await.is_err()).await;
    let (mut served, mut missed) = (0, 0);
    for name in &names {
        match append(&redis, name, "2").await {
            Ok(_) => served += 1,
            Err(_) => missed += 1,
        }
    }
    assert!(served > 0 && missed > 0, "{served} served, {missed} not");
    cluster.servers[2].again();
    until("it is whole again", async || redis.ready().await.is_ok()).await;
    let mut epochs = 0;
    for (name, place) in names.iter().zip(&places) {
        until("it is served again", async || append(&redis, name, "3").await.is_ok()).await;
        let gap = find(&redis, name, Start::After(*place)).await.gap;
        epochs += usize::from(gap.is_some_and(|gap| gap.why == Why::Epoch));
    }
    assert_eq!(epochs, missed, "it kept nothing, and the others everything");
}
