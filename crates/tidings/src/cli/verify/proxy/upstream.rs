//! Where a path leads.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::client::Endpoint;

/// How long a connection to the node may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// The node, as it is connected to.
#[derive(Debug, Clone)]
pub struct Upstream(Endpoint);

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
    /// The node of an endpoint.
    pub fn new(endpoint: Endpoint) -> Self {
        Self(endpoint)
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// If nobody answers within 5 seconds, or over TLS, who answers is not trusted.
    pub async fn connect(&self) -> io::Result<Stream> {
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        tokio::time::timeout(CONNECT_MAX, self.open()).await.map_err(late)?
    }

    async fn open(&self) -> io::Result<Stream> {
        let (host, port) = self.0.authority();
        let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
        stream.set_nodelay(true)?;
        #[cfg(feature = "client-tls")]
        if self.0.is_secure() {
            let connector = tokio_rustls::TlsConnector::from(self.0.tls());
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
