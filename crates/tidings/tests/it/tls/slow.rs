//! A reader that stops: what TLS and HTTP/2 keep of what was written must hide nothing from the clock of `max_lag`.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_rustls::client::TlsStream;

use super::{Many, Secure};
use crate::node::TestNode;
use crate::raw::soon;
use crate::socket::upgrade;

const ORDERS: &str = "/v1/channels/orders:1";
/// More than all buffers on the way take.
const MESSAGES: usize = 24;
const BYTES: usize = 900_000;
/// At which a slow reader takes them.
const BYTES_EACH_SECOND: f64 = 4.5e6;

async fn node(max_lag: &str) -> Secure {
    let plan = TestNode::new().set(&format!("max_lag = \"{max_lag}\"\nheartbeat = \"1m\""));
    Secure::run(plan.namespace("orders", |n| n)).await
}

async fn fill(many: &Many) {
    for _ in 0..MESSAGES {
        many.publish("orders:1", "x".repeat(BYTES)).await;
    }
}

/// A stream that has begun and of which nothing more is read.
async fn begun(secure: &Secure, request: String) -> TlsStream<TcpStream> {
    let mut stream = secure.one().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut first = [0; 64];
    soon("a head", stream.read_exact(&mut first)).await.unwrap();
    stream
}

fn event_stream() -> String {
    format!("GET {ORDERS} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
}

#[tokio::test]
async fn a_reader_of_tls_that_stops_is_let_go() {
    for request in [upgrade(ORDERS), event_stream()] {
        let secure = node("1s").await;
        let many = secure.many().await;
        let _stream = begun(&secure, request).await;
        secure.reading(1).await;
        fill(&many).await;
        let began = Instant::now();
        secure.reading(0).await;
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}

/// One record and more always waits for this reader; it takes something all the time. Not too slowly:
/// the kernel says that there is room only once a third of its buffer is free.
#[tokio::test]
async fn a_reader_of_tls_that_is_slow_stays_and_loses_nothing() {
    let secure = node("3s").await;
    let many = secure.many().await;
    let mut stream = begun(&secure, event_stream()).await;
    secure.reading(1).await;
    let (began, mut read) = (Instant::now(), 0);
    let mut chunk = vec![0; 64 * 1024];
    // It reads while they are published, which takes a busy machine longer than `max_lag`.
    let reading = async {
        while read < MESSAGES * BYTES {
            let count = soon("bytes", stream.read(&mut chunk)).await.unwrap();
            assert!(count > 0, "it was cut after {read} bytes");
            read += count;
            sleep_until(began + Duration::from_secs_f64(read as f64 / BYTES_EACH_SECOND)).await;
        }
    };
    tokio::join!(fill(&many), reading);
    assert!(began.elapsed() > Duration::from_secs(4), "not slow: {:?}", began.elapsed());
}

#[tokio::test]
async fn a_stream_of_http2_that_is_not_read_is_let_go_and_hinders_no_other() {
    let secure = node("1s").await;
    let many = secure.many().await;
    let stopped = many.sse(ORDERS).await;
    let mut reads = many.sse(ORDERS).await;
    secure.reading(2).await;
    let (_, ()) = tokio::join!(fill(&many), async {
        for _ in 0..MESSAGES {
            assert_eq!(reads.event().await.1.len(), BYTES + 2);
        }
    });
    secure.reading(1).await;
    many.publish("orders:1", "on").await;
    assert_eq!(reads.event().await.1, "\"on\"");
    // What it had begun comes, and then the break: it is to come back with its cursor.
    let mut stopped = stopped;
    let broken = soon("the break", async {
        loop {
            match http_body_util::BodyExt::frame(&mut stopped.body).await {
                Some(Ok(_)) => {}
                other => break other,
            }
        }
    });
    assert!(matches!(broken.await, Some(Err(_))));
}

/// A page is megabytes, and what one peer leaves unread of many would fill the node.
#[tokio::test]
async fn a_page_over_http2_that_is_not_read_ends_its_connection_and_a_slow_one_comes_whole() {
    let secure = node("1s").await;
    let (many, idle) = (secure.many().await, secure.many().await);
    fill(&many).await;
    let mut slow = many.get(ORDERS, &[]).await.body;
    let mut unread = idle.get(ORDERS, &[]).await.body;
    let mut read = 0;
    let began = Instant::now();
    while let Some(frame) = soon("a frame", http_body_util::BodyExt::frame(&mut slow)).await {
        read += frame.unwrap().into_data().unwrap().len();
        if began.elapsed() < Duration::from_secs(4) {
            sleep(Duration::from_millis(200)).await;
        }
    }
    assert!(read > 7_000_000, "{read} bytes");
    let end = soon("the end", async {
        loop {
            match http_body_util::BodyExt::frame(&mut unread).await {
                Some(Ok(_)) => {}
                other => break other,
            }
        }
    });
    assert!(matches!(end.await, Some(Err(_))), "it is cut off");
}
