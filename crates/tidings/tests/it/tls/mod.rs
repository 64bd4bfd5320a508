//! HTTPS and HTTP/2: the same node, the same cursors, on a connection that is not plain.

mod certificate;
mod floods;
mod memory;
mod multiplex;
mod reload;
mod slow;
mod streams;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tempfile::TempDir;
use tidings::client::{Endpoint, Reader, Start, Subscription, Timing, Transport};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;

use crate::node::{KEY, Plan, Reading, TestNode};
use crate::raw::soon;

/// Signs certificates for this machine.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A node with TLS, and who has signed for it.
pub struct Secure {
    pub node: TestNode,
    pub authority: Authority,
    _folder: TempDir,
}

/// A client with one connection of HTTP/2, and any number of requests on it.
#[derive(Clone)]
pub struct Many(http2::SendRequest<Full<Bytes>>);

/// The answer to one request.
pub struct Answer {
    pub status: u16,
    pub head: http::HeaderMap,
    pub body: Incoming,
}

/// An event stream over HTTP/2, block by block.
pub struct Events {
    body: Incoming,
    read: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "an authority of tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Writes a new certificate and its key; gives the certificate.
    pub fn issue(&self, folder: &Path) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        std::fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
        certificate.der().clone()
    }

    /// A connection that trusts this authority alone, with these protocols.
    pub async fn connect(&self, address: SocketAddr, protocols: &[&str]) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = soon("connect", TcpStream::connect(address)).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        soon("handshake", TlsConnector::from(Arc::new(config)).connect(name, stream)).await.unwrap()
    }
}

/// The lines of a configuration with TLS.
pub fn with_tls(plan: Plan, folder: &Path) -> Plan {
    plan.set(&format!("tls.certificate = '{}'", folder.join("cert.pem").display()))
        .set(&format!("tls.key = '{}'", folder.join("key.pem").display()))
}

impl Secure {
    pub async fn run(plan: Plan) -> Self {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        authority.issue(folder.path());
        Secure { node: with_tls(plan, folder.path()).run().await, authority, _folder: folder }
    }

    /// `orders` is at-least-once and public.
    pub async fn usual() -> Self {
        Secure::run(TestNode::new().namespace("orders", |n| n)).await
    }

    /// A connection of HTTP/1.1.
    pub async fn one(&self) -> TlsStream<TcpStream> {
        self.authority.connect(self.node.address, &["http/1.1"]).await
    }

    /// A connection of HTTP/2.
    pub async fn many(&self) -> Many {
        Many::connect(&self.authority, self.node.address).await
    }

    pub fn endpoint(&self) -> Endpoint {
        let url = Url::parse(&format!("https://localhost:{}", self.node.address.port())).unwrap();
        Endpoint::trusting(url, Some(KEY), Some(self.authority.pem().as_bytes())).unwrap()
    }

    /// A reader of the client library.
    pub fn reader(&self, transport: Transport, channels: &[&str], start: Start) -> Reading {
        let channels = channels.iter().map(|channel| (*channel).to_owned()).collect();
        let transport = Some(transport);
        let subscription =
            Subscription { channels, start, transport, limit: None, timing: Timing::default() };
        Reading(Reader::new(self.endpoint(), subscription))
    }

    /// Waits until this many live reads are under way.
    pub async fn reading(&self, count: usize) {
        let (many, wanted) = (self.many().await, format!("\ntidings_subscriptions {count}\n"));
        let looks = async {
            while !many.get("/metrics", &[]).await.text().await.contains(&wanted) {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        soon(&format!("{count} live reads"), looks).await;
    }
}

impl Many {
    pub async fn connect(authority: &Authority, address: SocketAddr) -> Self {
        let stream = authority.connect(address, &["h2", "http/1.1"]).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let mut builder = http2::Builder::new(TokioExecutor::new());
        // Wide for the connection, so that one stream which is not read blocks no other.
        builder.initial_connection_window_size(1 << 30).initial_stream_window_size(64 * 1024);
        let (send, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Many(send)
    }

    pub async fn call(&self, method: &str, target: &str, head: &[(&str, &str)], body: &str) -> Answer {
        let mut send = self.0.clone();
        soon("room for a request", send.ready()).await.unwrap();
        let request = http::Request::builder().method(method).uri(format!("https://localhost{target}"));
        let request = head.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
        let response = soon("answer", send.send_request(request)).await.unwrap();
        let (head, body) = response.into_parts();
        Answer { status: head.status.as_u16(), head: head.headers, body }
    }

    /// A request of a backend.
    pub async fn get(&self, target: &str, head: &[(&str, &str)]) -> Answer {
        let bearer = format!("Bearer {KEY}");
        let head: Vec<_> = head.iter().copied().chain([("authorization", bearer.as_str())]).collect();
        self.call("GET", target, &head, "").await
    }

    /// Publishes JSON; gives the cursor.
    pub async fn publish(&self, channel: &str, data: impl Into<Value>) -> String {
        let bearer = format!("Bearer {KEY}");
        let head = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let target = format!("/v1/channels/{channel}");
        let answer = self.call("POST", &target, &head, &data.into().to_string()).await;
        assert_eq!(answer.status, 200);
        answer.json().await["cursor"].as_str().unwrap().to_owned()
    }

    /// An open event stream.
    pub async fn sse(&self, target: &str) -> Events {
        let answer = self.call("GET", target, &[("accept", "text/event-stream")], "").await;
        assert_eq!(
            (answer.status, &answer.head["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        assert!(!answer.head.contains_key("connection"), "{:?}", answer.head);
        Events { body: answer.body, read: String::new() }
    }
}

impl Answer {
    pub async fn text(self) -> String {
        let body = soon("body", self.body.collect()).await.unwrap();
        String::from_utf8(body.to_bytes().to_vec()).unwrap()
    }

    pub async fn json(self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }
}

impl Events {
    /// The next block without its blank line; `None` at the end of the body.
    pub async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.read.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.read = rest;
                return Some(block);
            }
            let frame = soon("a block", self.body.frame()).await?.unwrap();
            self.read += std::str::from_utf8(&frame.into_data().unwrap()).unwrap();
        }
    }

    /// The id and the data of the next event.
    pub async fn event(&mut self) -> (String, String) {
        loop {
            let block = self.block().await.expect("an event");
            let line = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            if let Some(data) = line("data: ") {
                return (line("id: ").unwrap(), data);
            }
        }
    }
}
