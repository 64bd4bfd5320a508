//! Frames that a WebSocket client sends, and what the server makes of wrong ones.

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tidings::config::{Config, Env, Flags};
use tidings::node::Node;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A development node that takes messages of 1 KiB, and a socket on one channel of it, greeted.
async fn open() -> (Node, Socket) {
    let flags = Flags { dev: true, listen: Some("127.0.0.1:0".parse().unwrap()) };
    let file = ("tidings.toml", "limits.message_bytes = 1024");
    let config = Config::load_text(Some(file), &Env::default(), &flags).unwrap().config;
    let node = Node::start(&config).await.unwrap();
    let url = format!("ws://{}/v1/channels/demo:frames", node.address());
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    socket.next().await.unwrap().unwrap();
    (node, socket)
}

/// Sends a frame; gives the code of the error that answers it.
async fn refused(socket: &mut Socket, frame: &str) -> String {
    socket.send(Message::text(frame.to_owned())).await.unwrap();
    let answer = socket.next().await.unwrap().unwrap().into_text().unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer["error"]["code"].as_str().unwrap_or_else(|| panic!("{frame}: {answer}")).to_owned()
}

async fn is_closed_as_too_large(mut socket: Socket) {
    match socket.next().await.unwrap().unwrap() {
        Message::Close(Some(close)) => {
            assert_eq!((u16::from(close.code), close.reason.as_str()), (1009, r#"{"code":"too-large"}"#));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_too_large_ends_the_connection() {
    // A message over the limit in a frame that fits, and a frame that does not.
    for bytes in [1_100, 100_000] {
        let (_node, mut socket) = open().await;
        let frame = format!("{{\"data\":\"{}\"}}", "x".repeat(bytes));
        assert_eq!(refused(&mut socket, &frame).await, "too-large");
        is_closed_as_too_large(socket).await;
    }
}

#[tokio::test]
async fn other_refusals_leave_it_open() {
    let (_node, mut socket) = open().await;
    for (frame, code) in [
        (r#"{"data":1,"channel":"demo:another"}"#, "bad-frame"),
        (r#"{"data":1,"event":"tidings.mine"}"#, "bad-event"),
        ("{}", "bad-frame"),
        ("nonsense", "bad-frame"),
        ("[null,null,null,null,null,42]", "bad-frame"),
    ] {
        assert_eq!(refused(&mut socket, frame).await, code, "{frame}");
    }
}
