//! An open WebSocket: messages in, frames out, and the rules between (RFC 6455).
//!
//! Whoever owns it polls it: nothing here runs by itself. It answers pings,
//! notices a peer that is gone, and performs the closing handshake.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use soketto::base::OpCode;
use tokio::time::Instant;

use crate::stream::{Line, Scratch, Socket};

use super::decoder::{Decoder, Event, Violation};
use super::deflate::Deflate;
use super::frame;

/// An open WebSocket.
pub struct Connection {
    /// Where frames go out.
    pub line: Line,
    /// The compression that was agreed.
    pub deflate: Option<Deflate>,
    decoder: Decoder,
    /// Bytes that were read and not decoded yet, since the owner takes one message at a time.
    unread: Bytes,
    /// When something last came in or went out, as of the last [`Connection::heartbeat`].
    active: Instant,
    /// Whether something came in since.
    heard: bool,
    /// When a ping went out that is not answered.
    pinged: Option<Instant>,
    heartbeat: Duration,
    /// What asks the peer whether it is there.
    beat: Bytes,
}

/// A message from the client.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// Valid UTF-8.
    Text(Vec<u8>),
    /// Anything.
    Binary(Vec<u8>),
}

/// Why a connection ends.
#[derive(Debug)]
pub enum Closed {
    /// The peer began the closing handshake; it is to be answered with this code.
    ByPeer(Option<u16>),
    /// The peer broke the protocol.
    Violation(Violation),
    /// A ping was not answered.
    Silent,
    /// The socket failed or ended without a handshake.
    Lost,
}

/// A ping without a payload (section 5.5.2).
const PING: Bytes = Bytes::from_static(b"\x89\x00");
/// How long a ping may stay unanswered.
const PONG_WAIT: Duration = Duration::from_secs(10);
/// How long the peer may take to answer a close.
const CLOSE_WAIT: Duration = Duration::from_secs(5);
/// Read and thrown away while waiting for the peer's close.
const CLOSE_READS_MAX: usize = 1_024;

impl Connection {
    /// A connection on a socket that is upgraded already; `ahead` was read past the request.
    pub fn new(socket: Socket, ahead: Bytes, message_bytes_max: usize, heartbeat: Duration) -> Self {
        Connection {
            line: Line::new(socket),
            deflate: None,
            decoder: Decoder::new(message_bytes_max),
            // An empty slice of hyper's buffer would keep all of that buffer.
            unread: if ahead.is_empty() { Bytes::new() } else { ahead },
            active: Instant::now(),
            heard: false,
            pinged: None,
            heartbeat,
            beat: PING,
        }
    }

    /// The same, with the compression that the handshake agreed on.
    pub fn deflating(mut self, deflate: Option<Deflate>) -> Self {
        self.deflate = deflate;
        self.decoder.inflates(deflate.is_some());
        self
    }

    /// Queues a message of this connection alone.
    pub fn push(&mut self, opcode: OpCode, payload: &[u8]) {
        self.line.push(match self.deflate {
            Some(deflate) => deflate.frame(opcode, payload),
            None => frame::frame(opcode, payload),
        });
    }

    /// The same, with a frame of the caller's for a heartbeat. Whatever the peer sends answers it.
    pub fn beating(mut self, beat: Bytes) -> Self {
        self.beat = beat;
        self
    }

    /// The next message. Answers pings on the way; call only while nothing waits
    /// to go out, so that a peer which never reads cannot fill memory with answers.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, Closed>> {
        loop {
            if !self.line.is_empty() {
                return Poll::Pending;
            }
            let event = match self.next_unread() {
                Some(event) => event,
                None => ready!(self.poll_read(cx)),
            };
            match event {
                Ok(None) => {}
                Ok(Some(Event::Text(bytes))) => return Poll::Ready(Ok(Received::Text(bytes))),
                Ok(Some(Event::Binary(bytes))) => return Poll::Ready(Ok(Received::Binary(bytes))),
                Ok(Some(Event::Ping(payload))) => {
                    self.line.push(frame::frame(OpCode::Pong, &payload));
                    // Pending: the rest goes out before anything else is read.
                    if let Poll::Ready(Err(_)) = self.line.poll_flush(cx) {
                        return Poll::Ready(Err(Closed::Lost));
                    }
                }
                Ok(Some(Event::Pong)) => self.pinged = None,
                Ok(Some(Event::Close(code))) => return Poll::Ready(Err(Closed::ByPeer(code))),
                Err(closed) => return Poll::Ready(Err(closed)),
            }
        }
    }

    /// Sends a ping where it is time. Gives when to call again, or that the peer is gone.
    pub fn heartbeat(&mut self, now: Instant) -> Result<Instant, Closed> {
        // Not `||`: both are flags to lower.
        if std::mem::take(&mut self.heard) | self.line.take_wrote() {
            self.active = now;
        }
        if let Some(pinged) = self.pinged {
            return match pinged + PONG_WAIT <= now {
                true => Err(Closed::Silent),
                false => Ok(pinged + PONG_WAIT),
            };
        }
        if self.active + self.heartbeat > now {
            return Ok(self.active + self.heartbeat);
        }
        if self.line.is_empty() {
            self.line.push(self.beat.clone());
            self.pinged = Some(now);
            self.active = now;
        }
        Ok(now + PONG_WAIT)
    }

    /// Closes: sends the code, and waits a moment for the peer to do the same (section 7.1.1).
    pub async fn close(mut self, code: u16, reason: &str) {
        self.line.push(frame::close(code, reason));
        let handshake = async {
            std::future::poll_fn(|cx| self.line.poll_flush(cx)).await?;
            // Messages that crossed our close are read and not looked at.
            for _ in 0..CLOSE_READS_MAX {
                match std::future::poll_fn(|cx| self.poll_receive(cx)).await {
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
            io::Result::Ok(())
        };
        // A peer that does not answer is closed all the same.
        let _ = tokio::time::timeout(CLOSE_WAIT, handshake).await;
        self.line.linger().await;
    }

    /// Sends a last close frame and ends, without waiting for an answer: the
    /// peer has closed already, or broke the protocol (section 7.1.7).
    pub async fn finish(mut self, close: Bytes) {
        self.line.push(close);
        let flush = std::future::poll_fn(|cx| self.line.poll_flush(cx));
        // A peer that does not take it is closed all the same.
        let _ = tokio::time::timeout(CLOSE_WAIT, flush).await;
        self.line.linger().await;
    }

    fn next_unread(&mut self) -> Option<Result<Option<Event>, Closed>> {
        if self.unread.is_empty() {
            return None;
        }
        Some(match self.decoder.read(&self.unread) {
            Ok((used, event)) => {
                self.unread.advance(used);
                if self.unread.is_empty() {
                    self.unread = Bytes::new();
                }
                Ok(event)
            }
            Err(violation) => Err(Closed::Violation(violation)),
        })
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Event>, Closed>> {
        Scratch::lend(|scratch| {
            let read = match ready!(self.line.poll_read(cx, &mut scratch.read)) {
                Ok(0) => return Poll::Ready(Err(Closed::Lost)),
                Ok(read) => read,
                Err(_) => return Poll::Ready(Err(Closed::Lost)),
            };
            self.heard = true;
            self.pinged = None;
            let (used, event) = self.decoder.read(&scratch.read[..read]).map_err(Closed::Violation)?;
            if used < read {
                self.unread = Bytes::copy_from_slice(&scratch.read[used..read]);
            }
            Poll::Ready(Ok(event))
        })
    }
}
