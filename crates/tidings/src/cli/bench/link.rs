//! A connection of the load generator, with TLS or without.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use super::failure;
use super::plan::Server;

/// A connection to a server.
#[derive(Debug)]
pub enum Link {
    /// As it is.
    Plain(TcpStream),
    /// With TLS.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Link {
    /// Connects, and shakes hands where the server speaks TLS; it blocks until then, and later as well
    /// until told otherwise.
    pub fn connect(server: &Server) -> anyhow::Result<Self> {
        let address = server.address;
        let connected = || -> io::Result<Self> {
            let mut socket = TcpStream::connect(address)?;
            socket.set_nodelay(true)?;
            let Some(tls) = &server.tls else { return Ok(Link::Plain(socket)) };
            let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
            let mut session = ClientConnection::new(tls.clone(), name).map_err(io::Error::other)?;
            while session.is_handshaking() {
                session.complete_io(&mut socket)?;
            }
            Ok(Link::Tls(Box::new(StreamOwned::new(session, socket))))
        };
        connected().map_err(|error| {
            failure(format!("cannot connect to {address}: {error}"), "start the server, or give its --url")
        })
    }

    /// Whether it waits, or says that it would have to.
    pub fn set_nonblocking(&self, whether: bool) -> io::Result<()> {
        self.socket().set_nonblocking(whether)
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Link::Plain(socket) => socket,
            Link::Tls(stream) => stream.get_ref(),
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Link::Plain(socket) => socket.read(buffer),
            Link::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Link::Plain(socket) => socket.write(bytes),
            Link::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Link::Plain(socket) => socket.flush(),
            Link::Tls(stream) => stream.flush(),
        }
    }
}
