//! What an attack is given: where the node is, how long it may last, and a tally of what it got.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};
use tokio_rustls::TlsConnector;

use super::tokens::Tokens;
use super::wire::Wire;

/// How often what is due goes out.
const TICK: Duration = Duration::from_millis(10);
/// What is counted of an attacker that was left alone until its time was up.
const HELD: &str = "open to the end";

/// One attack under way. Clones are the same attack.
#[derive(Clone)]
pub struct Arena {
    inner: Arc<Inner>,
}

struct Inner {
    address: SocketAddr,
    until: Instant,
    tls: Option<TlsConnector>,
    tokens: Tokens,
    tally: Mutex<Tally>,
}

/// What attackers did and got.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Connections that they opened.
    pub sockets: u64,
    /// What became of them, and how often.
    pub got: BTreeMap<String, u64>,
    /// What must never happen and did.
    pub broken: Vec<String>,
}

impl Arena {
    /// An attack on the node at `address` that ends after `length`.
    pub fn new(address: SocketAddr, length: Duration, tls: Option<TlsConnector>, tokens: Tokens) -> Self {
        let until = Instant::now() + length;
        Self { inner: Arc::new(Inner { address, until, tls, tokens, tally: Mutex::default() }) }
    }

    /// Credentials, good and bad.
    pub fn tokens(&self) -> &Tokens {
        &self.inner.tokens
    }

    /// What was seen so far.
    pub fn tally(&self) -> Tally {
        self.inner.tally.lock().clone()
    }

    /// Counts something that attackers got.
    pub fn count(&self, what: impl Into<String>) {
        self.add(what, 1);
    }

    /// Counts something that attackers got so many times.
    pub fn add(&self, what: impl Into<String>, times: u64) {
        *self.inner.tally.lock().got.entry(what.into()).or_default() += times;
    }

    /// Says what must never happen and did: the attack counts as failed.
    pub fn broken(&self, what: impl Into<String>) {
        let mut tally = self.inner.tally.lock();
        let what = what.into();
        // One of a kind says as much as a thousand.
        if tally.broken.len() < 10 && !tally.broken.contains(&what) {
            tally.broken.push(what);
        }
    }

    /// Waits until so long before the end.
    pub async fn nearly_over(&self, before: Duration) {
        sleep_until(self.inner.until - before).await;
    }

    /// A bare connection, without TLS.
    pub async fn connect_bare(&self) -> io::Result<TcpStream> {
        let socket = TcpStream::connect(self.inner.address).await?;
        self.inner.tally.lock().sockets += 1;
        socket.set_nodelay(true)?;
        Ok(socket)
    }

    /// A connection that takes only a few KiB before it must be read.
    pub async fn connect_small(&self) -> io::Result<TcpStream> {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        let socket = socket.connect(self.inner.address).await?;
        self.inner.tally.lock().sockets += 1;
        Ok(socket)
    }

    /// A connection as the node wants it, over TLS where it has a certificate.
    pub async fn connect(&self) -> io::Result<Wire> {
        let socket = self.connect_bare().await?;
        let Some(tls) = &self.inner.tls else { return Ok(Box::new(socket)) };
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        Ok(Box::new(tls.connect(name, socket).await?))
    }

    /// Starts `each` at most `rate` times a second, with at most `at_once` at a time, until the attack is
    /// over; then all that is under way ends. What `each` returns is counted.
    pub async fn crowd<F>(&self, rate: u32, at_once: u32, each: impl Fn(Arena, usize) -> F)
    where
        F: Future<Output = io::Result<String>> + Send + 'static,
    {
        let room = Arc::new(Semaphore::new(at_once as usize));
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut owed, mut number) = (1.0, 0);
        while Instant::now() < self.inner.until {
            ticks.tick().await;
            // What does not go out in its tick is not made up for: a rate is a bound.
            owed = f64::min(owed, 1.0) + f64::from(rate) * TICK.as_secs_f64();
            while owed >= 1.0 {
                let permit = timeout_at(self.inner.until, room.clone().acquire_owned()).await;
                let Ok(Ok(permit)) = permit else { break };
                if Instant::now() >= self.inner.until {
                    break;
                }
                let (arena, run) = (self.clone(), each(self.clone(), number));
                tokio::spawn(async move {
                    let got = timeout_at(arena.inner.until, run).await;
                    arena.count(got.map_or(HELD.to_owned(), |got| got.unwrap_or_else(|error| word(&error))));
                    drop(permit);
                });
                number += 1;
                owed -= 1.0;
            }
        }
        // All end with the attack; a semaphore that is whole again says that they have.
        let _ = room.acquire_many(at_once).await;
    }
}

/// What a broken connection is called in the table.
fn word(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => "reset".into(),
        ErrorKind::UnexpectedEof => "closed".into(),
        ErrorKind::ConnectionRefused => "refused".into(),
        _ => format!("error: {error}"),
    }
}
