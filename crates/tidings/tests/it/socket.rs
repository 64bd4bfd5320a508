//! A WebSocket client that shows each frame.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::node::{KEY, TestNode};
use crate::raw::{Raw, soon};

/// An open WebSocket, after its 101.
pub struct Socket {
    pub inner: WebSocketStream<TcpStream>,
    pub head: Response,
}

impl TestNode {
    /// A WebSocket of a backend.
    pub async fn socket(&self, target: &str) -> Socket {
        self.socket_as(target, Some(KEY)).await
    }

    pub async fn socket_as(&self, target: &str, credential: Option<&str>) -> Socket {
        Socket::open(self.address, target, credential).await
    }

    /// A raw connection on which an upgrade to this target was asked for.
    pub async fn raw_socket(&self, target: &str) -> Raw {
        let mut raw = self.raw().await;
        raw.send(upgrade(target)).await;
        raw
    }
}

/// A request for an upgrade, as a backend makes it.
pub fn upgrade(target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// A whole masked frame of a client.
pub fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x80 | opcode];
    match payload.len() {
        len @ 0..=125 => out.push(0x80 | len as u8),
        len => {
            out.push(0x80 | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    let mask = [7, 11, 13, 17];
    out.extend(mask);
    out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    out
}

impl Socket {
    /// One to a node that may be a process of its own.
    pub async fn open(address: SocketAddr, target: &str, credential: Option<&str>) -> Self {
        let mut request = format!("ws://{address}{target}").into_client_request().unwrap();
        if let Some(credential) = credential {
            request.headers_mut().insert("authorization", format!("Bearer {credential}").parse().unwrap());
        }
        let stream = TcpStream::connect(address).await.unwrap();
        let (inner, head) = soon("handshake", client_async(request, stream)).await.unwrap();
        Socket { inner, head }
    }

    /// The next text frame, as JSON.
    pub async fn frame(&mut self) -> Value {
        loop {
            match soon("frame", self.inner.next()).await {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Ping(_))) => {}
                other => panic!("no text frame: {other:?}"),
            }
        }
    }

    /// The next text frame that has this key.
    pub async fn frame_with(&mut self, key: &str) -> Value {
        loop {
            let frame = self.frame().await;
            if frame.get(key).is_some() {
                return frame;
            }
        }
    }

    /// The next frame, which closes: its code and reason.
    pub async fn closed(&mut self) -> (u16, Value) {
        loop {
            match soon("close", self.inner.next()).await {
                Some(Ok(Message::Close(Some(frame)))) => {
                    assert!(frame.reason.len() <= 123);
                    let reason = serde_json::from_str(&frame.reason).unwrap_or(Value::Null);
                    return (frame.code.into(), reason);
                }
                Some(Ok(Message::Ping(_))) => {}
                other => panic!("no close: {other:?}"),
            }
        }
    }

    pub async fn send(&mut self, text: impl ToString) {
        self.inner.send(Message::Text(text.to_string().into())).await.unwrap();
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.inner.send(Message::Binary(bytes.to_vec().into())).await.unwrap();
    }

    /// Sends these bytes as they are.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        self.inner.get_mut().write_all(bytes).await.unwrap();
    }

    /// Publishes, and gives the answer: `published` or `error`.
    pub async fn ask(&mut self, frame: Value) -> Value {
        self.send(frame).await;
        loop {
            let answer = self.frame().await;
            if answer.get("published").is_some() || answer.get("error").is_some() {
                return answer;
            }
        }
    }

    /// Closes in good order.
    pub async fn leave(mut self) {
        self.inner.close(None).await.unwrap();
        while let Some(Ok(_)) = soon("close", self.inner.next()).await {}
    }

    pub async fn ended(&mut self) -> Option<Result<Message, Error>> {
        soon("end", self.inner.next()).await
    }
}
