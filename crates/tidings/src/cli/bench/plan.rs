//! What a run does: whom it asks, how many read, how much is in flight.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use url::Url;

use super::failure;
use super::mark::MARK_BYTES;
use super::stream::Transport;

/// The longest message: a publisher's whole request must fit a socket's buffer.
const BYTES_MAX: usize = 32 * 1024;
/// The most messages in flight: a publisher connection each.
const WINDOW_MAX: usize = 4096;

/// An address that does not answer for so long is not tried further.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// A server as a client sees it.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// What to put into `Host`.
    pub host: String,
    /// What stands before `/v1`, without a slash at its end.
    pub base: String,
    /// An API key or a client token.
    pub token: Option<String>,
    /// How to speak TLS, where it does.
    pub tls: Option<Arc<ClientConfig>>,
}

/// One run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Whom it asks.
    pub server: Server,
    /// The channels, each with as many subscribers.
    pub channels: Vec<String>,
    /// Subscribers of each channel.
    pub subscribers: usize,
    /// Messages in flight at most, each on a publisher connection of its own.
    pub window: usize,
    /// The length of a message's data.
    pub bytes: usize,
    /// How subscribers read.
    pub transport: Transport,
    /// Whether WebSockets must agree on compression, each message by itself.
    pub deflate: bool,
    /// Messages a second; without it the next one goes out when one has arrived everywhere.
    pub paced: Option<f64>,
}

impl Server {
    /// A server on this machine.
    pub fn local(address: SocketAddr, token: Option<String>) -> Self {
        Self { address, host: address.to_string(), base: String::new(), token, tls: None }
    }

    /// The server that a URL names.
    pub fn of_url(url: &Url, token: Option<String>) -> anyhow::Result<Self> {
        if url.scheme() != "http" {
            return Err(failure(
                format!("bench speaks plain http, not {}", url.scheme()),
                "give the http:// address of the node itself",
            ));
        }
        let host = url.authority().to_owned();
        let addresses = url.socket_addrs(|| None).unwrap_or_default();
        // localhost may name two, of which a node listens on one.
        let open = |address: &&SocketAddr| TcpStream::connect_timeout(address, CONNECT_MAX).is_ok();
        let address = addresses.iter().find(open).or(addresses.first()).copied();
        let address = address.ok_or_else(|| {
            failure(format!("{host} has no address"), "an IP address, e.g. --url http://127.0.0.1:8080")
        })?;
        Ok(Self { address, host, base: url.path().trim_end_matches('/').to_owned(), token, tls: None })
    }

    /// The lines that every request carries after its first.
    pub fn headers(&self) -> String {
        let token = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n"));
        format!("Host: {}\r\n{}", self.host, token.unwrap_or_default())
    }
}

impl Plan {
    /// Refuses what cannot be run, with the value that can.
    pub fn check(&self) -> anyhow::Result<()> {
        let refuse = |what: String, advice: String| Err(failure(what, &advice));
        if !(MARK_BYTES..=BYTES_MAX).contains(&self.bytes) {
            return refuse(
                format!("a message cannot have {} bytes", self.bytes),
                format!("--bytes from {MARK_BYTES} (each carries a mark) to {BYTES_MAX}"),
            );
        }
        if !(1..=WINDOW_MAX).contains(&self.window) {
            return refuse(
                format!("{} messages cannot be in flight", self.window),
                format!("--window from 1 to {WINDOW_MAX}"),
            );
        }
        if self.connections() == 0 {
            return refuse("nobody subscribes".into(), "at least one subscriber and one channel".into());
        }
        if self.paced.is_some_and(|rate| !(0.001..=1e6).contains(&rate)) {
            return refuse("the pace is out of range".into(), "--paced from 0.001 to 1000000".into());
        }
        Ok(())
    }

    /// How many subscribers there are in all.
    pub fn connections(&self) -> usize {
        self.channels.len() * self.subscribers
    }

    /// The target of a channel's requests.
    pub fn path(&self, channel: usize) -> String {
        format!("{}/v1/channels/{}", self.server.base, self.channels[channel])
    }

    /// One subscriber's request.
    pub fn subscribe(&self, channel: usize) -> String {
        let (path, headers) = (self.path(channel), self.server.headers());
        let offer = if self.deflate {
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n"
        } else {
            ""
        };
        match self.transport {
            Transport::Ws => format!(
                "GET {path} HTTP/1.1\r\n{headers}{offer}Connection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            ),
            Transport::Sse => format!("GET {path} HTTP/1.1\r\n{headers}Accept: text/event-stream\r\n\r\n"),
        }
    }

    /// The head of a publish; the data follows it.
    pub fn publish(&self, channel: usize) -> String {
        let (path, headers) = (self.path(channel), self.server.headers());
        format!(
            "POST {path} HTTP/1.1\r\n{headers}Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
            self.bytes
        )
    }
}
