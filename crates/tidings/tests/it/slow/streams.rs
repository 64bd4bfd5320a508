//! Streams whose readers stop, come back, or take one byte at a time.

use std::time::Duration;

use futures_util::future::join_all;

use crate::node::{KEY, Namespace, TestNode};
use crate::raw::soon;

use super::{BYTES, Got, ORDERS, Reader, Wire, publish, publish_to};

/// Reads until the connection ends; gives the numbers that came, the last cursor, and the end.
async fn to_the_end(reader: &mut Reader) -> (Vec<u64>, Option<String>, Option<(u16, String)>) {
    let (mut numbers, mut last) = (Vec::new(), None);
    loop {
        match reader.next().await {
            Got::Message { number, cursor } => {
                numbers.push(number);
                last = Some(cursor);
            }
            Got::End(end) => return (numbers, last, end),
            gap => panic!("{gap:?}"),
        }
    }
}

/// A reader that takes nothing for `max_lag` is let go, and goes on at its cursor as if nothing had been.
#[tokio::test]
async fn stopped_readers_are_let_go_and_lose_nothing() {
    let node = TestNode::new().namespace("orders", |n| n.set("max_lag = \"3s\"").retain(10_000)).run().await;
    let mut stopped = Vec::new();
    for wire in [Wire::Sse, Wire::WebSocket].repeat(10) {
        stopped.push(Reader::open(node.address, wire, ORDERS).await);
    }
    let mut healthy = Vec::new();
    for wire in [Wire::Sse, Wire::WebSocket] {
        healthy.push(Reader::open(node.address, wire, ORDERS).await);
    }
    const MESSAGES: u64 = 250;
    let reading = healthy.iter_mut().map(async |reader| {
        for expected in 0..MESSAGES {
            assert!(matches!(reader.next().await, Got::Message { number, .. } if number == expected));
        }
    });
    tokio::join!(publish(&node, 0..MESSAGES), join_all(reading));
    node.until_subscriptions(2).await;
    // What the kernel took for one that reads nothing is little: else a few hundred of them fill its memory.
    let took = (node.measure("tidings_delivered_total{namespace=\"orders\"}").await / 20.0) as usize * BYTES;
    assert!(took < 1 << 20, "{took} bytes are on the way to each");
    // They read at last, all at once: the node waits five seconds to say goodbye.
    let ends = join_all(stopped.iter_mut().map(to_the_end)).await;
    let back = ends.into_iter().zip(&stopped).map(async |((mut numbers, last, end), reader)| {
        let wire = reader.wire;
        match wire {
            Wire::Sse => assert_eq!(end, None),
            Wire::WebSocket => {
                assert_eq!(end, Some((4002, r#"{"code":"lagged","retry_ms":0}"#.into())));
            }
        }
        assert!(!numbers.is_empty() && numbers.len() < MESSAGES as usize, "{}", numbers.len());
        let left = MESSAGES - numbers.len() as u64;
        let target = format!("{ORDERS}?after={}&limit={left}", last.unwrap());
        let (rest, ..) = to_the_end(&mut Reader::open(node.address, wire, &target).await).await;
        numbers.extend(rest);
        assert_eq!(numbers, (0..MESSAGES).collect::<Vec<_>>(), "{wire:?}");
    });
    join_all(back).await;
    for reader in &mut healthy {
        node.publish("orders:1", super::data(MESSAGES)).await;
        assert!(matches!(reader.next().await, Got::Message { number: MESSAGES, .. }));
    }
}

/// Who takes a byte at a time gets everything, in order, on one connection.
#[tokio::test]
async fn who_reads_byte_by_byte_gets_everything() {
    let node = TestNode::new().namespace("orders", |n| n.set("max_lag = \"3s\"").retain(10_000)).run().await;
    for wire in [Wire::Sse, Wire::WebSocket] {
        let mut reader = Reader::open(node.address, wire, &format!("{ORDERS}?after=latest")).await;
        publish(&node, 0..40).await;
        reader.raw.step = 1;
        for expected in 0..10 {
            assert!(
                matches!(reader.next().await, Got::Message { number, .. } if number == expected),
                "{wire:?}"
            );
        }
        reader.raw.step = 700;
        for expected in 10..40 {
            assert!(
                matches!(reader.next().await, Got::Message { number, .. } if number == expected),
                "{wire:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A10, A12, B16: at-most-once, a reader that is too far behind skips to what is new, and is told how much it missed.
#[tokio::test]
async fn at_most_once_skips_and_says_how_many() {
    let node = TestNode::new().namespace("ticks", |n| Namespace::at_most_once(n).retain(20)).run().await;
    let mut readers = Vec::new();
    for wire in [Wire::Sse, Wire::WebSocket].repeat(3) {
        readers.push(Reader::open(node.address, wire, "/v1/channels/ticks:1").await);
    }
    const MESSAGES: u64 = 400;
    publish_to(&node, "ticks:1", 0..MESSAGES).await;
    let caught_up = readers.iter_mut().map(async |reader| {
        let (mut next, mut gaps) = (0, 0);
        while next < MESSAGES {
            match reader.next().await {
                Got::Message { number, .. } => {
                    assert_eq!(number, next, "no message is left out in silence");
                    next += 1;
                }
                Got::Gap { why, missed, .. } => {
                    assert_eq!(why, "lagged");
                    next += missed.unwrap();
                    gaps += 1;
                }
                end @ Got::End(_) => panic!("{end:?}"),
            }
        }
        assert!(next == MESSAGES && gaps > 0);
        gaps
    });
    join_all(caught_up).await;
    publish_to(&node, "ticks:1", MESSAGES..MESSAGES + 1).await;
    for reader in &mut readers {
        assert!(matches!(reader.next().await, Got::Message { number: MESSAGES, .. }));
    }
}

/// Over several channels, and with what is published meanwhile by the slow reader itself.
#[tokio::test]
async fn a_slow_reader_of_several_channels() {
    let node = TestNode::new().namespace("orders", |n| n.retain(10_000)).run().await;
    let target = "/v1/subscribe?channel=orders:1&channel=orders:2";
    let mut socket = crate::raw::Raw::connect_small(node.address).await;
    socket.send(crate::socket::upgrade(target)).await;
    socket.head().await;
    for n in 0..40 {
        let frame =
            serde_json::json!({"channel": "orders:1", "data": super::data(n), "id": format!("id-{n}")});
        // It does not read: at some point the node does not read it either.
        let frame = crate::socket::frame(1, frame.to_string().as_bytes());
        let sent = tokio::time::timeout(
            Duration::from_millis(300),
            tokio::io::AsyncWriteExt::write_all(&mut socket.stream, &frame),
        );
        if sent.await.is_err() {
            break;
        }
    }
    let kept = node.get(&format!("{ORDERS}?limit=1000")).bearer(KEY).await.ok().json();
    let kept = kept["messages"].as_array().unwrap().len();
    for n in 0..kept {
        soon("its own message", socket.until(&format!("\"data\":\"{n}:"))).await;
    }
}
