//! The header of the PROXY protocol, with which a load balancer says for whom it connects.

use std::io;
use std::net::{IpAddr, SocketAddr};

use ppp::{HeaderResult, PartialResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;

/// A header of version 2 may have more; what is in it beyond the addresses is of no use here.
pub(super) const BYTES_MAX: usize = 4 * 1024;

/// Takes the header off the beginning of a connection, and gives the address of
/// the client: `otherwise`, where the proxy speaks for itself (health checks) or says nothing.
///
/// # Errors
///
/// [`io::ErrorKind::InvalidData`] where the connection begins with anything else.
pub(super) async fn take(stream: &mut (impl AsyncRead + Unpin), otherwise: IpAddr) -> io::Result<IpAddr> {
    let mut head = Vec::with_capacity(256);
    loop {
        // Byte by byte to its end: what follows is the client's, and is not to be read here.
        let wanted = missing(&head)?;
        if wanted == 0 {
            return address(&head, otherwise);
        }
        if head.len() + wanted > BYTES_MAX {
            return Err(invalid("its PROXY header is too long"));
        }
        let from = head.len();
        head.resize(from + wanted, 0);
        stream.read_exact(&mut head[from..]).await?;
    }
}

/// Bytes that are certainly still to come.
fn missing(head: &[u8]) -> io::Result<usize> {
    const V2_FIXED: usize = 16;
    if head.is_empty() {
        return Ok(1);
    }
    let is_v2 = v2::PROTOCOL_PREFIX.starts_with(&head[..head.len().min(v2::PROTOCOL_PREFIX.len())]);
    if is_v2 {
        if head.len() < V2_FIXED {
            // The first byte alone says which version it is.
            return Ok(if head.len() == 1 { 1 } else { 1.max(V2_FIXED - head.len()) });
        }
        let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
        return Ok((V2_FIXED + length).saturating_sub(head.len()));
    }
    let is_v1 = b"PROXY ".starts_with(&head[..head.len().min(6)]);
    match is_v1 && head.len() <= 107 {
        true if head.ends_with(b"\r\n") => Ok(0),
        true => Ok(1),
        false => Err(invalid("it does not begin with a PROXY header")),
    }
}

fn address(head: &[u8], otherwise: IpAddr) -> io::Result<IpAddr> {
    let parsed = HeaderResult::parse(head);
    if !parsed.is_complete() {
        return Err(invalid("its PROXY header is cut off"));
    }
    let address = match parsed {
        HeaderResult::V1(Ok(header)) => match header.addresses {
            v1::Addresses::Tcp4(addresses) => addresses.source_address.into(),
            v1::Addresses::Tcp6(addresses) => addresses.source_address.into(),
            v1::Addresses::Unknown => otherwise,
        },
        HeaderResult::V2(Ok(header)) => match (header.command, header.addresses) {
            (v2::Command::Proxy, v2::Addresses::IPv4(addresses)) => addresses.source_address.into(),
            (v2::Command::Proxy, v2::Addresses::IPv6(addresses)) => addresses.source_address.into(),
            _ => otherwise,
        },
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => {
            return Err(invalid("its PROXY header cannot be read"));
        }
    };
    Ok(address)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The address of a client: that of the connection, or the one in its header.
pub(super) async fn client(
    stream: &mut TcpStream,
    from: SocketAddr,
    is_expected: bool,
) -> io::Result<IpAddr> {
    match is_expected {
        true => take(stream, from.ip()).await,
        false => Ok(from.ip()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// The address that a connection with these bytes at its head has, and what is left to read.
    async fn read(bytes: &[u8]) -> io::Result<(String, String)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut client = TcpStream::connect(listener.local_addr()?).await?;
        let (mut stream, from) = listener.accept().await?;
        client.write_all(bytes).await?;
        drop(client);
        let address = take(&mut stream, from.ip()).await?;
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await?;
        Ok((address.to_string(), rest))
    }

    fn v2(command: v2::Command, source: &str, target: &str) -> Vec<u8> {
        let addresses: (SocketAddr, SocketAddr) = (source.parse().unwrap(), target.parse().unwrap());
        let version = v2::Version::Two | command;
        v2::Builder::with_addresses(version, v2::Protocol::Stream, addresses).build().unwrap()
    }

    #[tokio::test]
    async fn both_versions_give_the_client_and_take_nothing_else() {
        for (head, client) in [
            (b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n".to_vec(), "192.0.2.1"),
            (b"PROXY TCP6 2001:db8::7 fd00::1 4711 80\r\n".to_vec(), "2001:db8::7"),
            (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
            (v2(v2::Command::Proxy, "192.0.2.1:4711", "10.0.0.1:80"), "192.0.2.1"),
            (v2(v2::Command::Proxy, "[2001:db8::7]:4711", "[fd00::1]:80"), "2001:db8::7"),
            (v2(v2::Command::Local, "192.0.2.1:4711", "10.0.0.1:80"), "127.0.0.1"),
        ] {
            let (address, rest) = read(&[&head[..], b"GET /"].concat()).await.unwrap();
            assert_eq!(
                (address.as_str(), rest.as_str()),
                (client, "GET /"),
                "{}",
                String::from_utf8_lossy(&head)
            );
        }
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        let long = [&b"PROXY TCP4 "[..], &[b'1'; 200], b"\r\n"].concat();
        let huge = [v2::PROTOCOL_PREFIX, &[0x21, 0x11, 0xff, 0xff], &[0; 70_000]].concat();
        for head in
            [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PROXY", b"PROXY TCP4 x y 1 2\r\n", b"", b"\r", &long, &huge]
        {
            assert!(read(head).await.is_err(), "{}", String::from_utf8_lossy(&head[..head.len().min(20)]));
        }
    }
}
