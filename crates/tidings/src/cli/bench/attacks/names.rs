//! An attack by names: channels that nobody else reads, as many as can be named.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use super::arena::Arena;
use super::wire::{Wire, answer, closing, frame, get, open, post};

/// Names in one request to `/v1/subscribe`, its most.
const MANY: usize = 100;
/// Names that one session reads, its most, and that one batch publishes to.
const MORE: usize = 1_000;

/// Distinct channels, polled: 100 a request, 40,000 a second.
pub async fn polled(arena: Arena) {
    arena.crowd(400, 8, |arena, n| subscribe(arena, n, "poll", "")).await;
}

/// Distinct channels, as event streams of 100 that are left at once: 20,000 a second.
pub async fn streamed(arena: Arena) {
    arena.crowd(200, 8, |arena, n| subscribe(arena, n, "stream", "Accept: text/event-stream\r\n")).await;
}

/// Distinct channels, subscribed 1,000 a session: 20,000 a second, each for two seconds.
pub async fn subscribed(arena: Arena) {
    arena.crowd(20, 50, session).await;
}

/// Distinct channels, each with one message: 1,000 a batch, 10,000 a second.
pub async fn published(arena: Arena) {
    arena.crowd(10, 2, publish).await;
}

async fn subscribe(
    arena: Arena,
    number: usize,
    kind: &'static str,
    headers: &'static str,
) -> io::Result<String> {
    let names = (0..MANY).map(|n| format!("channel=open:{kind}{}", number * MANY + n)).collect::<Vec<_>>();
    let mut wire = arena.connect().await?;
    wire.write_all(get(&format!("/v1/subscribe?{}", names.join("&")), headers).as_bytes()).await?;
    let got = answer(&mut wire).await?;
    arena.add("names read", MANY as u64);
    Ok(format!("{kind} {got}"))
}

async fn session(arena: Arena, number: usize) -> io::Result<String> {
    let mut wire: Wire = arena.connect().await?;
    open(&mut wire, "/v1/connect", "Sec-WebSocket-Protocol: tidings.v1\r\n").await?;
    let (mut read, mut write) = tokio::io::split(wire);
    let sending = async {
        for n in 0..MORE {
            let name = format!("open:session{}", number * MORE + n);
            let ask = format!("{{\"id\":{n},\"subscribe\":{{\"channel\":\"{name}\"}}}}");
            write.write_all(&frame(0x81, ask.as_bytes())).await?;
        }
        arena.add("names read", MORE as u64);
        sleep(Duration::from_secs(2)).await;
        io::Result::Ok("session left".to_owned())
    };
    tokio::select! {
        end = closing(&mut read) => end,
        end = sending => end,
    }
}

async fn publish(arena: Arena, number: usize) -> io::Result<String> {
    let message = |n: usize| format!("{{\"channel\":\"open:batch{}\",\"data\":1}}", number * MORE + n);
    let body = format!("{{\"messages\":[{}]}}", (0..MORE).map(message).collect::<Vec<_>>().join(","));
    let mut wire = arena.connect().await?;
    let head = post("/v1/publish", arena.tokens().good(), "application/json", body.len());
    wire.write_all(format!("{head}{body}").as_bytes()).await?;
    let got = answer(&mut wire).await?;
    arena.add("names written", MORE as u64);
    Ok(format!("batch {got}"))
}
