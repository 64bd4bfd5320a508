//! Each fault of a path, against a server that echoes.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use super::*;
use crate::client::Endpoint;

/// A path to a server that sends back what it gets.
async fn path() -> Path {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = socket.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    Path::open(Upstream::new(vec![Endpoint::new(url, None).unwrap()]), None).await.unwrap()
}

async fn connect(path: &Path) -> TcpStream {
    TcpStream::connect(path.address()).await.unwrap()
}

/// Sends text and waits for it to come back, for up to `patience`.
async fn echo(socket: &mut TcpStream, text: &[u8], patience: Duration) -> Option<Duration> {
    let begun = Instant::now();
    socket.write_all(text).await.unwrap();
    let mut back = vec![0; text.len()];
    timeout(patience, socket.read_exact(&mut back)).await.ok()?.unwrap();
    assert_eq!(back, text);
    Some(begun.elapsed())
}

const SOON: Duration = Duration::from_secs(5);
const A_MOMENT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_good_path_carries_all() {
    let path = path().await;
    let mut socket = connect(&path).await;
    let text = vec![b'x'; 200_000];
    let (mut from, mut to) = socket.split();
    let mut back = vec![0; text.len()];
    let (sent, read) = tokio::join!(to.write_all(&text), from.read_exact(&mut back));
    sent.unwrap();
    read.unwrap();
    assert_eq!(back, text);
}

#[tokio::test]
async fn a_cut_is_an_rst_or_a_fin_and_the_next_connection_is_good() {
    let path = path().await;
    for is_reset in [true, false] {
        let mut socket = connect(&path).await;
        echo(&mut socket, b"hello", SOON).await.unwrap();
        path.change(|condition| {
            condition.cut = Cut { is_reset, is_midway: false };
            condition.cuts += 1;
        });
        let end = timeout(SOON, socket.read(&mut [0; 8])).await.unwrap();
        match end {
            Ok(0) => assert!(!is_reset),
            Err(error) => assert!(is_reset && error.kind() == std::io::ErrorKind::ConnectionReset, "{error}"),
            Ok(count) => panic!("{count} bytes"),
        }
        echo(&mut connect(&path).await, b"again", SOON).await.unwrap();
    }
}

#[tokio::test]
async fn a_cut_midway_gives_half_of_what_comes_next() {
    let path = path().await;
    let mut socket = connect(&path).await;
    echo(&mut socket, b"hello", SOON).await.unwrap();
    path.change(|condition| {
        condition.cut = Cut { is_reset: false, is_midway: true };
        condition.cuts += 1;
    });
    socket.write_all(b"12345678").await.unwrap();
    let mut rest = Vec::new();
    timeout(SOON, socket.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert_eq!(rest, b"1234");
}

#[tokio::test]
async fn what_is_frozen_stays_so_and_keeps_its_connection() {
    let path = path().await;
    let mut socket = connect(&path).await;
    echo(&mut socket, b"hello", SOON).await.unwrap();
    path.change(|condition| condition.freezes += 1);
    assert_eq!(echo(&mut socket, b"anybody?", A_MOMENT).await, None, "no byte, and no end");
    path.change(Condition::mend);
    assert_eq!(echo(&mut socket, b"now?", A_MOMENT).await, None);
    echo(&mut connect(&path).await, b"again", SOON).await.unwrap();
}

#[tokio::test]
async fn a_slow_line_is_slow_and_a_long_one_late() {
    let path = path().await;
    let mut socket = connect(&path).await;
    path.change(|condition| condition.bytes_each_second = Some(1_000));
    let took = echo(&mut socket, &[b'x'; 500], SOON).await.unwrap();
    assert!(took >= Duration::from_millis(400), "{took:?}");
    path.change(|condition| {
        condition.mend();
        condition.delay = Duration::from_millis(100);
    });
    let took = echo(&mut socket, b"hello", SOON).await.unwrap();
    assert!(took >= Duration::from_millis(190), "both ways: {took:?}");
}

#[tokio::test]
async fn what_is_held_back_comes_at_the_end_or_when_there_is_too_much() {
    let path = path().await;
    let mut socket = connect(&path).await;
    path.change(|condition| condition.holds_back = true);
    assert_eq!(echo(&mut socket, b"hello", A_MOMENT).await, None);
    path.change(Condition::mend);
    let mut back = [0; 5];
    timeout(SOON, socket.read_exact(&mut back)).await.unwrap().unwrap();
    assert_eq!(&back, b"hello");

    path.change(|condition| condition.holds_back = true);
    sleep(A_MOMENT).await;
    let (mut from, mut to) = socket.split();
    let text = vec![b'x'; 100_000];
    let mut back = vec![0; 64_000];
    let (sent, read) = tokio::join!(to.write_all(&text), timeout(SOON, from.read_exact(&mut back)));
    sent.unwrap();
    read.expect("a proxy has room for so much").unwrap();
}

#[tokio::test]
async fn upgrades_are_refused_and_nothing_else() {
    let path = path().await;
    let plain = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let upgrade = b"GET / HTTP/1.1\r\nhost: a\r\nUpgrade: websocket\r\n\r\n";
    for (refusal, answer) in [(Refusal::Answer, &b"HTTP/1.1 400"[..]), (Refusal::Close, b"")] {
        path.change(|condition| condition.refuses_upgrades = Some(refusal));
        echo(&mut connect(&path).await, plain, SOON).await.unwrap();
        let mut socket = connect(&path).await;
        socket.write_all(upgrade).await.unwrap();
        let mut rest = Vec::new();
        timeout(SOON, socket.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert!(rest.starts_with(answer) && rest.is_empty() == answer.is_empty(), "{rest:?}");
    }
    path.change(Condition::mend);
    echo(&mut connect(&path).await, upgrade, SOON).await.unwrap();
}

#[tokio::test]
async fn what_is_sent_while_a_path_is_down_waits() {
    let path = path().await;
    let mut socket = connect(&path).await;
    echo(&mut socket, b"hello", SOON).await.unwrap();
    path.change(|condition| condition.is_down = true);
    assert_eq!(echo(&mut socket, b"anybody?", A_MOMENT).await, None, "no byte, and no end");
    let mut late = connect(&path).await;
    assert_eq!(echo(&mut late, b"hello", A_MOMENT).await, None);
    // Who gives up is counted no more.
    let gone = connect(&path).await;
    drop(gone);
    let leaves = async {
        while path.tally().held() != 2 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, leaves).await.unwrap();
    path.change(|condition| condition.is_down = false);
    for (socket, text) in [(&mut socket, &b"anybody?"[..]), (&mut late, b"hello")] {
        let mut back = vec![0; text.len()];
        timeout(SOON, socket.read_exact(&mut back)).await.unwrap().unwrap();
        assert_eq!(back, text);
    }
}

#[tokio::test]
async fn event_streams_are_held_back_and_nothing_else() {
    let path = path().await;
    path.change(|condition| condition.holds_streams = true);
    let mut socket = connect(&path).await;
    echo(&mut socket, b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{}", SOON).await.unwrap();
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: tidings\n\n";
    assert_eq!(echo(&mut socket, head, A_MOMENT).await, None);
    path.change(|condition| condition.holds_streams = false);
    let mut back = vec![0; head.len()];
    timeout(SOON, socket.read_exact(&mut back)).await.unwrap().unwrap();
    assert_eq!(back, head);
    // A stream that flows is held back from then on, too.
    path.change(|condition| condition.holds_streams = true);
    assert_eq!(echo(&mut socket, b"data: 1\n\n", A_MOMENT).await, None);
}

#[tokio::test]
async fn what_crosses_is_counted() {
    let path = path().await;
    let mut socket = connect(&path).await;
    echo(&mut socket, b"hello", SOON).await.unwrap();
    echo(&mut connect(&path).await, b"hi", SOON).await.unwrap();
    let tally = path.tally();
    assert_eq!((tally.up(), tally.down(), tally.opened()), (7, 7, 2));
}
