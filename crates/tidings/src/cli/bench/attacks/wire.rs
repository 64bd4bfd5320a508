//! The few bytes of HTTP and WebSocket that attackers speak, and what they read back.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A connection, with TLS or without.
pub type Wire = Box<dyn Duplex>;

/// What can be read and written.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// An answer longer than this is not read to its end.
const ANSWER_MAX: usize = 64 * 1024;

/// A request without a body.
pub fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
}

/// A request with a body, by the bearer of a token.
pub fn post(path: &str, token: &str, kind: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

/// The request for a WebSocket that may compress.
pub fn upgrade(path: &str, headers: &str) -> String {
    let ask = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
               Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";
    get(path, &format!("{ask}{headers}"))
}

/// A client's frame, masked with a key of zeros, which leaves the payload as it is.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = frame_head(first, payload.len() as u64);
    out.extend_from_slice(payload);
    out
}

/// The head of a frame that says to be so long.
pub fn frame_head(first: u8, length: u64) -> Vec<u8> {
    let mut out = vec![first];
    match length {
        0..=125 => out.push(0x80 | length as u8),
        126..=0xffff => {
            out.push(0x80 | 126);
            out.extend((length as u16).to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend(length.to_be_bytes());
        }
    }
    out.extend([0; 4]);
    out
}

/// Reads one answer of HTTP: its status and the code of its problem.
pub async fn answer(wire: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    Ok(word(&raw_answer(wire).await?))
}

/// Reads one answer of HTTP; an endless one, such as an event stream, up to the end of its head.
pub async fn raw_answer(wire: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut seen = Vec::new();
    while !is_whole(&seen) && seen.len() < ANSWER_MAX {
        if wire.read_buf(&mut seen).await? == 0 {
            if seen.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            break;
        }
    }
    Ok(seen)
}

fn is_whole(seen: &[u8]) -> bool {
    let Some(end) = seen.windows(4).position(|end| end == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&seen[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    length.is_none_or(|length: usize| seen.len() >= end + 4 + length)
}

fn word(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    let status = text.split(' ').nth(1).unwrap_or("no HTTP").get(..3).unwrap_or("no HTTP").to_owned();
    match code(&text) {
        Some(code) => format!("{status} {code}"),
        None => status,
    }
}

/// The `code` of a problem in a text.
fn code(text: &str) -> Option<&str> {
    text.split_once("\"code\":\"")?.1.split('"').next()
}

/// A WebSocket that is open.
pub async fn open(wire: &mut Wire, path: &str, headers: &str) -> io::Result<()> {
    wire.write_all(upgrade(path, headers).as_bytes()).await?;
    let mut head = Vec::new();
    // Byte by byte: what follows the head are frames.
    while !head.ends_with(b"\r\n\r\n") && head.len() < ANSWER_MAX {
        head.push(wire.read_u8().await?);
    }
    match head.starts_with(b"HTTP/1.1 101") {
        true => Ok(()),
        false => Err(io::Error::other(word(&head))),
    }
}

/// Reads a WebSocket until it is closed, and says with which code.
pub async fn closing(wire: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut wire = tokio::io::BufReader::new(wire);
    loop {
        let first = wire.read_u8().await?;
        let length = match wire.read_u8().await? & 127 {
            126 => u64::from(wire.read_u16().await?),
            127 => wire.read_u64().await?,
            short => u64::from(short),
        };
        if first & 15 != 8 {
            tokio::io::copy(&mut (&mut wire).take(length), &mut tokio::io::sink()).await?;
            continue;
        }
        if length < 2 {
            return Ok("close".into());
        }
        let number = wire.read_u16().await?;
        let mut reason = String::new();
        (&mut wire).take(length - 2).read_to_string(&mut reason).await?;
        return Ok(format!("close {number} {}", code(&reason).unwrap_or_default()).trim_end().to_owned());
    }
}

/// Sends a piece after each pause, until `next` has none, whatever `end` reads; the read decides.
pub async fn drip<T>(
    mut to: impl AsyncWrite + Unpin,
    pause: Duration,
    mut next: impl FnMut() -> Option<Vec<u8>>,
    end: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let sending = async {
        while let Some(piece) = next() {
            if to.write_all(&piece).await.is_err() {
                break;
            }
            tokio::time::sleep(pause).await;
        }
        // Why it takes no more is what is read.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        end = end => end,
        () = sending => Err(io::ErrorKind::Other.into()),
    }
}

/// Whether a connection that was not read for long is still served: reads for so long, or to its end.
pub async fn is_alive(wire: &mut (impl AsyncRead + Unpin), time: Duration) -> bool {
    tokio::time::timeout(time, tokio::io::copy(wire, &mut tokio::io::sink())).await.is_err()
}
