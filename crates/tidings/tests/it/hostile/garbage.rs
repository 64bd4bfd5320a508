//! Random bytes, from seeds: on the HTTP port, into an open event stream, and into an open WebSocket.

use tidings_core::broker::dice::Dice;
use tokio::io::AsyncWriteExt;

use crate::node::{KEY, TestNode};
use crate::raw::{Raw, soon};
use crate::socket::{frame, upgrade};

use super::{ORDERS, Witness};

fn noise(dice: &mut Dice, most: u64) -> Vec<u8> {
    (0..dice.below(most)).map(|_| dice.roll() as u8).collect()
}

/// Changes some bytes, cuts, and repeats.
fn mangle(dice: &mut Dice, bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=dice.below(6) {
        let at = dice.below(out.len() as u64) as usize;
        match dice.below(6) {
            0 if !out.is_empty() => out[at] ^= 1 << dice.below(8),
            1 if !out.is_empty() => out[at] = dice.roll() as u8,
            2 => out.truncate(at),
            3 => out.splice(at..at, noise(dice, 20)).for_each(drop),
            4 if !out.is_empty() => drop(out.remove(at)),
            _ => {
                let part = out[at..].to_vec();
                let to = dice.below(out.len() as u64 + 1) as usize;
                out.splice(to..to, part);
                out.truncate(100_000);
            }
        }
    }
    out
}

/// Sends bytes, says that there are no more, and waits for the end; gives what came back.
async fn pour(mut raw: Raw, bytes: &[u8]) -> String {
    // A node that has heard enough may have closed.
    let _ = soon("send", raw.stream.write_all(bytes)).await;
    let _ = raw.stream.shutdown().await;
    raw.rest().await
}

#[tokio::test]
async fn noise_on_the_http_port() {
    let node = TestNode::usual().await;
    let mut witness = Witness::of(&node).await;
    let post = format!(
        "POST {ORDERS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/x-ndjson\r\n\
         Transfer-Encoding: chunked\r\nIdempotency-Key: k\r\n\r\n8\r\n{{\"a\":1}}\n\r\n3\r\n\"b\"\r\n0\r\n\r\n"
    );
    let get = format!(
        "GET {ORDERS}?after=earliest&limit=3&wait=0.01 HTTP/1.1\r\nHost: x\r\nAccept: text/html, */*;q=0.5\r\n\
         If-None-Match: W/\"x.1\"\r\n\r\n"
    );
    let stream =
        format!("GET {ORDERS}?last=1&limit=1 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
    let whole = [get.as_str(), &post, &stream, &upgrade(ORDERS)];
    for seed in 0..400 {
        let mut dice = Dice::new(seed);
        let bytes = match dice.below(5) {
            0 => noise(&mut dice, 4_000),
            kind => {
                let mut bytes = mangle(&mut dice, whole[kind as usize - 1].as_bytes());
                if dice.chance(300) {
                    let next = whole[dice.below(4) as usize].as_bytes();
                    bytes.extend(mangle(&mut dice, next));
                }
                bytes
            }
        };
        let answer = pour(node.raw().await, &bytes).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1."), "seed {seed}: {answer:?}");
        if seed % 50 == 0 {
            witness.goes_on(&node).await;
        }
    }
    node.until_subscriptions(2).await;
    witness.lost_nothing(&node).await;
}

#[tokio::test]
async fn noise_into_an_event_stream() {
    let node = TestNode::usual().await;
    let witness = Witness::of(&node).await;
    let mut dice = Dice::new(1);
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = node.sse(ORDERS).await;
        stream.block().await;
        stream.send(noise(&mut dice, 3_000)).await;
        streams.push(stream);
    }
    node.publish("orders:1", "still here").await;
    for stream in &mut streams {
        assert!(stream.event().await.ends_with("data: \"still here\""));
        stream.send(noise(&mut dice, 3_000)).await;
    }
    node.publish("orders:1", "and here").await;
    for stream in &mut streams {
        assert!(stream.event().await.ends_with("data: \"and here\""));
    }
    // Who sends without end is let go.
    let mut stream = streams.pop().unwrap();
    let _ = soon("send", stream.stream.write_all(&vec![b'x'; 1 << 20])).await;
    assert_eq!(stream.rest().await, "");
    drop(streams);
    node.until_subscriptions(2).await;
    witness.lost_nothing(&node).await;
}

#[tokio::test]
async fn noise_into_a_websocket() {
    let node = TestNode::usual().await;
    let mut witness = Witness::of(&node).await;
    for seed in 0..300 {
        let mut dice = Dice::new(seed);
        let frames = [
            frame(1, b"{\"data\":{\"a\":[1,2,3]},\"id\":\"k\",\"event\":\"e\"}"),
            frame(2, &[0, 1, 2, 3]),
            frame(9, b"ping"),
            frame(1, &noise(&mut dice, 300)),
            frame(8, &[0x03, 0xe8]),
        ]
        .concat();
        let bytes = if dice.chance(300) { noise(&mut dice, 4_000) } else { mangle(&mut dice, &frames) };
        let mut raw = node.raw_socket(ORDERS).await;
        assert_eq!(raw.head().await.status, 101);
        raw.until("\"subscribed\"").await;
        pour(raw, &bytes).await;
        if seed % 50 == 0 {
            witness.goes_on(&node).await;
        }
    }
    node.until_subscriptions(2).await;
    witness.lost_nothing(&node).await;
}

/// Frames that claim more than they bring, and pieces that never become a message.
#[tokio::test]
async fn frames_that_never_end() {
    let node = TestNode::usual().await;
    let witness = Witness::of(&node).await;
    let greeted = async || {
        let mut raw = node.raw_socket(ORDERS).await;
        raw.head().await;
        raw.until("\"subscribed\"").await;
        raw
    };
    // The longest length there is, and one with the highest bit set.
    for length in [u64::MAX >> 1, u64::MAX, 1 << 40, (1 << 20) + (16 << 10) + 1] {
        let mut raw = greeted().await;
        raw.send([&[0x81, 0x80 | 127][..], &length.to_be_bytes(), &[0; 4]].concat()).await;
        let end = raw.rest().await;
        assert!(end.contains("too-large") || end.contains("bad-frame"), "{length}: {end:?}");
    }
    // Empty pieces of a message, very many.
    let mut raw = greeted().await;
    let empty: Vec<u8> = [vec![0x01, 0x80, 0, 0, 0, 0], [0x00, 0x80, 0, 0, 0, 0].repeat(100_000)].concat();
    raw.send(&empty).await;
    // A message of the largest size that never ends, beside pings that are answered.
    let mut held = greeted().await;
    let mut begun = vec![0x01, 0x80 | 127];
    begun.extend((1u64 << 20).to_be_bytes());
    begun.extend([0; 4]);
    begun.extend(vec![b'x'; 1 << 20]);
    held.send(&begun).await;
    held.send(frame(9, b"alive?")).await;
    held.until("alive?").await;
    raw.send(frame(9, b"alive?")).await;
    raw.until("alive?").await;
    node.publish("orders:1", "here").await;
    held.until("\"here\"").await;
    raw.until("\"here\"").await;
    witness.lost_nothing(&node).await;
}

/// Who sends pings and reads no answers is not answered for ever.
#[tokio::test]
async fn pings_of_a_peer_that_does_not_read() {
    let node = TestNode::usual().await;
    let witness = Witness::of(&node).await;
    let mut raw = Raw::connect_small(node.address).await;
    raw.send(upgrade(ORDERS)).await;
    let pings = frame(9, &[b'x'; 125]).repeat(10_000);
    let mut sent = 0;
    // Until the node stops reading: it holds no more answers than one.
    while let Ok(Ok(count)) =
        tokio::time::timeout(std::time::Duration::from_millis(500), raw.stream.write(&pings)).await
    {
        sent += count;
        assert!(sent < 64 << 20, "it takes pings without end");
    }
    raw.until("\"subscribed\"").await;
    witness.lost_nothing(&node).await;
}
