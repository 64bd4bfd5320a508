//! A client of raw sockets: it sends what it is told, and shows every byte that comes back.

use std::time::Duration;

use futures_util::FutureExt;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// How long anything may take that should come at once. Long, because machines that build are slow.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Waits for what should come soon.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(value) = timeout(PATIENCE, future).await else { panic!("{what}: nothing for {PATIENCE:?}") };
    value
}

/// A connection, and what was read from it and not looked at yet.
pub struct Raw {
    pub stream: TcpStream,
    /// Bytes that are read at once at most.
    pub step: usize,
    read: Vec<u8>,
}

/// The head of a reply.
#[derive(Debug, Clone)]
pub struct Head {
    /// As it came, with the blank line.
    pub text: String,
    pub status: u16,
}

/// A whole reply.
#[derive(Debug, Clone)]
pub struct Reply {
    pub head: Head,
    pub status: u16,
    pub body: String,
}

impl Raw {
    pub async fn connect(address: std::net::SocketAddr) -> Self {
        let stream = soon("connect", TcpStream::connect(address)).await.unwrap();
        Raw { stream, step: 64 * 1024, read: Vec::new() }
    }

    /// A client whose kernel holds little for it, so that one that does not read is noticed soon.
    pub async fn connect_small(address: std::net::SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        let stream = soon("connect", socket.connect(address)).await.unwrap();
        Raw { stream, step: 64 * 1024, read: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon("send", self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Says that nothing more will be sent, and still reads.
    pub async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    async fn more(&mut self) -> usize {
        let mut chunk = vec![0; self.step];
        // A reset is an end, too.
        let count = soon("read", self.stream.read(&mut chunk)).await.unwrap_or(0);
        self.read.extend_from_slice(&chunk[..count]);
        count
    }

    /// What comes up to and with these bytes.
    pub async fn until(&mut self, end: &str) -> String {
        let Some(part) = self.until_or_end(end).await else {
            panic!("ended before {end:?}, after {:?}", String::from_utf8_lossy(&self.read));
        };
        part
    }

    async fn until_or_end(&mut self, end: &str) -> Option<String> {
        let mut searched = 0;
        loop {
            let found = self.read[searched..].windows(end.len()).position(|window| window == end.as_bytes());
            if let Some(at) = found {
                let part: Vec<_> = self.read.drain(..searched + at + end.len()).collect();
                return Some(String::from_utf8_lossy(&part).into_owned());
            }
            searched = (self.read.len() + 1).saturating_sub(end.len());
            if self.more().await == 0 {
                return None;
            }
        }
    }

    /// What comes until the peer ends the connection.
    pub async fn rest(&mut self) -> String {
        while self.more().await > 0 {}
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }

    /// The next bytes, this many.
    pub async fn exactly(&mut self, count: usize) -> Vec<u8> {
        self.exactly_or_end(count).await.unwrap_or_else(|| panic!("ended within {count} bytes"))
    }

    /// The next bytes, this many; `None` where the connection ends before.
    pub async fn exactly_or_end(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.read.len() < count {
            if self.more().await == 0 {
                return None;
            }
        }
        Some(self.read.drain(..count).collect())
    }

    /// The head of a reply.
    pub async fn head(&mut self) -> Head {
        let text = self.until("\r\n\r\n").await;
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        Head { status: status.unwrap_or_else(|| panic!("no status line: {text}")), text }
    }

    /// A whole reply to a request with this method.
    pub async fn reply(&mut self, method: &str) -> Reply {
        let head = self.head().await;
        let body = if method == "HEAD" || matches!(head.status, 100..=199 | 204 | 304) {
            Vec::new()
        } else if head.header("transfer-encoding") == Some("chunked") {
            self.chunks().await
        } else if let Some(length) = head.header("content-length") {
            self.exactly(length.parse().unwrap()).await
        } else {
            self.rest().await.into_bytes()
        };
        Reply { status: head.status, head, body: String::from_utf8(body).unwrap() }
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let size = self.until("\r\n").await;
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            body.extend(self.exactly(size).await);
            self.until("\r\n").await;
            if size == 0 {
                return body;
            }
        }
    }

    /// The next block of an event stream, without its blank line.
    pub async fn block(&mut self) -> String {
        let mut block = self.until("\n\n").await;
        block.truncate(block.len() - 2);
        block
    }

    /// The same; `None` where the stream ends before it is whole.
    pub async fn block_or_end(&mut self) -> Option<String> {
        let mut block = self.until_or_end("\n\n").await?;
        block.truncate(block.len() - 2);
        Some(block)
    }

    /// The next event of an event stream, comments left out.
    pub async fn event(&mut self) -> String {
        loop {
            let block = self.block().await;
            if block.lines().any(|line| line.starts_with("data:")) {
                return block;
            }
        }
    }

    /// Whether nothing has come by now. Takes no time.
    pub fn has_nothing(&self) -> bool {
        let mut byte = [0];
        self.read.is_empty() && self.stream.peek(&mut byte).now_or_never().is_none()
    }

    /// Whether nothing comes for a moment.
    pub async fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let peek = timeout(Duration::from_millis(150), self.stream.peek(&mut byte)).await;
        self.read.is_empty() && peek.is_err()
    }
}

impl Head {
    /// The only value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.text.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(one, _)| one.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.head.header(name).unwrap_or_else(|| panic!("no `{name}` in {}", self.head.text))
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {} {}", self.head.text, self.body))
    }

    /// A string in the body.
    #[track_caller]
    pub fn text(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {}", self.body)).to_owned()
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{} {}", self.head.text, self.body);
        self
    }

    /// Checks that this is the problem of this code, in the form of all problems.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{} {}", self.head.text, self.body);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        for name in ["type", "title", "detail"] {
            assert!(problem[name].as_str().is_some_and(|text| !text.is_empty()), "{name}: {problem}");
        }
        assert!(problem["type"].as_str().unwrap().ends_with(&format!("#{code}")), "{problem}");
        problem
    }
}
