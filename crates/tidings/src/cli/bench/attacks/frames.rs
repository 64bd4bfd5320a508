//! Attacks by WebSocket frames.

use std::io::{self, Write as _};
use std::time::Duration;

use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::arena::Arena;
use super::wire::{Wire, closing, drip, frame, frame_head, open};

const PATH: &str = "/v1/channels/open:frames";
const TEXT: u8 = 0x81;
const PING: u8 = 0x89;
/// A text frame that is not the last of its message; those that go on with it.
const BEGIN: u8 = 0x01;
const GO_ON: u8 = 0x00;
/// A text frame that is compressed (RFC 7692).
const DEFLATED: u8 = 0xc1;

/// A frame that says to be 1 GiB, and comes as fast as it is taken.
pub async fn oversized(arena: Arena) {
    arena
        .crowd(100, 100, |arena, _| async move {
            let wire = socket(&arena).await?;
            let mut pieces =
                std::iter::once(frame_head(TEXT, 1 << 30)).chain(std::iter::repeat(vec![b'x'; 16 << 10]));
            let (mut read, write) = tokio::io::split(wire);
            drip(write, Duration::from_millis(10), move || pieces.next(), closing(&mut read)).await
        })
        .await;
}

/// A message in fragments of 16 KiB that never ends.
pub async fn endless(arena: Arena) {
    arena.crowd(50, 100, |arena, _| fragments(arena, frame(GO_ON, &[b'x'; 16 << 10]), 10)).await;
}

/// A message in fragments of one byte that never ends: 1,000 at a time, 10 times a second on each socket.
pub async fn tiny(arena: Arena) {
    arena.crowd(50, 20, |arena, _| fragments(arena, frame(GO_ON, b"x").repeat(1_000), 100)).await;
}

/// A message in empty fragments that never ends, as fast.
pub async fn empty(arena: Arena) {
    arena.crowd(50, 20, |arena, _| fragments(arena, frame(GO_ON, b"").repeat(1_000), 100)).await;
}

async fn fragments(arena: Arena, piece: Vec<u8>, pause_ms: u64) -> io::Result<String> {
    let (mut read, write) = tokio::io::split(socket(&arena).await?);
    let mut pieces = std::iter::once(frame(BEGIN, b"{\"data\":\"")).chain(std::iter::repeat(piece));
    drip(write, Duration::from_millis(pause_ms), move || pieces.next(), closing(&mut read)).await
}

/// A frame of 64 KiB that becomes 64 MiB.
pub async fn bomb(arena: Arena) {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    let piece = vec![b'0'; 1 << 20];
    let packed = (0..64).try_for_each(|_| encoder.write_all(&piece)).and_then(|()| encoder.finish());
    let Ok(packed) = packed else { return arena.broken("the bomb cannot be built") };
    let bomb = frame(DEFLATED, &packed);
    arena
        .crowd(50, 50, |arena, _| {
            let bomb = bomb.clone();
            async move {
                let (mut read, write) = tokio::io::split(socket(&arena).await?);
                let mut pieces = std::iter::once(bomb);
                drip(write, Duration::ZERO, move || pieces.next(), closing(&mut read)).await
            }
        })
        .await;
}

/// Pings of 125 bytes, 200 at a time and 10 times a second on each socket; the answers are read.
pub async fn pings(arena: Arena) {
    let pings = frame(PING, &[b'x'; 125]).repeat(200);
    arena
        .crowd(50, 20, |arena, _| {
            let pings = pings.clone();
            async move {
                let (mut read, write) = tokio::io::split(socket(&arena).await?);
                drip(write, Duration::from_millis(100), move || Some(pings.clone()), closing(&mut read)).await
            }
        })
        .await;
}

async fn socket(arena: &Arena) -> io::Result<Wire> {
    let mut wire = arena.connect().await?;
    open(&mut wire, PATH, &format!("Authorization: Bearer {}\r\n", arena.tokens().good())).await?;
    Ok(wire)
}
