//! Where a path leads.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::client::Endpoint;

/// How long a connection to the node may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// The nodes, as they are connected to: each connection goes to the next of them, as a balancer does it that knows
/// nothing of sessions.
#[derive(Debug, Clone)]
pub struct Upstream(Arc<Nodes>);

#[derive(Debug)]
struct Nodes {
    all: Vec<Endpoint>,
    next: AtomicUsize,
}

/// A connection to the node.
#[derive(Debug)]
pub enum Stream {
    /// In plain TCP.
    Plain(TcpStream),
    /// Over TLS.
    #[cfg(feature = "client-tls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Upstream {
    /// The nodes of these endpoints, at least one.
    pub fn new(all: Vec<Endpoint>) -> Self {
        Self(Arc::new(Nodes { all, next: AtomicUsize::new(0) }))
    }

    /// Connects to the next node; to another one where that is not there.
    ///
    /// # Errors
    ///
    /// If nobody answers within 5 seconds, or over TLS, who answers is not trusted.
    pub async fn connect(&self) -> io::Result<Stream> {
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let Nodes { all, next } = &*self.0;
        let first = next.fetch_add(1, Ordering::Relaxed);
        let connecting = async {
            let mut refused = io::Error::from(io::ErrorKind::NotConnected);
            for turn in 0..all.len() {
                match Self::open(&all[first.wrapping_add(turn) % all.len()]).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => refused = error,
                }
            }
            Err(refused)
        };
        tokio::time::timeout(CONNECT_MAX, connecting).await.map_err(late)?
    }

    async fn open(node: &Endpoint) -> io::Result<Stream> {
        let (host, port) = node.authority();
        let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
        stream.set_nodelay(true)?;
        #[cfg(feature = "client-tls")]
        if node.is_secure() {
            let connector = tokio_rustls::TlsConnector::from(node.tls());
            let name = rustls::pki_types::ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
            let name = name.map_err(io::Error::other)?;
            return Ok(Stream::Tls(Box::new(connector.connect(name, stream).await?)));
        }
        Ok(Stream::Plain(stream))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            #[cfg(feature = "client-tls")]
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            #[cfg(feature = "client-tls")]
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(feature = "client-tls")]
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(feature = "client-tls")]
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
