//! The socket of a stream.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

/// A socket that a door writes to directly.
pub enum Socket {
    /// TCP.
    Plain(TcpStream),
}

/// How long, and how much, a socket is read before it is closed.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 1 << 20;

impl Socket {
    /// Reads into `buf`. Zero bytes: the peer is done.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let Socket::Plain(stream) = self;
        let mut buf = ReadBuf::new(buf);
        Pin::new(stream).poll_read(cx, &mut buf).map_ok(|()| buf.filled().len())
    }

    /// Writes from one buffer.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Socket::Plain(stream) = self;
        Pin::new(stream).poll_write(cx, bytes)
    }

    /// Writes from several buffers in one call.
    pub fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Socket::Plain(stream) = self;
        Pin::new(stream).poll_write_vectored(cx, slices)
    }

    /// Ready once the peer has made room in a socket that was full.
    pub fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Socket::Plain(stream) = self;
        stream.poll_write_ready(cx)
    }

    /// Ends the writing side and reads for a moment what the peer still sends:
    /// closing a socket with unread data would reset it, and the peer could
    /// lose what was written last.
    pub async fn linger(self) {
        let Socket::Plain(mut stream) = self;
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut sink = tokio::io::sink();
        let drained = async { tokio::io::copy(&mut (&mut stream).take(LINGER_BYTES), &mut sink).await };
        // Either way the socket is closed now.
        let _ = tokio::time::timeout(LINGER, drained).await;
    }
}
