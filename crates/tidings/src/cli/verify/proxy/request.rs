//! The first request of a connection, as far as a proxy looks at it.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// A head may be so long.
const HEAD_MAX: usize = 64 << 10;

/// And may take so long.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// What a proxy that knows no WebSocket answers.
pub const REFUSAL: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/html\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Reads the first head, and what comes with it. `None` if none comes.
pub async fn first_head(client: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let reading = async {
        let mut head = Vec::new();
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
