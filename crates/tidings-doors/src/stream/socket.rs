//! The socket of a stream.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::{Meter, Pipe};

/// Where a door writes to directly, and reads what the peer sends.
pub enum Socket {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP. In a box, so that plain connections stay small.
    Tls(Box<TlsStream<Meter>>),
    /// The body of a reply over HTTP/2, which is no socket of its own.
    Pipe(Pipe),
}

/// How long, and how much, a socket is read before it is closed.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 1 << 20;

impl Socket {
    /// Reads into `buf`. Zero bytes: the peer is done.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(AsyncRead::poll_read(Pin::new(self), cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    /// Writes from one buffer. What is taken goes out, if the peer takes it: see [`Socket::poll_flush`].
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(self), cx, bytes)
    }

    /// Writes from several buffers in one call.
    pub fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write_vectored(Pin::new(self), cx, slices)
    }

    /// Ready once nothing is held back here of what was written: TLS keeps a
    /// record or so that the kernel did not take, and a pipe what no one has fetched.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            // What it takes the kernel has.
            Socket::Plain(_) => Poll::Ready(Ok(())),
            _ => AsyncWrite::poll_flush(Pin::new(self), cx),
        }
    }

    /// Whether something is held back here.
    pub fn holds(&self) -> bool {
        match self {
            Socket::Plain(_) => false,
            Socket::Tls(stream) => stream.get_ref().1.wants_write(),
            Socket::Pipe(pipe) => pipe.holds(),
        }
    }

    /// Whether the other side has taken something since this was last asked; the last write took `written`.
    pub fn took(&mut self, written: usize) -> bool {
        match self {
            Socket::Plain(_) => written > 0,
            Socket::Tls(stream) => stream.get_mut().0.took(),
            Socket::Pipe(pipe) => pipe.took(),
        }
    }

    /// Ready once the peer has made room in a socket that was full.
    pub fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Plain(stream) => stream.poll_write_ready(cx),
            // What is flushed has left room.
            _ => self.poll_flush(cx),
        }
    }

    /// Ends the writing side and reads for a moment what the peer still sends:
    /// closing a socket with unread data would reset it, and the peer could
    /// lose what was written last.
    pub async fn linger(self) {
        match self {
            Socket::Plain(stream) => close(stream).await,
            Socket::Tls(stream) => close(stream).await,
            Socket::Pipe(pipe) => pipe.end(),
        }
    }
}

/// All of it is bounded: where the socket is full, TLS could not even say that it ends.
async fn close(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let closed = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut stream).take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // Either way the socket is closed now.
    let _ = tokio::time::timeout(LINGER, closed).await;
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Socket::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            // Nothing comes up a body; that it is dropped is the end.
            Socket::Pipe(pipe) => pipe.poll_gone(cx).map(Ok),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Socket::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Socket::Pipe(pipe) => pipe.poll_write(cx, &[IoSlice::new(bytes)]),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Socket::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Socket::Pipe(pipe) => pipe.poll_write(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Pipe(pipe) => pipe.poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Pipe(pipe) => pipe.poll_flush(cx),
        }
    }
}
