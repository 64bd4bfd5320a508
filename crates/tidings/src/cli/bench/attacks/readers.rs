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
