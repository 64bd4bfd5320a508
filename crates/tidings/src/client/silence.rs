//! A socket that counts as dead when it says nothing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A socket whose reads fail with `TimedOut` after a time without a byte.
///
/// It counts bytes and not frames, so that a large message on a slow line is no silence.
#[derive(Debug)]
pub(super) struct Watched<S> {
    socket: S,
    patience: Duration,
    alarm: Pin<Box<Sleep>>,
}

impl<S> Watched<S> {
    pub(super) fn new(socket: S, patience: Duration) -> Self {
        Self { socket, patience, alarm: Box::pin(sleep(patience)) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // The socket first: what came while nobody asked is no silence.
        if let Poll::Ready(read) = Pin::new(&mut this.socket).poll_read(cx, buf) {
            let until = Instant::now() + this.patience;
            this.alarm.as_mut().reset(until);
            return Poll::Ready(read);
        }
        ready!(this.alarm.as_mut().poll(cx));
        let why = format!("nothing came for {} s", this.patience.as_secs_f32());
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn a_byte_now_and_then_is_enough() {
        let (mut near, far) = tokio::io::duplex(8);
        let mut watched = Watched::new(far, Duration::from_millis(200));
        let writer = tokio::spawn(async move {
            for _ in 0..3 {
                sleep(Duration::from_millis(120)).await;
                near.write_all(b"x").await.unwrap();
            }
            near
        });
        for _ in 0..3 {
            assert_eq!(watched.read_u8().await.unwrap(), b'x');
        }
        let _near = writer.await.unwrap();
        assert_eq!(watched.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
