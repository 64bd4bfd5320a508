//! The first request of a connection, as far as a proxy looks at it.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// A head may be so long.
pub const HEAD_MAX: usize = 64 << 10;

/// And may take so long.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// What a proxy that knows no WebSocket answers.
pub const REFUSAL: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/html\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Reads the first head, which begins with what came already, and what comes with it. `None` if none comes.
pub async fn first_head(client: &mut (impl AsyncRead + Unpin), mut head: Vec<u8>) -> Option<Vec<u8>> {
    let reading = async {
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            if head.len() > HEAD_MAX || client.read_buf(&mut head).await.ok()? == 0 {
                return None;
            }
        }
        Some(head)
    };
    tokio::time::timeout(HEAD_TIME, reading).await.ok()?
}

/// Whether it asks for a WebSocket.
pub fn is_upgrade(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    text.split("\r\n").any(|line| line.split(':').map(str::trim).eq(["upgrade", "websocket"]))
}

/// Whether a response begins with these bytes, and is an event stream. They come in one piece from a node, and no
/// client of a path sends a request before the last one was answered.
pub fn begins_stream(bytes: &[u8]) -> Option<bool> {
    if !bytes.starts_with(b"HTTP/1.1 ") {
        return None;
    }
    let end = bytes.windows(4).position(|end| end == b"\r\n\r\n").unwrap_or(bytes.len());
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    Some(head.contains("content-type: text/event-stream"))
}
