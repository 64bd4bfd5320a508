//! The load generator against the bare loop, in one process.

use std::net::TcpListener;
use std::time::Duration;

use super::floor::Floor;
use super::load::{Goal, Load};
use super::measure::frame_bytes;
use super::plan::{Plan, Server};
use super::progress::Progress;
use super::stream::Transport;

/// A loop on a thread that ends with the test's process.
fn floor(frame: usize, merge: bool) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || Floor::new(listener, frame, merge)?.run());
    Server::local(address, Some("secret".into()))
}

fn plan(server: Server, channels: usize, subscribers: usize, window: usize, transport: Transport) -> Plan {
    let channels = (0..channels).map(|number| format!("durable:bench-{number}")).collect();
    Plan { server, channels, subscribers, window, bytes: 128, transport, paced: None }
}

#[test]
fn every_message_reaches_every_subscriber_once() {
    for transport in [Transport::Ws, Transport::Sse] {
        for (merge, channels, subscribers, window) in [(false, 1, 70, 1), (true, 1, 70, 4), (false, 30, 1, 8)]
        {
            let plan = plan(floor(300, merge), channels, subscribers, window, transport);
            let mut load = Load::connect(plan, &mut Progress::new()).expect("it connects");
            load.run(Goal::Messages(300)).expect("all arrive");
            assert_eq!(load.tally.deliveries, 300 * subscribers as u64);
            assert!(load.tally.latency.quantile(1.0).is_some());
            load.run(Goal::Time(Duration::from_millis(50))).expect("it runs on");
            load.run(Goal::Idle(Duration::from_millis(50))).expect("it idles");
            load.finish().expect("all saw one order");
        }
    }
}

#[test]
fn a_pace_is_kept() {
    let mut plan = plan(floor(300, false), 1, 5, 8, Transport::Ws);
    plan.paced = Some(200.0);
    let mut load = Load::connect(plan, &mut Progress::new()).expect("it connects");
    load.run(Goal::Time(Duration::from_millis(500))).expect("it runs");
    assert!((90..=101).contains(&load.tally.published), "{}", load.tally.published);
}

#[test]
fn the_length_of_a_frame_is_probed() {
    for transport in [Transport::Ws, Transport::Sse] {
        let plan = plan(floor(321, false), 1, 9, 4, transport);
        assert_eq!(frame_bytes(&plan, &mut Progress::new()).expect("it probes"), 321);
    }
}

#[test]
fn what_cannot_be_run_is_refused_with_advice() {
    let mut plan = plan(Server::local(([127, 0, 0, 1], 9).into(), None), 1, 1, 1, Transport::Ws);
    let error = Load::connect(plan.clone(), &mut Progress::new()).expect_err("nobody listens");
    assert!(error.to_string().contains("\ntry: "), "{error}");
    plan.bytes = 3;
    let error = plan.check().expect_err("a mark does not fit");
    assert!(error.to_string().contains("--bytes"), "{error}");
}
