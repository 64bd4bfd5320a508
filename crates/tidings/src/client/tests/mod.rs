//! The readers and the publisher against a server of nothing but the contract.

mod mock;

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use mock::{Mock, Script};
use tokio::time::timeout;

use super::{
    Body, Draft, Error, Item, Lines, Reader, Start, Status, Subscription, Timing, Transport, publish,
    publish_lines,
};

fn subscription(channels: &[&str], transport: Option<Transport>, limit: u64) -> Subscription {
    let timing = Timing {
        silence: Duration::from_secs(2),
        first_byte: Duration::from_millis(200),
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(5),
        ..Timing::default()
    };
    Subscription {
        channels: channels.iter().map(|channel| (*channel).to_owned()).collect(),
        start: Start::Earliest,
        consumer: None,
        transport,
        limit: Some(limit),
        rate: None,
        timing,
    }
}

/// The data of each channel's messages in the order in which they came, and the transports used.
async fn read(mock: &Mock, subscription: Subscription) -> (HashMap<String, Vec<u64>>, Vec<Transport>) {
    let mut reader = Reader::new(mock.endpoint.clone(), subscription);
    let (mut messages, mut transports) = (HashMap::<_, Vec<u64>>::new(), Vec::new());
    let reading = async {
        loop {
            match reader.next().await.unwrap() {
                Item::Message(message) => {
                    let data = message.parts().unwrap().data.get().parse().unwrap();
                    messages.entry(message.channel().to_owned()).or_default().push(data);
                }
                Item::Status(Status::Connected { transport, delivery }) => {
                    assert_eq!(delivery.as_deref(), Some("at-least-once"));
                    transports.push(transport);
                }
                Item::Status(Status::Waiting { .. }) => {}
                Item::End => break,
                item => panic!("{item:?}"),
            }
        }
    };
    timeout(Duration::from_secs(20), reading).await.expect("the reader came to its end");
    transports.dedup();
    (messages, transports)
}

fn assert_each_once(messages: &HashMap<String, Vec<u64>>, channels: &[&str]) {
    for channel in channels {
        assert_eq!(messages[*channel], (1..=20).collect::<Vec<_>>(), "{channel}");
    }
}

#[tokio::test]
async fn each_transport_resumes_and_gives_each_message_once() {
    for transport in Transport::ALL {
        for channels in [&["a"][..], &["a", "b"]] {
            let mock = Mock::start(Script::default()).await;
            let limit = 20 * channels.len() as u64;
            let (messages, transports) = read(&mock, subscription(channels, Some(transport), limit)).await;
            assert_each_once(&messages, channels);
            assert_eq!(transports, [transport]);
            let asked = mock.asked.lock();
            assert!(asked.len() > 2, "{transport} was never cut");
            assert!(asked.iter().all(|asked| asked.head.to_lowercase().contains("authorization: bearer sk")));
        }
    }
}

#[tokio::test]
async fn auto_goes_down_the_ladder_in_mid_stream_with_its_cursor() {
    let good_for = HashMap::from([(Transport::Ws, 2), (Transport::Sse, 2), (Transport::LongPoll, 1)]);
    let mock = Mock::start(Script { good_for, cut_after: 6, ..Script::default() }).await;
    let (messages, transports) = read(&mock, subscription(&["a", "b"], None, 40)).await;
    assert_each_once(&messages, &["a", "b"]);
    assert_eq!(transports, Transport::LADDER);
}

#[tokio::test]
async fn auto_starts_with_what_gets_through() {
    let good_for = HashMap::from([(Transport::Ws, 0), (Transport::Sse, 0)]);
    let mock = Mock::start(Script { good_for, ..Script::default() }).await;
    let (messages, transports) = read(&mock, subscription(&["a"], None, 20)).await;
    assert_each_once(&messages, &["a"]);
    assert_eq!(transports, [Transport::LongPoll]);
}

#[tokio::test]
async fn a_silent_connection_is_dead() {
    for transport in [Transport::Ws, Transport::Sse, Transport::Session] {
        let mock = Mock::start(Script { is_silent: true, cut_after: 10, ..Script::default() }).await;
        let mut subscription = subscription(&["a"], Some(transport), 20);
        subscription.timing.silence = Duration::from_millis(200);
        assert_each_once(&read(&mock, subscription).await.0, &["a"]);
    }
}

#[tokio::test]
async fn a_dropped_call_loses_nothing() {
    for transport in Transport::ALL {
        let mock = Mock::start(Script::default()).await;
        let mut reader = Reader::new(mock.endpoint.clone(), subscription(&["a", "b"], Some(transport), 40));
        let mut count = 0;
        let mut patience = Duration::from_millis(300);
        while count < 40 {
            match timeout(patience, reader.next()).await {
                Ok(Ok(Item::Message(_))) => count += 1,
                // While it connects, a call that is always dropped would never end.
                Ok(Ok(Item::Status(Status::Connected { .. }))) => patience = Duration::from_micros(100),
                Ok(Ok(Item::Status(Status::Waiting { .. }))) => patience = Duration::from_millis(300),
                Ok(other) => panic!("{transport}: {other:?}"),
                Err(_) => patience = (patience * 2).min(Duration::from_millis(300)),
            }
        }
        assert!(matches!(reader.next().await, Ok(Item::End)));
    }
}

#[tokio::test]
async fn a_refusal_is_final_and_a_busy_server_is_not() {
    let problem = r#"{"code":"forbidden","detail":"This token may not read a."}"#;
    let busy = r#"{"code":"draining","detail":"This node is about to stop."}"#;
    for transport in [None, Some(Transport::Ws), Some(Transport::Sse), Some(Transport::Poll)] {
        let refusals = vec![(503, busy), (503, busy), (403, problem), (403, problem)];
        let mock = Mock::start(Script { refusals, ..Script::default() }).await;
        let mut reader = Reader::new(mock.endpoint.clone(), subscription(&["a"], transport, 1));
        let mut waits = 0;
        let error = loop {
            match reader.next().await {
                Ok(Item::Status(Status::Waiting { why, .. })) => {
                    assert!(why.contains("about to stop (503 draining)"), "{why}");
                    waits += 1;
                }
                Ok(item) => panic!("{item:?}"),
                Err(error) => break error,
            }
        };
        assert!(matches!(&error, Error::Refused(problem) if problem.code == "forbidden"), "{error}");
        assert!(waits > 0, "{transport:?}");
        assert!(matches!(reader.next().await, Ok(Item::End)));
    }
}

#[tokio::test]
async fn a_close_code_says_whether_to_come_back() {
    for transport in [Transport::Ws, Transport::Session] {
        let close = Some((4000, r#"{"code":"draining","retry_ms":1}"#));
        let mock = Mock::start(Script { close, ..Script::default() }).await;
        let (messages, _) = read(&mock, subscription(&["a"], Some(transport), 20)).await;
        assert_each_once(&messages, &["a"]);

        // 4001 asks for a new token, and there is but the one.
        for (code, reason, name) in [
            (4503, r#"{"code":"forbidden"}"#, "forbidden"),
            (4001, r#"{"code":"token-expired","retry_ms":0}"#, "token-expired"),
        ] {
            let mock = Mock::start(Script { close: Some((code, reason)), ..Script::default() }).await;
            let mut reader = Reader::new(mock.endpoint.clone(), subscription(&["a"], Some(transport), 20));
            let error = loop {
                if let Err(error) = reader.next().await {
                    break error;
                }
            };
            assert!(matches!(error, Error::Refused(problem) if problem.code == name), "{transport}");
            assert_eq!(mock.asked.lock().len(), 1, "{transport} came back");
        }
    }
}

/// What comes in masses while a session subscribes is given at once, and is not repeated when that
/// is cut off.
#[tokio::test]
async fn a_session_holds_only_so_much_while_it_subscribes() {
    for (cut_after, limit) in [(100, 40), (15, 40)] {
        let script = Script { hasty: 20, padding: 100_000, cut_after, ..Script::default() };
        let mock = Mock::start(script).await;
        let subscription = subscription(&["a", "b"], Some(Transport::Session), limit);
        let (messages, _) = read(&mock, subscription.clone()).await;
        assert_each_once(&messages, &["a", "b"]);
        let mut reader = Reader::new(mock.endpoint.clone(), subscription);
        assert!(matches!(reader.next().await.unwrap(), Item::Status(Status::Connected { .. })));
        assert_eq!(reader.cursor(), None, "b is not answered yet");
        for _ in 0..25 {
            while !matches!(reader.next().await.unwrap(), Item::Message(_)) {}
        }
        assert!(reader.cursor().is_some());
    }
}

/// A cursor that covers but some of the channels: the others begin as if new; one that covers none
/// is refused, as on `/v1/subscribe`.
#[tokio::test]
async fn a_session_begins_anew_what_its_cursor_does_not_cover() {
    let mock = Mock::start(Script { cut_after: 50, ..Script::default() }).await;
    let mut wanted = subscription(&["a", "b", "c"], Some(Transport::Session), 35);
    wanted.start = Start::After("b.15-d.3-".into());
    let (messages, _) = read(&mock, wanted.clone()).await;
    assert_eq!(messages["b"].first(), Some(&16));
    assert_eq!((messages["a"].first(), messages["c"].first()), (Some(&1), Some(&1)));
    wanted.start = Start::After("d.3-".into());
    let mut reader = Reader::new(mock.endpoint.clone(), wanted);
    let refused = reader.next().await;
    assert!(matches!(&refused, Err(Error::Refused(problem)) if problem.code == "bad-cursor"), "{refused:?}");
}

fn draft(id: Option<&str>) -> Draft {
    let body = Body::Json(Bytes::from_static(b"{\"a\":1}"));
    Draft {
        channel: "a".into(),
        event: Some("né".into()),
        key: None,
        id: id.map(Into::into),
        close: false,
        body,
    }
}

#[tokio::test]
async fn a_publish_keeps_its_id_over_retries() {
    let refusals = vec![(503, r#"{"code":"broker-unavailable","stored":"unknown"}"#)];
    let mock = Mock::start(Script { refusals, ..Script::default() }).await;
    let mut retries = 0;
    let receipt = publish(&mock.endpoint, &draft(Some("k")), |_, _| retries += 1).await.unwrap();
    assert_eq!((receipt.cursor.as_deref(), retries), (Some("a.1"), 1));
    let asked = mock.asked.lock();
    assert_eq!(asked.len(), 2);
    for asked in asked.iter() {
        assert!(asked.head.starts_with("POST /v1/channels/a?event=n%C3%A9 "), "{}", asked.head);
        assert!(asked.head.to_lowercase().contains("idempotency-key: k\r\n"));
        assert_eq!(asked.body, "{\"a\":1}");
    }
}

#[tokio::test]
async fn a_publish_without_an_id_is_not_repeated() {
    let refusals = vec![(503, r#"{"code":"broker-unavailable","stored":"unknown"}"#)];
    let mock = Mock::start(Script { refusals, ..Script::default() }).await;
    let error = publish(&mock.endpoint, &draft(None), |_, _| ()).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(why) if why.contains("broker-unavailable")));
    assert_eq!(mock.asked.lock().len(), 1);
}

#[tokio::test]
async fn lines_are_streamed_as_ndjson() {
    let mock = Mock::start(Script::default()).await;
    let stream = Lines { channel: "a".into(), event: None, key: None, id: Some("k".into()), close: false };
    let lines = futures_util::stream::iter([&b"1"[..], b"\"two\""].map(Bytes::from_static));
    publish_lines(&mock.endpoint, &stream, lines, |_, _| ()).await.unwrap();
    let asked = mock.asked.lock();
    assert!(asked[0].head.to_lowercase().contains("content-type: application/x-ndjson"));
    assert!(asked[0].body.contains("1\n") && asked[0].body.contains("\"two\"\n"), "{}", asked[0].body);
}
