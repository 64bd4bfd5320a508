//! Attacks by sockets that are opened and used badly, or not at all.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::arena::Arena;
use super::readers::publish;
use super::wire::{answer, drip, get, post};

const SECOND: Duration = Duration::from_secs(1);

/// Connects and says nothing.
pub async fn half_open(arena: Arena) {
    arena.crowd(2_500, 5_000, |arena, _| async move { answer(&mut arena.connect_bare().await?).await }).await;
}

/// A byte of a request's head a second.
pub async fn slow_head(arena: Arena) {
    arena
        .crowd(500, 1_000, |arena, _| slow(arena, Vec::new(), b"GET /v1/channels/open:a HTTP/1.1\r\nX: "))
        .await;
}

/// A byte of a publish's body a second.
pub async fn slow_body(arena: Arena) {
    let head = post("/v1/channels/open:slow", arena.tokens().good(), "text/plain", 100_000);
    arena.crowd(500, 1_000, move |arena, _| slow(arena, head.clone().into_bytes(), b"x")).await;
}

async fn slow(arena: Arena, first: Vec<u8>, then: &'static [u8]) -> io::Result<String> {
    let (mut read, mut write) = tokio::io::split(arena.connect().await?);
    write.write_all(&first).await?;
    let mut bytes = then.iter().copied().chain(std::iter::repeat(b'x'));
    drip(write, SECOND, move || bytes.next().map(|byte| vec![byte]), answer(&mut read)).await
}

/// Connects, asks, and closes without reading; again and again.
pub async fn connect_storm(arena: Arena) {
    arena
        .crowd(2_000, 500, |arena, _| async move {
            let mut socket = arena.connect_bare().await?;
            socket.write_all(get("/v1/channels/beside:ws", "").as_bytes()).await?;
            Ok("left without reading".into())
        })
        .await;
}

/// Requests one behind the other for 100 KB each, whose answers are never read.
pub async fn pipeline(arena: Arena) {
    publish(&arena, "open:large", 100_000).await;
    arena
        .crowd(100, 500, |arena, _| async move {
            let mut socket = arena.connect_small().await?;
            let many = get("/v1/channels/open:large?last=1", "").repeat(20);
            loop {
                // Once the node stops reading, this waits to the end, or to the reset.
                socket.write_all(many.as_bytes()).await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
        .await;
}
