//! A connection that begins with a TLS handshake, which also says what is spoken after it (RFC 7301).

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use http::header::{CONNECTION, HeaderValue};
use tidings_core::{Code, Error};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

use crate::http::accepted::Accepted;
use crate::http::multiplex;
use crate::http::problem::Problem;
use crate::http::takeover::{self, FIRST_WORD_WAIT};
use crate::stream::{Meter, Socket};

/// What this side speaks, the better first: for `ServerConfig::alpn_protocols`.
pub const PROTOCOLS: [&[u8]; 2] = [HTTP_2, b"http/1.1"];
const HTTP_2: &[u8] = b"h2";

/// What TLS may keep of what was written and the kernel did not take: a record.
/// Beyond it a write waits, as it does for a full socket.
const BUFFER_BYTES: usize = 16 * 1024;
/// The first byte of every TLS connection (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

/// What a client has begun with.
enum Begun {
    Tls(Box<TlsStream<Meter>>),
    Http(TcpStream),
}

/// As [`crate::serve`], over TLS. A handshake that takes too long is given up;
/// a client that speaks plain HTTP is told so.
pub async fn serve_tls(stream: TcpStream, config: Arc<ServerConfig>, accepted: Accepted) {
    let mut leaving = accepted.hold.drain.clone();
    let left = async {
        // An error means that the node is gone, which is as good as draining.
        let _ = leaving.wait_for(|drain| *drain).await;
        tokio::time::sleep(FIRST_WORD_WAIT).await;
    };
    let wait = accepted.times.head;
    let begun = tokio::select! {
        begun = tokio::time::timeout(wait, begin(stream, config)) => begun,
        () = left => return,
    };
    match begun {
        Ok(Ok(Begun::Tls(stream))) => {
            if stream.get_ref().1.alpn_protocol() == Some(HTTP_2) {
                multiplex::serve(Socket::Tls(stream), accepted).await;
            } else {
                takeover::serve_socket(Socket::Tls(stream), accepted).await;
            }
        }
        Ok(Ok(Begun::Http(stream))) => {
            let router = Router::new().fallback(async || tls_required());
            takeover::serve_socket(Socket::Plain(stream), Accepted { router, ..accepted }).await;
        }
        // Scanners and clients that do not trust us come often: nothing to warn of.
        Ok(Err(error)) => tracing::debug!(%error, "no TLS connection came about"),
        Err(_) => tracing::debug!("a TLS handshake took over {} s", wait.as_secs()),
    }
}

async fn begin(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<Begun> {
    let mut first = [0];
    // Text instead of a handshake: a client that was given the wrong scheme gets an answer that it can read.
    if stream.peek(&mut first).await? == 1 && first[0] != HANDSHAKE && first[0].is_ascii_uppercase() {
        return Ok(Begun::Http(stream));
    }
    let mut stream = TlsAcceptor::from(config).accept(Meter::new(stream)).await?;
    stream.get_mut().1.set_buffer_limit(Some(BUFFER_BYTES));
    Ok(Begun::Tls(Box::new(stream)))
}

fn tls_required() -> Response {
    let detail = "plain HTTP came to a port that speaks TLS";
    let mut reply = Problem::from(Error::new(Code::TlsRequired, detail)).into_response();
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}
