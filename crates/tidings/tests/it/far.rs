//! The doors over a broker that is far away: what one request costs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidings_core::broker::faulty::{Faults, Faulty};
use tidings_core::broker::{Broker, Memory, MemoryLimits};
use tidings_core::{
    Clock, Control, Delivery, Hub, Keys, Limits, Metrics, Namespace, Parts, Policy, Settings, Subscribe,
};
use tidings_doors::http::accepted::{Accepted, Hold, Times};
use tidings_doors::http::cors::Cors;
use tidings_doors::http::peer::{Peer, Proxies};
use tidings_doors::{Doors, Entrance};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::node::{KEY, TestNode};

/// Doors over a broker whose answers take up to so long. They serve while the control lives.
async fn far(late_ms_max: u64) -> (SocketAddr, Control) {
    let clock = Clock::system();
    let broker = Faulty::new(1, Faults { late_ms_max, ..Faults::NONE }, {
        let clock = clock.clone();
        move |life| {
            let limits = MemoryLimits { bytes: 1 << 30, idempotency_keys: 1_000 };
            Arc::new(Memory::start(clock.clone(), limits, (1 + life) << 40)) as Arc<dyn Broker>
        }
    });
    let orders = Namespace { subscribe: Subscribe::Public, ..Namespace::new(Delivery::AtLeastOnce) };
    let (hub, control) = Hub::start(Parts {
        broker: Arc::new(broker),
        settings: Settings {
            policy: Policy::new([("orders".to_owned(), orders)]),
            keys: Keys::new([KEY], None),
            limits: Limits { feeds: 1_000, ..Limits::default() },
        },
        clock,
        metrics: Arc::new(Metrics::new()),
        incarnation: 7,
    });
    let entrance = Entrance::new(Doors {
        hub,
        cors: Cors::Any,
        heartbeat: Duration::from_secs(15),
        body_idle: Duration::from_secs(60),
        body_time: Duration::from_secs(30),
        connection_channels: 100,
        batch_messages: 1_000,
        addresses: Arc::default(),
        address_connections: 1_000,
        proxies: Proxies::default(),
        deflate: false,
        message_bytes: 1 << 20,
        echo: false,
    });
    let router = tidings_doors::shared(tidings_doors::router(&entrance), &entrance);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let drain = watch::Sender::new(false);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let wait = Duration::from_secs(30);
            let accepted = Accepted {
                router: router.clone(),
                peer: Peer { address: [127, 0, 0, 1].into(), refused: None },
                times: Times { head: wait, idle: wait, max_lag: wait },
                hold: Hold { drain: drain.subscribe(), places: Box::new(()) },
            };
            tokio::spawn(tidings_doors::serve(stream, accepted));
        }
    });
    (address, control)
}

#[tokio::test]
async fn a_hundred_channels_are_not_a_hundred_waits() {
    let (address, _control) = far(80).await;
    let messages: Vec<_> =
        (0..200).map(|n| json!({"channel": format!("orders:{}", n % 100), "data": n})).collect();
    let began = Instant::now();
    let reply = TestNode::call_at(address, "POST", "/v1/publish")
        .bearer(KEY)
        .json(&json!({ "messages": messages }))
        .await
        .ok()
        .json();
    // One after the other they would take eight seconds.
    assert!(began.elapsed() < Duration::from_secs(4), "{:?} for a batch", began.elapsed());
    let results = reply["results"].as_array().unwrap();
    assert_eq!(results.len(), 200);
    assert!(results.iter().zip(&messages).all(|(result, message)| result["channel"] == message["channel"]));

    let names: Vec<_> = (0..100).map(|n| format!("channel=orders:{n}")).collect();
    let began = Instant::now();
    let page = TestNode::call_at(address, "GET", &format!("/v1/subscribe?{}&limit=200", names.join("&")));
    let page = page.await.ok().json();
    assert!(began.elapsed() < Duration::from_secs(6), "{:?} for a page", began.elapsed());
    // In the order of the request, and of each channel.
    let data: Vec<_> =
        page["messages"].as_array().unwrap().iter().map(|message| message["data"].clone()).collect();
    let expected: Vec<_> = (0..100).flat_map(|n| [Value::from(n), Value::from(n + 100)]).collect();
    assert_eq!(data, expected);
}
