//! The floor: what a delivery costs when a server does nothing but write it.
//!
//! One thread, one epoll, no locks, and no allocation for a message: the frame is built beforehand
//! and the message's bytes are copied into it. It answers the requests that the load generator
//! sends, and no others. The frame is as long as the compared server's.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rustix::process::{Signal, set_parent_process_death_signal};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::failure;
use super::frame::{sse_event, websocket_frame};
use super::poller::Poller;
use super::request::Request;

const LISTENER: u64 = u64::MAX;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
/// A text frame of 17 bytes.
const WS_GREETING: &[u8] = b"\x81\x11{\"subscribed\":{}}";
const SSE_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nretry: 1000\nid: 0\n\n";

/// The flags of `tidings bench floor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// The length of a message on the wire, WebSocket head or SSE fields included.
    #[arg(long, default_value_t = 300)]
    frame_bytes: usize,
    /// Read all that publishers have sent first, then write it with one send() a subscriber.
    #[arg(long)]
    merge: bool,
    /// End when the process that started this one ends.
    #[arg(long, hide = true)]
    with_parent: bool,
}

/// The whole server.
#[derive(Debug)]
pub struct Floor {
    listener: TcpListener,
    frame_bytes: usize,
    merge: bool,
    poller: Poller,
    connections: Vec<Option<Connection>>,
    vacant: Vec<usize>,
    names: HashMap<String, usize>,
    channels: Vec<Channel>,
    /// Channels that have something to write.
    dirty: Vec<usize>,
    buffer: Vec<u8>,
    short_writes: u64,
}

#[derive(Debug)]
struct Connection {
    socket: TcpStream,
    /// The beginning of a request.
    rest: Vec<u8>,
    /// The channel that it subscribes to.
    reads: Option<(usize, Wire)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    WebSocket,
    Sse,
}

#[derive(Debug, Default)]
struct Channel {
    websockets: Readers,
    streams: Readers,
}

/// The subscribers of one kind, and what is to be written to each.
#[derive(Debug, Default)]
struct Readers {
    connections: Vec<usize>,
    pending: Vec<u8>,
}

/// Runs the command: until it is killed.
pub fn run(args: &Args) -> anyhow::Result<()> {
    if args.with_parent {
        set_parent_process_death_signal(Some(Signal::KILL))?;
    }
    let listener = TcpListener::bind(args.listen).map_err(|error| {
        failure(format!("cannot listen on {}: {error}", args.listen), "another port in --listen")
    })?;
    Floor::new(listener, args.frame_bytes, args.merge)?.run()
}

impl Floor {
    /// A floor that will serve the listener's connections.
    pub fn new(listener: TcpListener, frame_bytes: usize, merge: bool) -> anyhow::Result<Self> {
        listener.set_nonblocking(true)?;
        let poller = Poller::new()?;
        poller.add(&listener, LISTENER)?;
        Ok(Self {
            listener,
            frame_bytes,
            merge,
            poller,
            connections: Vec::new(),
            vacant: Vec::new(),
            names: HashMap::new(),
            channels: Vec::new(),
            dirty: Vec::new(),
            buffer: vec![0; 64 * 1024],
            short_writes: 0,
        })
    }

    /// Serves for ever.
    pub fn run(mut self) -> anyhow::Result<()> {
        let mut ready = Vec::with_capacity(256);
        loop {
            self.poller.wait(None, &mut ready)?;
            while !ready.is_empty() {
                for token in &ready {
                    match *token {
                        LISTENER => self.accept()?,
                        token => self.read(token as usize),
                    }
                }
                ready.clear();
                if self.merge {
                    self.poller.wait(Some(Duration::ZERO), &mut ready)?;
                }
            }
            self.write_pending();
        }
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        loop {
            let socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(failure(format!("cannot accept: {error}"), "raise `ulimit -n`")),
            };
            socket.set_nonblocking(true)?;
            socket.set_nodelay(true)?;
            let place = self.vacant.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            self.poller.add(&socket, place as u64)?;
            self.connections[place] = Some(Connection { socket, rest: Vec::new(), reads: None });
        }
    }

    /// Reads what a connection sent. A subscriber's pongs are thrown away.
    fn read(&mut self, place: usize) {
        let Some(Some(connection)) = self.connections.get_mut(place) else { return };
        let length = match connection.socket.read(&mut self.buffer) {
            Ok(0) => return self.close(place),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(_) => return self.close(place),
        };
        if connection.reads.is_some() {
            return;
        }
        // Taken out and put back, so that a publisher keeps its buffer.
        let mut rest = std::mem::take(&mut connection.rest);
        rest.extend_from_slice(&self.buffer[..length]);
        let mut used = 0;
        while let Some((request, length)) = Request::parse(&rest[used..]) {
            used += length;
            if self.serve(place, &request).is_none() {
                return self.close(place);
            }
        }
        rest.drain(..used);
        if let Some(Some(connection)) = self.connections.get_mut(place) {
            // A subscriber sends nothing more that is kept.
            connection.rest = if connection.reads.is_some() { Vec::new() } else { rest };
        }
    }

    /// Answers one request; `None` if the connection is of no more use.
    fn serve(&mut self, place: usize, request: &Request<'_>) -> Option<()> {
        let channel = self.channel(request.path);
        let socket = &mut self.connections.get_mut(place)?.as_mut()?.socket;
        if request.method == "POST" {
            socket.write_all(ANSWER).ok()?;
            self.publish(channel, request.body);
            return Some(());
        }
        let wire = if let Some(key) = request.header("sec-websocket-key") {
            let accept = derive_accept_key(key.as_bytes());
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-accept: {accept}\r\n\r\n"
            );
            socket.write_all(&[head.as_bytes(), WS_GREETING].concat()).ok()?;
            Wire::WebSocket
        } else if request.header("accept") == Some("text/event-stream") {
            socket.write_all(SSE_HEAD).ok()?;
            Wire::Sse
        } else {
            return socket.write_all(ANSWER).ok();
        };
        self.connections.get_mut(place)?.as_mut()?.reads = Some((channel, wire));
        self.channels[channel].readers(wire).connections.push(place);
        Some(())
    }

    fn channel(&mut self, path: &str) -> usize {
        if let Some(found) = self.names.get(path) {
            return *found;
        }
        self.channels.push(Channel::default());
        self.names.insert(path.to_owned(), self.channels.len() - 1);
        self.channels.len() - 1
    }

    /// Puts a message into its frame, and writes it now or with what else is pending.
    fn publish(&mut self, channel: usize, body: &[u8]) {
        let Channel { websockets, streams } = &mut self.channels[channel];
        let clean = websockets.pending.is_empty() && streams.pending.is_empty();
        if !websockets.connections.is_empty() {
            websocket_frame(body, self.frame_bytes, &mut websockets.pending);
        }
        if !streams.connections.is_empty() {
            sse_event(body, self.frame_bytes, &mut streams.pending);
        }
        if clean {
            self.dirty.push(channel);
        }
        if !self.merge {
            self.write_pending();
        }
    }

    fn write_pending(&mut self) {
        let mut broken = Vec::new();
        for channel in self.dirty.drain(..) {
            let Channel { websockets, streams } = &mut self.channels[channel];
            for Readers { connections, pending } in [websockets, streams] {
                for place in connections.iter() {
                    let Some(Some(connection)) = self.connections.get_mut(*place) else { continue };
                    if !matches!(connection.socket.write(pending), Ok(length) if length == pending.len()) {
                        broken.push(*place);
                    }
                }
                pending.clear();
            }
        }
        for place in broken {
            // What follows half a frame would be garbage, and a queue would be a server: give up.
            self.short_writes += 1;
            anstream::eprintln!(
                "floor: a subscriber took less than a message ({} so far)",
                self.short_writes
            );
            self.close(place);
        }
    }

    fn close(&mut self, place: usize) {
        let Some(connection) = self.connections.get_mut(place).and_then(Option::take) else { return };
        self.vacant.push(place);
        if let Some((channel, wire)) = connection.reads {
            self.channels[channel].readers(wire).connections.retain(|other| *other != place);
        }
    }
}

impl Channel {
    fn readers(&mut self, wire: Wire) -> &mut Readers {
        match wire {
            Wire::WebSocket => &mut self.websockets,
            Wire::Sse => &mut self.streams,
        }
    }
}
