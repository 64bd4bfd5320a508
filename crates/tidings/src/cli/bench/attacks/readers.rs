//! Attacks by readers that take what they asked for slowly, or not at all.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::arena::Arena;
use super::wire::{answer, get, is_alive, post, upgrade};

/// How long before the end it is seen who was let go.
const LAST_LOOK: Duration = Duration::from_millis(500);
/// Large messages fill a page with few of them.
const LARGE: usize = 100_000;

/// Pages of 8 MiB, read at 4 KiB a second.
pub async fn slow_pages(arena: Arena) {
    for _ in 0..90 {
        publish(&arena, "open:pages", LARGE).await;
    }
    arena
        .crowd(100, 500, |arena, _| async move {
            let mut socket = arena.connect_small().await?;
            socket.write_all(get("/v1/channels/open:pages?limit=1000", "").as_bytes()).await?;
            let mut piece = [0; 4096];
            while socket.read(&mut piece).await? > 0 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Ok("read all, or was cut off".into())
        })
        .await;
}

/// Event streams of a busy channel that are never read.
pub async fn unread_streams(arena: Arena) {
    unread(arena, get("/v1/channels/open:busy", "Accept: text/event-stream\r\n")).await;
}

/// WebSockets on a busy channel that are never read.
pub async fn unread_sockets(arena: Arena) {
    unread(arena, upgrade("/v1/channels/open:busy", "")).await;
}

async fn unread(arena: Arena, request: String) {
    let busy = async {
        loop {
            publish(&arena, "open:busy", 10_000).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let readers = arena.crowd(200, 500, |arena, _| {
        let request = request.clone();
        async move {
            let mut socket = arena.connect_small().await?;
            socket.write_all(request.as_bytes()).await?;
            arena.nearly_over(LAST_LOOK).await;
            let alive = is_alive(&mut socket, LAST_LOOK / 2).await;
            Ok(if alive { "served to the end" } else { "let go after max_lag" }.into())
        }
    });
    tokio::select! {
        () = readers => {}
        () = busy => {}
    }
}

/// Publishes so many bytes of text, as an ordinary user.
pub async fn publish(arena: &Arena, channel: &str, length: usize) {
    let sent = async {
        let mut wire = arena.connect().await?;
        let head = post(&format!("/v1/channels/{channel}"), arena.tokens().good(), "text/plain", length);
        wire.write_all(&[head.as_bytes(), &vec![b'x'; length]].concat()).await?;
        answer(&mut wire).await
    };
    let got: io::Result<String> = sent.await;
    if !got.as_ref().is_ok_and(|got| got == "200") {
        arena.broken(format!("a good publish was refused: {got:?}"));
    }
}

/// Readers who were cut off together and come back together, half as event streams and half as WebSockets: each
/// with its cursor, for one message that it missed. Who is told to come back later does so when it was told.
pub async fn reconnect_storm(arena: Arena) {
    let cursor = newest(&arena, "open:storm").await;
    publish(&arena, "open:storm", MISSED.len()).await;
    let path = format!("/v1/channels/open:storm?after={}", cursor.unwrap_or_default());
    // No client waits for another one.
    arena
        .crowd(50_000, 5_000, |arena, number| {
            let path = path.clone();
            async move {
                let request = match number % 2 {
                    0 => get(&path, "Accept: text/event-stream\r\n"),
                    // Without compression, so that the message can be found in the bytes.
                    _ => upgrade(&path, "").replace("Sec-WebSocket-Extensions: permessage-deflate\r\n", ""),
                };
                let mut told = 0;
                loop {
                    let mut socket = arena.connect_bare().await?;
                    socket.write_all(request.as_bytes()).await?;
                    match missed(&mut socket).await? {
                        Some(retry) => {
                            told += 1;
                            tokio::time::sleep(retry).await;
                        }
                        None => {
                            arena.add("back, with what was missed", 1);
                            arena.add("told to come back later", told);
                            arena.nearly_over(LAST_LOOK).await;
                            let alive = is_alive(&mut socket, LAST_LOOK / 2).await;
                            return Ok(if alive { "served to the end" } else { "cut off again" }.into());
                        }
                    }
                }
            }
        })
        .await;
}

/// What [`publish`] publishes.
const MISSED: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
/// Where nothing is said of when to come back.
const RETRY: Duration = Duration::from_secs(1);

/// Reads until the missed message has come. Where the connection ends before, when to come back.
async fn missed(socket: &mut tokio::net::TcpStream) -> io::Result<Option<Duration>> {
    let mut seen = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&seen).into_owned();
        if text.contains(MISSED) {
            return Ok(None);
        }
        if seen.len() > LARGE || socket.read_buf(&mut seen).await? == 0 {
            let retry =
                text.split("retry: ").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
            return Ok(Some(retry.map_or(RETRY, Duration::from_millis)));
        }
    }
}

/// The cursor of a channel's end.
async fn newest(arena: &Arena, channel: &str) -> Option<String> {
    let mut wire = arena.connect().await.ok()?;
    let target = format!("/v1/channels/{channel}?after=latest");
    wire.write_all(get(&target, "").as_bytes()).await.ok()?;
    let answer = super::wire::raw_answer(&mut wire).await.ok()?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    Some(text.split_once("\"cursor\":\"")?.1.split('"').next()?.to_owned())
}
