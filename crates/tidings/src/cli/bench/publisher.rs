//! One message in flight: a publisher connection, and who has not got its message yet.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use super::link::Link;
use super::mark::Mark;
use super::plan::Plan;
use super::{clock, failure};

/// A server that does not take a request for so long will not.
const SEND_MAX: Duration = Duration::from_secs(10);

/// A place for one message in flight.
#[derive(Debug)]
pub struct Slot {
    /// Its connection, to be watched.
    pub socket: Link,
    /// How many subscribers have not got the message.
    pub waiting: usize,
    /// Whether the server has answered the publish.
    pub answered: bool,
    seq: u32,
    channel: usize,
    seen: Vec<u64>,
    request: Vec<u8>,
    answer: Vec<u8>,
}

/// How a subscriber's message fits what was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// It was waited for.
    Fresh,
    /// This subscriber had it already.
    Doubled,
    /// It was never published to this subscriber's channel.
    Stray,
}

impl Slot {
    /// Connects a publisher.
    pub fn connect(plan: &Plan) -> anyhow::Result<Self> {
        let socket = Link::connect(&plan.server)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            waiting: 0,
            answered: true,
            seq: u32::MAX,
            channel: 0,
            seen: vec![0; plan.subscribers.div_ceil(64)],
            request: Vec::new(),
            answer: Vec::new(),
        })
    }

    /// Whether the next message may go out here.
    pub fn is_free(&self) -> bool {
        self.waiting == 0 && self.answered
    }

    /// The number of the message in flight.
    pub fn seq(&self) -> u32 {
        self.seq
    }

    /// Publishes one message to a channel; every subscriber of it is waited for.
    pub fn publish(
        &mut self,
        plan: &Plan,
        channel: usize,
        head: &str,
        mark: Mark,
        run: u32,
    ) -> anyhow::Result<()> {
        self.seq = mark.seq;
        self.channel = channel;
        self.waiting = plan.subscribers;
        self.answered = false;
        self.seen.fill(0);
        self.request.clear();
        self.request.extend_from_slice(head.as_bytes());
        mark.write(run, &mut self.request);
        self.request.resize(head.len() + plan.bytes, b'x');
        self.send()
    }

    /// Marks the message as received by the subscriber at `place`.
    pub fn receive(&mut self, seq: u32, channel: usize, place: usize) -> Receipt {
        if seq != self.seq {
            // Older ones are complete, or their slot would not have gone on.
            return if seq < self.seq { Receipt::Doubled } else { Receipt::Stray };
        }
        if channel != self.channel {
            return Receipt::Stray;
        }
        let (word, bit) = (&mut self.seen[place / 64], 1 << (place % 64));
        if *word & bit != 0 {
            return Receipt::Doubled;
        }
        *word |= bit;
        self.waiting -= 1;
        Receipt::Fresh
    }

    /// Reads what the server answered; complete answers other than 200 are errors.
    pub fn read_answer(&mut self, buffer: &mut [u8]) -> anyhow::Result<()> {
        match self.socket.read(buffer) {
            Ok(0) => return Err(lost("it was closed")),
            Ok(length) => self.answer.extend_from_slice(&buffer[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(());
            }
            Err(error) => return Err(lost(&error.to_string())),
        }
        if !is_whole(&self.answer) {
            return Ok(());
        }
        if !self.answer.starts_with(b"HTTP/1.1 200 ") {
            let answer = String::from_utf8_lossy(&self.answer);
            let status = answer.lines().next().unwrap_or_default();
            let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            return Err(failure(
                format!("the server refused a publish: {status} {}", body.trim()),
                "a --channel in a declared namespace, or a --token that may publish to it",
            ));
        }
        self.answer.clear();
        self.answered = true;
        Ok(())
    }

    fn send(&mut self) -> anyhow::Result<()> {
        let mut sent = 0;
        let mut deadline = None;
        while sent < self.request.len() {
            match self.socket.write(&self.request[sent..]) {
                Ok(length) => sent += length,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    if clock::now() > *deadline.get_or_insert_with(|| clock::now() + SEND_MAX) {
                        return Err(lost("the server takes nothing"));
                    }
                    std::thread::yield_now();
                }
                Err(error) => return Err(lost(&error.to_string())),
            }
        }
        Ok(())
    }
}

fn lost(reason: &str) -> anyhow::Error {
    failure(format!("a publisher's connection broke: {reason}"), "look into the server's log")
}

/// Whether a response is complete, by its length or by its last chunk.
pub fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|end| end == b"\r\n\r\n") else { return false };
    let Ok(text) = std::str::from_utf8(&answer[..head]) else { return true };
    let length = text.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    match length {
        Some(length) => answer.len() >= head + 4 + length,
        None => answer.ends_with(b"\r\n0\r\n\r\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_body_is() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-Length: 2\r\n\r\n{}";
        for end in 0..answer.len() {
            assert!(!is_whole(&answer[..end]));
        }
        assert!(is_whole(answer));
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n"));
        assert!(is_whole(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"));
    }
}
