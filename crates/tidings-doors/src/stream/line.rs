//! A socket, and what has begun to go out on it and has not left yet.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::time::Instant;

use super::{Run, Socket};

/// A socket with the rest of a unit that it did not take, and the replies that wait behind it.
///
/// Nothing is pending while the connection keeps up. The bound is one unit, and
/// what the door queues while it reads nothing more from the client.
pub struct Line {
    socket: Socket,
    pending: VecDeque<Bytes>,
    blocked_since: Option<Instant>,
    wrote: bool,
}

/// One thing to write, which must not be torn: the private line before it, if any, and the shared bytes.
#[derive(Debug, Default, Clone)]
pub struct Unit {
    /// Of this connection alone; often empty.
    pub private: Bytes,
    /// Shared by all who read the same.
    pub shared: Bytes,
}

const SLICES: usize = 64;

impl Line {
    /// A line with nothing to write.
    pub fn new(socket: Socket) -> Self {
        Line { socket, pending: VecDeque::new(), blocked_since: None, wrote: false }
    }

    /// Reads into `buf`. Zero bytes: the peer is done.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.socket.poll_read(cx, buf)
    }

    /// Whether the socket took something since this was last asked. A flag and
    /// not a time: a stream reads the clock once a turn, whatever it wrote.
    pub fn take_wrote(&mut self) -> bool {
        std::mem::take(&mut self.wrote)
    }

    /// Closes the socket in good order; see [`Socket::linger`].
    pub async fn linger(self) {
        self.socket.linger().await;
    }

    /// Queues bytes behind what is pending.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.pending.push_back(bytes);
        }
    }

    /// Whether all that began has left.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty() && !self.socket.holds()
    }

    /// Since when the socket has taken nothing, though something was to be written.
    pub fn blocked_since(&self) -> Option<Instant> {
        self.blocked_since
    }

    /// Writes what is pending. Ready where the socket takes more.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pending.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            for (slice, bytes) in slices.iter_mut().zip(&self.pending) {
                *slice = IoSlice::new(bytes);
                count += 1;
            }
            let written = self.socket.poll_write_vectored(cx, &slices[..count]);
            let mut written = ready!(self.noted(cx, written))?;
            while let Some(first) = self.pending.front_mut() {
                if written < first.len() {
                    first.advance(written);
                    break;
                }
                written -= first.len();
                self.pending.pop_front();
            }
        }
        // Give the memory of a rare event back.
        if self.pending.capacity() > 0 {
            self.pending = VecDeque::new();
        }
        self.poll_socket(cx)
    }

    /// Writes units in one call. Gives the number of those that began to go out;
    /// the rest of the last of them is pending now. Call only while nothing is.
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        units: &[Unit],
        run: &mut Run,
    ) -> Poll<io::Result<usize>> {
        debug_assert!(self.pending.is_empty());
        let mut written = match units {
            [] => return Poll::Ready(Ok(0)),
            [Unit { private, shared }] if private.is_empty() => {
                let written = self.socket.poll_write(cx, shared);
                ready!(self.noted(cx, written))?
            }
            _ if let Some(joined) = run.join(units) => {
                let written = self.socket.poll_write(cx, joined);
                ready!(self.noted(cx, written))?
            }
            _ => {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let mut count = 0;
                let parts = units.iter().flat_map(|unit| [&unit.private, &unit.shared]);
                for (slice, bytes) in slices.iter_mut().zip(parts.filter(|bytes| !bytes.is_empty())) {
                    *slice = IoSlice::new(bytes);
                    count += 1;
                }
                let written = self.socket.poll_write_vectored(cx, &slices[..count]);
                ready!(self.noted(cx, written))?
            }
        };
        let mut begun = 0;
        for unit in units {
            if written == 0 {
                break;
            }
            begun += 1;
            for part in [&unit.private, &unit.shared] {
                let taken = written.min(part.len());
                written -= taken;
                if taken < part.len() {
                    self.pending.push_back(part.slice(taken..));
                }
            }
        }
        Poll::Ready(Ok(begun))
    }

    /// Notes what a write came to. What TLS or a pipe accepted is out only once
    /// the other side has taken it, and counts as stuck until then.
    fn noted(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(written)) => {
                let took = self.socket.took(written);
                self.note(took, false);
                if self.socket.holds() {
                    // Pending: the next turn begins by flushing it.
                    let _ = self.poll_socket(cx)?;
                }
                Poll::Ready(Ok(written))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let took = self.socket.took(0);
                self.note(took, true);
                Poll::Pending
            }
        }
    }

    /// Ready once the socket holds nothing back.
    fn poll_socket(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = match self.blocked_since {
            None => self.socket.poll_flush(cx),
            // Full on the edge of a unit. Whoever writes next would prepare it in vain, at each message that comes.
            Some(_) => self.socket.poll_writable(cx),
        };
        let took = self.socket.took(0);
        self.note(took, flushed.is_pending());
        if flushed.is_ready() {
            self.blocked_since = None;
        }
        flushed
    }

    /// Notes whether the other side took something, and whether something waits for it.
    fn note(&mut self, took: bool, waits: bool) {
        if took {
            self.wrote = true;
            self.blocked_since = None;
        }
        if waits {
            self.blocked_since.get_or_insert_with(Instant::now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpSocket, TcpStream};

    use super::*;

    /// A socket that holds little, and its peer.
    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(4 * 1024).unwrap();
        let socket = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        (Socket::Plain(socket), listener.accept().await.unwrap().0)
    }

    /// Whoever asks whether it may write learns that it may not, though nothing of a unit is pending.
    #[tokio::test]
    async fn a_socket_that_is_full_on_the_edge_of_a_unit_is_not_flushed() {
        let (socket, mut peer) = pair().await;
        let (mut line, mut run) = (Line::new(socket), Run::default());
        let unit = [Unit { private: Bytes::new(), shared: Bytes::from_static(b"x") }];
        // Until the kernel takes nothing for a while: one byte is taken, or it is not.
        let mut is_full = false;
        for _ in 0..1_000 {
            let fill = poll_fn(|cx| {
                while line.poll_send(cx, &unit, &mut run).is_ready() {}
                Poll::Ready(())
            });
            tokio::task::coop::unconstrained(fill).await;
            assert!(line.is_empty() && line.blocked_since().is_some());
            let flush = poll_fn(|cx| line.poll_flush(cx));
            is_full = tokio::time::timeout(Duration::from_millis(100), flush).await.is_err();
            if is_full {
                break;
            }
        }
        assert!(is_full);
        let mut sink = vec![0; 1 << 20];
        while tokio::time::timeout(Duration::from_millis(200), peer.read(&mut sink)).await.is_ok() {}
        let flush = poll_fn(|cx| line.poll_flush(cx));
        tokio::time::timeout(Duration::from_secs(10), flush).await.unwrap().unwrap();
        assert!(line.blocked_since().is_none());
    }
}
