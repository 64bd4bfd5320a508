//! The faulty path, on bytes in pieces of any size.

use super::*;

/// What comes of `bytes` in pieces of `size`, after `ahead` messages.
fn spoil(mode: Break, ahead: u64, bytes: &[u8], size: usize) -> (String, u64) {
    let spoiler = Spoiler::new(mode);
    spoiler.tally.messages.store(ahead, Ordering::Relaxed);
    let mut spoilt = Spoilt::new(&spoiler);
    let out: Vec<u8> = bytes.chunks(size).flat_map(|piece| spoilt.pass(piece)).collect();
    (String::from_utf8_lossy(&out).into_owned(), spoiler.spoilt())
}

/// The second message is due.
const AHEAD: u64 = EVERY / 2 - 1;

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
const START: &str = "retry: 2000\n: tidings 1\nid: c0\n\n";

fn event(n: u32) -> String {
    format!("id: c{n}x\ndata: {{\"n\":{n}}}\n\n")
}

const GAP: &str = "event: tidings.gap\nid: c9\ndata: {}\n\n";

#[test]
fn an_event_stream_is_spoilt() {
    let [one, two, three] = [1, 2, 3].map(event);
    let stream = [HEAD, START, &one, GAP, &two, &three].concat();
    let other = two.replace("c2x", "c2_");
    for size in [1, 7, 1_000] {
        let is = |mode, expected: &[&str]| {
            let begin = [HEAD, START].concat();
            let got = spoil(mode, AHEAD, stream.as_bytes(), size);
            assert_eq!(got, (begin + &expected.concat(), 1), "{mode:?} in pieces of {size}");
        };
        is(Break::Drop, &[&one, GAP, &three]);
        is(Break::Repeat, &[&one, GAP, &two, &other, &three]);
        is(Break::Reorder, &[&one, GAP, &three, &two]);
        is(Break::HideGap, &[&one, &two, &three]);
    }
}

#[test]
fn frames_are_spoilt() {
    let frame = |text: &str| {
        let length = u8::try_from(text.len()).unwrap();
        [&[0x81, length][..], text.as_bytes()].concat()
    };
    let message = |n: u32| frame(&format!(r#"{{"channel":"a","cursor":"c{n}x","data":{n}}}"#));
    let head = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n".to_vec();
    let greeting = frame(r#"{"subscribed":{"cursor":"c0x"}}"#);
    let gap = frame(r#"{"gap":{},"cursor":"c9x"}"#);
    let [one, two, three] = [1, 2, 3].map(message);
    let stream = [&head[..], &greeting, &one, &gap, &two, &three].concat();
    let other = frame(r#"{"channel":"a","cursor":"c2_","data":2}"#);
    for size in [1, 7, 1_000] {
        let is = |mode, expected: &[&[u8]]| {
            let expected = [&head[..], &greeting, &expected.concat()].concat();
            let expected = String::from_utf8_lossy(&expected).into_owned();
            assert_eq!(spoil(mode, AHEAD, &stream, size), (expected, 1), "{mode:?} in pieces of {size}");
        };
        is(Break::Drop, &[&one, &gap, &three]);
        is(Break::Repeat, &[&one, &gap, &two, &other, &three]);
        is(Break::Reorder, &[&one, &gap, &three, &two]);
        is(Break::HideGap, &[&one, &two, &three]);
    }
}

#[test]
fn pages_of_one_connection_are_spoilt() {
    let message = |n: u32| format!(r#"{{"channel":"a","cursor":"c{n}x","data":{n}}}"#);
    let response = |messages: &[String], gap: &str| {
        let list = messages.join(",");
        let body = format!(r#"{{"messages":[{list}],"cursor":"c","gap":{gap},"delivery":"at-least-once"}}"#);
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\netag: x\r\n\r\n{body}",
            body.len()
        )
    };
    let unchanged = "HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n";
    let all = [1, 2, 3].map(message);
    let [one, two, three] = all.clone();
    let other = two.replace("c2x", "c2_");
    let stream = [response(&all, r#"{"why":"expired"}"#), unchanged.into(), response(&[], "null")].concat();
    for size in [1, 7, 1_000] {
        let is = |mode, messages: &[&String], gap| {
            let messages: Vec<_> = messages.iter().map(|message| (*message).clone()).collect();
            let expected = [response(&messages, gap), unchanged.into(), response(&[], "null")].concat();
            assert_eq!(spoil(mode, AHEAD, stream.as_bytes(), size), (expected, 1), "{mode:?} in {size}");
        };
        let gap = r#"{"why":"expired"}"#;
        is(Break::Drop, &[&one, &three], gap);
        is(Break::Repeat, &[&one, &two, &other, &three], gap);
        is(Break::Reorder, &[&one, &three, &two], gap);
        is(Break::HideGap, &[&one, &two, &three], "null");
    }
}

#[test]
fn what_is_not_understood_goes_through() {
    let chunked = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n5\r\nid: 1\r\n";
    let refusal = "HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\n{}";
    for text in [chunked, refusal, "nonsense\r\n\r\nmore"] {
        assert_eq!(spoil(Break::Drop, AHEAD, text.as_bytes(), 3), (text.to_owned(), 0));
    }
}
