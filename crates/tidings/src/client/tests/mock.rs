//! A server of nothing but the contract, which cuts its connections where it hurts.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use url::Url;

use crate::client::{Endpoint, Transport};

/// After how many messages a composite cursor comes.
const WRITE: usize = 5;

/// How many messages a page has.
const PAGE: usize = 3;

/// How long a session's client must say nothing to have asked for all.
const QUIET: Duration = Duration::from_millis(60);

/// What the mock is to do.
#[derive(Debug, Clone)]
pub struct Script {
    /// Messages in each channel, from the beginning.
    pub messages: u64,
    /// Cut every connection after this many messages.
    pub cut_after: usize,
    /// How many connections each transport is good for; then it fails as it does in the wild.
    pub good_for: HashMap<Transport, usize>,
    /// How many messages come behind each answer of a session, before the next.
    pub hasty: usize,
    /// Bytes of padding in each message.
    pub padding: usize,
    /// Instead of cutting, fall silent.
    pub is_silent: bool,
    /// How a WebSocket is closed where it is cut; `None` breaks it off.
    pub close: Option<(u16, &'static str)>,
    /// Answers requests with a status and a body, in this order, before anything else.
    pub refusals: Vec<(u16, &'static str)>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            messages: 20,
            cut_after: 7,
            good_for: HashMap::new(),
            hasty: 1,
            padding: 0,
            is_silent: false,
            close: None,
            refusals: Vec::new(),
        }
    }
}

/// What the mock was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Request line and headers.
    pub head: String,
    /// The body, its chunks joined.
    pub body: String,
}

#[derive(Debug)]
pub struct Mock {
    pub endpoint: Endpoint,
    pub asked: Arc<Mutex<Vec<Asked>>>,
}

struct State {
    script: Mutex<Script>,
    used: Mutex<HashMap<Transport, usize>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Mock {
    pub async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let state = State { script: Mutex::new(script), used: Mutex::default(), asked: Arc::clone(&asked) };
        let state = Arc::new(state);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                // Else an answer may wait longer for the one before it than a session is given.
                socket.set_nodelay(true).unwrap();
                let state = Arc::clone(&state);
                tokio::spawn(async move { state.serve(socket).await });
            }
        });
        Self { endpoint: Endpoint::new(url, Some("sk")).unwrap(), asked }
    }
}

/// A request for a read: the channels, and the place in each.
struct Read {
    places: BTreeMap<String, u64>,
}

impl Read {
    fn of(url: &Url) -> Self {
        let mut places: BTreeMap<String, u64> = BTreeMap::new();
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "channel" => drop(places.insert(value.into_owned(), 0)),
                "after" if value != "earliest" => {
                    for (channel, offset) in parts(&value) {
                        *places.get_mut(&channel).unwrap() = offset;
                    }
                }
                _ => {}
            }
        }
        Self { places }
    }

    fn cursor(&self) -> String {
        self.places.iter().map(|(channel, n)| format!("{channel}.{n}-")).collect()
    }

    /// The next message, round the channels.
    fn next(&mut self, script: &Script) -> Option<String> {
        let (channel, n) = self.places.iter_mut().min_by_key(|(_, n)| **n)?;
        if *n >= script.messages {
            return None;
        }
        *n += 1;
        let padding = "x".repeat(script.padding);
        Some(format!(
            r#"{{"channel":"{channel}","cursor":"{channel}.{n}-","id":"{n}","key":"{padding}","data":{n}}}"#
        ))
    }
}

/// The places of a cursor. Cursors can be joined: each part has its end.
fn parts(cursor: &str) -> impl Iterator<Item = (String, u64)> {
    cursor.split_terminator('-').map(|part| {
        let (channel, offset) = part.rsplit_once('.').unwrap();
        (channel.to_owned(), offset.parse().unwrap())
    })
}

impl State {
    async fn serve(&self, mut socket: TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = socket.read_u8().await else { return };
            head.push(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let body = body(&mut socket, &head).await;
        self.asked.lock().push(Asked { head: head.clone(), body });
        let script = self.script.lock().clone();
        if !script.refusals.is_empty() {
            let (status, body) = self.script.lock().refusals.remove(0);
            let more = "Retry-After: 0\r\nContent-Type: application/problem+json\r\n";
            return respond(&mut socket, status, more, body).await;
        }
        if head.starts_with("POST") {
            let reply = r#"{"channel":"a","cursor":"a.1","id":"i","duplicate":false}"#;
            return respond(&mut socket, 200, "", reply).await;
        }
        let url = Url::parse(&format!("http://mock{}", head.split(' ').nth(1).unwrap())).unwrap();
        let lower = head.to_lowercase();
        let transport = match () {
            () if url.path() == "/v1/connect" => Transport::Session,
            () if lower.contains("upgrade: websocket") => Transport::Ws,
            () if lower.contains("accept: text/event-stream") => Transport::Sse,
            () if url.query_pairs().any(|(name, _)| name == "wait") => Transport::LongPoll,
            () => Transport::Poll,
        };
        let used = {
            let mut used = self.used.lock();
            let used = used.entry(transport).or_insert(0);
            *used += 1;
            *used
        };
        let is_good = script.good_for.get(&transport).is_none_or(|good_for| used <= *good_for);
        let read = Read::of(&url);
        match (transport, is_good) {
            (Transport::Ws, true) => websocket(socket, &lower, &head, read, &script).await,
            (Transport::Sse, true) => sse(socket, read, &script).await,
            (Transport::LongPoll | Transport::Poll, true) => poll(socket, read, &script, used).await,
            (Transport::Session, true) => session(socket, &lower, &head, read, &script).await,
            (Transport::Ws | Transport::Session, false) => {}
            (Transport::Sse, false) => {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
                let _ = socket.write_all(head.as_bytes()).await;
                std::future::pending().await
            }
            (_, false) => respond(&mut socket, 504, "", "<html>").await,
        }
    }
}

/// A body by its length, or by chunks.
async fn body(socket: &mut TcpStream, head: &str) -> String {
    let lower = head.to_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    if lower.contains("transfer-encoding: chunked") {
        while !body.ends_with(b"0\r\n\r\n") {
            body.push(socket.read_u8().await.unwrap());
        }
    } else {
        socket.read_exact(&mut body).await.unwrap();
    }
    String::from_utf8(body).unwrap()
}

async fn respond(socket: &mut TcpStream, status: u16, more: &str, body: &str) {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n{more}\r\n");
    let _ = socket.write_all(head.as_bytes()).await;
    // Apart from the head, as it may come on a real network.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let _ = socket.write_all(body.as_bytes()).await;
    let _ = socket.shutdown().await;
}

async fn upgrade(mut socket: TcpStream, lower: &str, head: &str, more: &str) -> WebSocketStream<TcpStream> {
    let at = lower.find("sec-websocket-key: ").unwrap() + 19;
    let key = head[at..].lines().next().unwrap();
    let accept = derive_accept_key(key.as_bytes());
    let head = format!(
        "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\
         {more}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    WebSocketStream::from_raw_socket(socket, Role::Server, None).await
}

async fn websocket(socket: TcpStream, lower: &str, head: &str, mut read: Read, script: &Script) {
    let mut socket = upgrade(socket, lower, head, "Tidings-Delivery: at-least-once").await;
    let mut frames =
        vec![format!(r#"{{"subscribed":{{"channels":[],"cursor":"{}"}}}}"#, read.cursor()), "{}".to_owned()];
    for sent in 1..=script.cut_after {
        let Some(message) = read.next(script) else { break };
        frames.push(message);
        if sent % WRITE == 0 {
            frames.push(format!(r#"{{"cursor":"{}"}}"#, read.cursor()));
        }
    }
    for frame in frames {
        if socket.send(Message::text(frame)).await.is_err() {
            return;
        }
    }
    leave(socket, script).await;
}

/// Ends a WebSocket as the script says.
async fn leave(mut socket: WebSocketStream<TcpStream>, script: &Script) {
    if script.is_silent {
        std::future::pending::<()>().await;
    }
    if let Some((code, reason)) = script.close {
        let reason = Utf8Bytes::from_static(reason);
        let _ = socket.close(Some(CloseFrame { code: code.into(), reason })).await;
        while let Some(Ok(_)) = socket.next().await {}
    }
}

/// A session: answers requests, with a message behind each answer; when no more come, it asks for a
/// heartbeat, and sends the rest.
async fn session(socket: TcpStream, lower: &str, head: &str, mut read: Read, script: &Script) {
    let mut socket = upgrade(socket, lower, head, "Sec-WebSocket-Protocol: tidings.v1").await;
    let mut sent = 0;
    while let Ok(Some(Ok(frame))) = timeout(QUIET, socket.next()).await {
        let Ok(text) = frame.into_text() else { return };
        let Ok(request) = serde_json::from_str::<serde_json::Value>(&text) else { return };
        let channel = request["subscribe"]["channel"].as_str().unwrap().to_owned();
        let after = request["subscribe"]["after"].as_str();
        let place = match after {
            None | Some("earliest") => Some(0),
            Some(after) => parts(after).filter(|(name, _)| *name == channel).last().map(|(_, n)| n),
        };
        let id = &request["id"];
        let Some(place) = place else {
            let error =
                format!(r#"{{"id":{id},"error":{{"code":"bad-cursor","status":400,"detail":"no"}}}}"#);
            socket.send(Message::text(error)).await.unwrap();
            continue;
        };
        read.places.insert(channel.clone(), place);
        let subscribed = format!(
            r#"{{"id":{id},"subscribed":{{"channel":"{channel}","delivery":"at-least-once","cursor":"{channel}.{place}-"}}}}"#
        );
        if socket.send(Message::text(subscribed)).await.is_err() {
            return;
        }
        for _ in 0..script.hasty {
            sent += 1;
            let Some(message) = read.next(script).filter(|_| sent <= script.cut_after) else { break };
            if socket.send(Message::text(message)).await.is_err() {
                return;
            }
        }
    }
    let _ = socket.send(Message::text("{}")).await;
    match timeout(Duration::from_secs(5), socket.next()).await {
        Ok(Some(Ok(Message::Text(text)))) if text == "{}" => {}
        _ => return,
    }
    while sent < script.cut_after {
        sent += 1;
        let Some(message) = read.next(script) else { break };
        if socket.send(Message::text(message)).await.is_err() {
            return;
        }
    }
    leave(socket, script).await;
}

async fn sse(mut socket: TcpStream, mut read: Read, script: &Script) {
    let mut text = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTidings-Delivery: at-least-once\r\n\r\n\
         retry: 1\n: tidings 1\nid: {}\n\n",
        read.cursor()
    );
    for sent in 1..=script.cut_after {
        let Some(message) = read.next(script) else { break };
        text += &format!("data: {message}\n");
        if sent % WRITE == 0 {
            text += &format!("id: {}\n", read.cursor());
        }
        text += "\n";
    }
    text += "data: {\"cut";
    let _ = socket.write_all(text.as_bytes()).await;
    if script.is_silent {
        std::future::pending::<()>().await;
    }
}

async fn poll(mut socket: TcpStream, mut read: Read, script: &Script, used: usize) {
    let messages: Vec<_> = (0..script.cut_after.min(PAGE)).map_while(|_| read.next(script)).collect();
    let page = format!(
        r#"{{"messages":[{}],"cursor":"{}","gap":null,"delivery":"at-least-once"}}"#,
        messages.join(","),
        read.cursor()
    );
    if used % 4 == 2 {
        // Half a page, then nothing.
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", page.len());
        let _ = socket.write_all(head.as_bytes()).await;
        let _ = socket.write_all(&page.as_bytes()[..page.len() / 2]).await;
        return;
    }
    respond(&mut socket, 200, "Tidings-Poll-After: 0.001\r\n", &page).await;
}
