//! A node in this process, and the shortest way to say what is asked of it.

use std::net::SocketAddr;
use std::sync::Arc;

use jsonwebtoken::{EncodingKey, encode};
use serde_json::{Value, json};
use tidings::client::{Endpoint, Item, Reader, Start, Subscription, Transport};
use tidings::config::{Config, Env, Flags};
use tidings::node::Node;
use tidings_core::Clock;
use tidings_core::broker::Broker;
use url::Url;

use crate::raw::{Raw, Reply, soon};

/// The key of a backend.
pub const KEY: &str = "sk_of_a_backend";
/// The secret of tokens.
pub const SECRET: &str = "a secret of at least thirty-two bytes";

/// How often to look at what should be so soon.
const LOOKS_MAX: usize = 2_000;

/// A node that runs.
pub struct TestNode {
    pub node: Node,
    pub address: SocketAddr,
}

/// A node that is described.
pub struct Plan {
    top: String,
    namespaces: String,
    dev: bool,
    clock: Clock,
    jwt: String,
    keys: String,
    broker: Option<Arc<dyn Broker>>,
}

/// The lines of a namespace. At-least-once, and anybody may read, unless it says otherwise.
pub struct Namespace {
    delivery: &'static str,
    lines: String,
}

impl TestNode {
    #[allow(clippy::new_ret_no_self, reason = "a scenario reads TestNode::new().….run()")]
    pub fn new() -> Plan {
        let jwt = format!("jwt.hmac_secret = \"{SECRET}\"\n");
        let keys = format!("\"{KEY}\"");
        Plan {
            top: String::new(),
            namespaces: String::new(),
            dev: false,
            clock: Clock::system(),
            jwt,
            keys,
            broker: None,
        }
    }

    /// The node of most scenarios: `orders` is at-least-once, `ticks` at-most-once, both public.
    pub async fn usual() -> TestNode {
        TestNode::new().namespace("orders", |n| n).namespace("ticks", Namespace::at_most_once).run().await
    }

    pub async fn raw(&self) -> Raw {
        Raw::connect(self.address).await
    }

    pub fn get(&self, target: &str) -> Call {
        self.call("GET", target)
    }

    /// A publish by a backend.
    pub fn post(&self, target: &str) -> Call {
        self.call("POST", target).bearer(KEY)
    }

    pub fn call(&self, method: &str, target: &str) -> Call {
        TestNode::call_at(self.address, method, target)
    }

    /// A request to a node that may be gone soon.
    pub fn call_at(address: SocketAddr, method: &str, target: &str) -> Call {
        Call { address, method: method.into(), target: target.into(), head: String::new(), body: Vec::new() }
    }

    /// Publishes JSON; gives the cursor.
    pub async fn publish(&self, channel: &str, data: impl Into<Value>) -> String {
        let call = self.post(&format!("/v1/channels/{channel}")).header("content-type", "application/json");
        call.body(data.into().to_string()).await.ok().text("cursor")
    }

    /// Waits until this many live reads are under way.
    pub async fn reading(&self, count: usize) {
        let wanted = format!("\ntidings_subscriptions {count}\n");
        for _ in 0..LOOKS_MAX {
            if self.get("/metrics").bearer(KEY).await.ok().body.contains(&wanted) {
                return;
            }
        }
        panic!("not {count} live reads");
    }

    /// An open event stream, after its head; its first block is not read.
    pub async fn sse(&self, target: &str) -> Raw {
        self.sse_as(target, None).await
    }

    pub async fn sse_as(&self, target: &str, credential: Option<&str>) -> Raw {
        let mut raw = self.raw().await;
        let credential = credential.map(|one| format!("Authorization: Bearer {one}\r\n")).unwrap_or_default();
        let accept = "Accept: text/event-stream";
        raw.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{credential}{accept}\r\n\r\n")).await;
        let head = raw.head().await;
        assert_eq!(head.status, 200, "{}", head.text);
        raw
    }

    /// A reader of the client library over one transport, as a backend.
    pub fn reader(
        &self,
        transport: Transport,
        channels: &[&str],
        start: Start,
        limit: Option<u64>,
    ) -> Reading {
        self.reader_as(KEY, transport, channels, start, limit)
    }

    pub fn reader_as(
        &self,
        credential: &str,
        transport: Transport,
        channels: &[&str],
        start: Start,
        limit: Option<u64>,
    ) -> Reading {
        let endpoint = Endpoint::new(Url::parse(&self.url()).unwrap(), Some(credential)).unwrap();
        let channels = channels.iter().map(|channel| (*channel).to_owned()).collect();
        let subscription =
            Subscription { start, transport: Some(transport), limit, channels, ..Subscription::to("") };
        Reading(Reader::new(endpoint, subscription))
    }

    /// One of the node's measures.
    pub async fn measure(&self, name: &str) -> f64 {
        let measures = self.get("/metrics").bearer(KEY).await.ok().body;
        let value = measures.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Waits until no more than so many read.
    pub async fn until_subscriptions(&self, count: usize) {
        let gone = async {
            while self.measure("tidings_subscriptions").await > count as f64 {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        soon("the others to leave", gone).await;
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Plan {
    pub fn namespace(mut self, name: &str, describe: impl FnOnce(Namespace) -> Namespace) -> Self {
        let start = Namespace { delivery: "at-least-once", lines: String::new() };
        let Namespace { delivery, lines } = describe(start);
        let public = if lines.contains("subscribe =") { "" } else { "subscribe = \"public\"\n" };
        self.namespaces += &format!("[namespaces.{name}]\ndelivery = \"{delivery}\"\n{public}{lines}");
        self
    }

    /// A key at the top of the configuration, such as `heartbeat = "1s"`.
    pub fn set(mut self, line: &str) -> Self {
        self.top += line;
        self.top += "\n";
        self
    }

    pub fn dev(mut self) -> Self {
        self.dev = true;
        self
    }

    /// A node whose time is that of the test.
    pub fn clock(mut self, clock: &Clock) -> Self {
        self.clock = clock.clone();
        // Where time stands still, nobody may have to wait for a turn.
        self.set("limits.accept_rate = 1000000")
    }

    /// A node that verifies tokens in another way than by the secret.
    pub fn jwt(mut self, lines: &str) -> Self {
        self.jwt = format!("{lines}\n");
        self
    }

    /// A node with these API keys instead.
    pub fn keys(mut self, keys: &str) -> Self {
        self.keys = keys.into();
        self
    }

    /// A node that shares a broker with others.
    pub fn over(mut self, broker: &Arc<dyn Broker>) -> Self {
        self.broker = Some(broker.clone());
        self
    }

    /// The configuration as a file.
    pub fn text(&self) -> String {
        let listen = if self.top.lines().any(|line| line.starts_with("listen = ")) {
            ""
        } else {
            "listen = \"127.0.0.1:0\"\n"
        };
        let auth = format!("[auth]\napi_keys = [{}]\n{}", self.keys, self.jwt);
        format!("{listen}{}{auth}{}", self.top, self.namespaces)
    }

    pub async fn run(self) -> TestNode {
        let flags = Flags { dev: self.dev, listen: None };
        let config = Config::load_text(Some(("test.toml", &self.text())), &Env::default(), &flags);
        let config = config.unwrap().config;
        let node = match self.broker {
            Some(broker) => Node::start_over(&config, self.clock, broker).await.unwrap(),
            None => Node::start_at(&config, self.clock).await.unwrap(),
        };
        TestNode { address: node.address(), node }
    }
}

impl Namespace {
    pub fn at_most_once(mut self) -> Self {
        self.delivery = "at-most-once";
        self
    }

    /// A line of the namespace, such as `presence = true`.
    pub fn set(mut self, line: &str) -> Self {
        self.lines += line;
        self.lines += "\n";
        self
    }

    pub fn retain(self, messages: u64) -> Self {
        self.set(&format!("retain = {{ messages = {messages} }}"))
    }
}

/// One request on a connection of its own.
pub struct Call {
    address: SocketAddr,
    method: String,
    pub target: String,
    head: String,
    body: Vec<u8>,
}

impl Call {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head += &format!("{name}: {value}\r\n");
        self
    }

    pub fn bearer(self, credential: &str) -> Self {
        self.header("authorization", &format!("Bearer {credential}"))
    }

    pub fn text(self, body: &str) -> Self {
        self.header("content-type", "text/plain").body(body)
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    async fn send(self) -> Reply {
        let Call { address, method, target, mut head, body } = self;
        if !head.to_ascii_lowercase().contains("host: ") {
            head += "host: localhost\r\n";
        }
        if method == "POST" || !body.is_empty() {
            head += &format!("content-length: {}\r\n", body.len());
        }
        let mut raw = Raw::connect(address).await;
        raw.send(format!("{method} {target} HTTP/1.1\r\nconnection: close\r\n{head}\r\n")).await;
        // Who is refused early may not be read to the end.
        let _ = soon("send", tokio::io::AsyncWriteExt::write_all(&mut raw.stream, &body)).await;
        raw.reply(&method).await
    }
}

impl IntoFuture for Call {
    type Output = Reply;
    type IntoFuture = std::pin::Pin<Box<dyn Future<Output = Reply> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// A reader of the client library, which is asked for what it must give next.
pub struct Reading(pub Reader);

impl Reading {
    /// The next item that is no status.
    pub async fn next(&mut self) -> Item {
        loop {
            match soon("next item", self.0.next()).await.unwrap() {
                Item::Status(_) => {}
                item => return item,
            }
        }
    }

    /// Waits until it is connected, so that what is published from now on must come.
    pub async fn connected(mut self) -> Self {
        let item = soon("connect", self.0.next()).await.unwrap();
        assert!(matches!(item, Item::Status(tidings::client::Status::Connected { .. })), "{item:?}");
        self
    }

    /// The next item as text: `data@channel`, or `gap:why:missed`, or `end`.
    pub async fn say(&mut self) -> String {
        match self.next().await {
            Item::Message(message) => format!("{}@{}", message.parts().unwrap().data, message.channel()),
            Item::Gap(gap) => format!("gap:{}:{}", gap.why, gap.missed.map_or("?".into(), |n| n.to_string())),
            Item::End => "end".into(),
            other => panic!("{other:?}"),
        }
    }

    /// The data of the next messages.
    pub async fn data(&mut self, count: usize) -> Vec<String> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(self.say().await.split('@').next().unwrap().to_owned());
        }
        all
    }
}

/// A token of a user, valid for an hour unless it says otherwise.
pub fn token(user: &str, subscribe: &[&str], publish: &[&str]) -> String {
    sign(&json!({
        "sub": user, "exp": now_ms() / 1_000 + 3_600,
        "tidings": { "subscribe": subscribe, "publish": publish },
    }))
}

/// A token with these claims.
pub fn sign(claims: &Value) -> String {
    encode(&jsonwebtoken::Header::default(), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

pub fn now_ms() -> u64 {
    Clock::system().now_ms()
}
