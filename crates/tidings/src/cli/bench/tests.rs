//! The load generator against the bare loop, in one process.

use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use tokio_tungstenite::tungstenite::{self, Message};

use super::clock;
use super::floor::Floor;
use super::load::{Goal, Load};
use super::mark::Mark;
use super::measure::frame_bytes;
use super::plan::{Plan, Server};
use super::progress::Progress;
use super::publisher::{Receipt, Slot};
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
    Plan { server, channels, subscribers, window, bytes: 128, transport, deflate: false, paced: None }
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
    let began = clock::now();
    load.run(Goal::Time(Duration::from_millis(500))).expect("it runs");
    // The first is due at once; where the run took longer, so many more were due.
    let most = (began.elapsed().as_secs_f64() * 200.0) as u64 + 1;
    assert!((90..=most).contains(&load.tally.published), "{} of {most}", load.tally.published);
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
    assert!(error.downcast_ref::<crate::cli::Failure>().is_some(), "{error}");
    plan.bytes = 3;
    let error = plan.check().expect_err("a mark does not fit");
    let failure = error.downcast_ref::<crate::cli::Failure>().expect("it comes with advice");
    assert!(failure.advice().contains("--bytes"), "{failure:?}");
}

/// A real WebSocket server that greets, then says what it is told, then tells what it hears.
fn scripted(words: Vec<Message>) -> (Server, mpsc::Receiver<Message>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let (tell, heard) = mpsc::channel();
    std::thread::spawn(move || {
        let (socket, _) = listener.accept().expect("one connects");
        let mut socket = tungstenite::accept(socket).expect("the handshake is right");
        socket.send(Message::text("{\"subscribed\":{}}")).expect("it is open");
        // Publishers connect, and are kept waiting.
        let _publisher = listener.accept();
        words.into_iter().for_each(|word| socket.send(word).expect("it is open"));
        while let Ok(message) = socket.read() {
            let _ = tell.send(message);
        }
    });
    (Server::local(address, None), heard)
}

#[test]
fn a_ping_is_answered() {
    let (server, heard) = scripted(vec![Message::Ping("still there?".into())]);
    let mut load =
        Load::connect(plan(server, 1, 1, 1, Transport::Ws), &mut Progress::new()).expect("it connects");
    load.run(Goal::Idle(Duration::from_millis(300))).expect("a ping is no error");
    let answer = heard.recv_timeout(Duration::from_secs(5)).expect("something came");
    assert_eq!(answer, Message::Pong("still there?".into()));
}

#[test]
fn a_gap_and_a_close_end_the_run() {
    let gap = Message::text("{\"gap\":{\"why\":\"expired\"},\"cursor\":\"a\"}");
    for (word, want) in [(gap, "announced a gap"), (Message::Close(None), "ended a subscriber's connection")]
    {
        let (server, _heard) = scripted(vec![word]);
        let plan = plan(server, 1, 1, 1, Transport::Ws);
        let mut load = Load::connect(plan, &mut Progress::new()).expect("it connects");
        let error = load.run(Goal::Idle(Duration::from_secs(5))).expect_err("the run is spoilt");
        assert!(error.to_string().contains(want), "{error}");
    }
}

#[test]
fn what_comes_twice_or_to_the_wrong_one_is_noticed() {
    let plan = plan(floor(300, false), 2, 70, 1, Transport::Ws);
    let mut slot = Slot::connect(&plan).expect("it connects");
    let mark = Mark { slot: 0, seq: 6, time_ns: 0 };
    slot.publish(&plan, 1, &plan.publish(1), mark, 7).expect("it is sent");
    assert_eq!(slot.receive(6, 0, 69), Receipt::Stray, "another channel");
    assert_eq!(slot.receive(7, 1, 69), Receipt::Stray, "not yet published");
    assert_eq!(slot.receive(5, 1, 69), Receipt::Doubled, "complete already");
    assert_eq!((slot.receive(6, 1, 69), slot.waiting), (Receipt::Fresh, 69));
    assert_eq!((slot.receive(6, 1, 69), slot.waiting), (Receipt::Doubled, 69));
    assert_eq!((slot.receive(6, 1, 5), slot.waiting), (Receipt::Fresh, 68));
}

#[test]
fn a_failure_is_told_once() {
    let failure = super::failure("it is so".into(), "something else");
    assert_eq!(format!("{failure:#}"), "it is so", "`error:` and `try:` are the command line's");
    assert!(failure.downcast_ref::<crate::cli::Failure>().is_some());
}
