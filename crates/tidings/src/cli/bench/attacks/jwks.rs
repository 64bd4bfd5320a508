//! An endpoint for keys (JWKS) that does its worst.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How it answers.
#[derive(Debug, Clone, Copy)]
pub enum Mood {
    /// Not at all.
    Silent,
    /// With a body that never ends.
    Endless,
    /// With what is no set of keys, each time another way.
    Hostile,
}

/// The endpoint, served until its runtime ends.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    fetches: AtomicUsize,
    now: AtomicUsize,
    at_once: AtomicUsize,
}

impl Endpoint {
    /// Listens on a free port of loopback.
    pub async fn start(mood: Mood) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let endpoint = Self { address: listener.local_addr()?, seen: Arc::default() };
        let seen = endpoint.seen.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let seen = seen.clone();
                tokio::spawn(async move {
                    let number = seen.fetches.fetch_add(1, Ordering::Relaxed);
                    let now = seen.now.fetch_add(1, Ordering::Relaxed) + 1;
                    seen.at_once.fetch_max(now, Ordering::Relaxed);
                    // The node leaves when it has had enough, which is what is wanted.
                    let _ = serve(socket, mood, number).await;
                    seen.now.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Ok(endpoint)
    }

    /// How many fetches there were, and how many at once at most.
    pub fn fetches(&self) -> (usize, usize) {
        (self.seen.fetches.load(Ordering::Relaxed), self.seen.at_once.load(Ordering::Relaxed))
    }
}

async fn serve(mut socket: TcpStream, mood: Mood, number: usize) -> io::Result<()> {
    let mut request = vec![0; 4096];
    let _ = socket.read(&mut request).await?;
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n";
    match mood {
        Mood::Silent => while socket.read(&mut request).await? > 0 {},
        Mood::Endless => {
            socket.write_all(format!("{head}{{\"keys\":[").as_bytes()).await?;
            let piece = " ".repeat(64 * 1024);
            loop {
                socket.write_all(piece.as_bytes()).await?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Mood::Hostile => {
            let body = match number % 5 {
                0 => format!("{head}{}", "[".repeat(500_000)),
                1 => format!("{head}{{\"keys\":[{}null]}}", "null,".repeat(100_000)),
                2 => "\0".repeat(100_000),
                3 => format!("HTTP/1.1 302 Found\r\nLocation: http://{}/\r\n\r\n", socket.local_addr()?),
                _ => format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(100_000)),
            };
            socket.write_all(body.as_bytes()).await?;
        }
    }
    socket.shutdown().await
}
