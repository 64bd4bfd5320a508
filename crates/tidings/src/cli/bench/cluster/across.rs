//! What a message takes from a client of one node to a client of another.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::super::mark::{Finder, Mark};
use super::super::plan::{Plan, Server};
use super::super::publisher::is_whole;
use super::super::stream::{Got, Transport};
use super::super::subscriber::Subscriber;
use super::super::{clock, failure};
use super::fleet::KEY;

/// The channel of the two.
const CHANNEL: &str = "bench:across";

/// A publisher on one connection that is kept alive, one message at a time.
#[derive(Debug)]
pub struct Publisher {
    socket: TcpStream,
    host: String,
    answer: Vec<u8>,
}

/// A publisher of one node and a reader of another.
#[derive(Debug)]
pub struct Pair {
    publisher: Publisher,
    reader: Subscriber,
    bytes: usize,
    next: u32,
    finder: Finder,
    got: Got,
    buffer: Vec<u8>,
}

/// How somebody reads a channel of a node.
pub fn plan(address: SocketAddr, channel: &str, transport: Transport, subscribers: usize) -> Plan {
    Plan {
        server: Server::local(address, None),
        channels: vec![channel.to_owned()],
        subscribers,
        window: 1,
        bytes: 128,
        transport,
        deflate: false,
        paced: None,
    }
}

impl Publisher {
    /// Connects.
    pub fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, host: address.to_string(), answer: Vec::new() })
    }

    /// Publishes, and waits for the answer.
    pub fn publish(&mut self, channel: &str, mark: Mark, run: u32, bytes: usize) -> anyhow::Result<()> {
        self.send(channel, mark, run, bytes)?;
        self.answered()
    }

    fn send(&mut self, channel: &str, mark: Mark, run: u32, bytes: usize) -> anyhow::Result<()> {
        let mut data = Vec::with_capacity(bytes);
        mark.write(run, &mut data);
        data.resize(bytes.max(data.len()), b'x');
        let mut request = format!(
            "POST /v1/channels/{channel} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {KEY}\r\n\
             Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
            self.host,
            data.len()
        )
        .into_bytes();
        request.extend(data);
        Ok(self.socket.write_all(&request)?)
    }

    fn answered(&mut self) -> anyhow::Result<()> {
        let mut buffer = [0; 4096];
        self.answer.clear();
        while !is_whole(&self.answer) {
            let length = self.socket.read(&mut buffer)?;
            if length == 0 {
                break;
            }
            self.answer.extend_from_slice(&buffer[..length]);
        }
        if self.answer.starts_with(b"HTTP/1.1 200 ") {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&self.answer).into_owned();
        Err(failure(format!("a node refused a publish: {said}"), "look into the log of its broker"))
    }
}

impl Pair {
    /// Connects both, the reader by WebSocket, and waits until it is greeted.
    pub fn connect(publish: SocketAddr, read: SocketAddr, bytes: usize) -> anyhow::Result<Self> {
        let reader = Subscriber::connect(&plan(read, CHANNEL, Transport::Ws, 1), 0, 0)?;
        // It waits for what comes, as the raw client does.
        reader.socket.set_nonblocking(false)?;
        let publisher = Publisher::connect(publish)?;
        let (finder, got, buffer) = (Finder::new(std::process::id()), Got::default(), vec![0; 64 * 1024]);
        let mut pair = Self { publisher, reader, bytes, next: 0, finder, got, buffer };
        while !pair.reader.live {
            pair.read()?;
        }
        Ok(pair)
    }

    /// From before each message is sent to when it was read, in nanoseconds.
    pub fn measure(&mut self, count: u32) -> anyhow::Result<Vec<u64>> {
        let mut took = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let (run, bytes) = (self.finder.run(), self.bytes);
            let mark = Mark { slot: 0, seq: self.next, time_ns: clock::shared_ns() };
            self.publisher.send(CHANNEL, mark, run, bytes)?;
            while !self.got.marks.iter().any(|found| found.seq == mark.seq) {
                self.read()?;
            }
            took.push(clock::shared_ns().saturating_sub(mark.time_ns));
            self.got.clear();
            self.publisher.answered()?;
            self.next += 1;
        }
        Ok(took)
    }

    fn read(&mut self) -> anyhow::Result<()> {
        self.reader.read(Transport::Ws, &mut self.buffer, &mut self.finder, &mut self.got).map(drop)
    }
}
