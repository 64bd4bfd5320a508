//! Tokens by JWKS: keys that come, change and go, and an endpoint that is down, slow, or means harm.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, crypto, encode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::node::{KEY, TestNode};
use crate::time::Time;

const CHANNEL: &str = "/v1/channels/orders:1";

macro_rules! pem {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tidings-core/tests/keys/", $name, ".pem"))
    };
}

/// What the endpoint does with a request.
#[derive(Clone)]
pub enum Answer {
    /// A 200 with these headers and this body.
    Good(&'static str, String),
    /// These bytes, and nothing else.
    Raw(String),
    /// A body without end.
    Endless,
    /// Nothing, ever.
    Silence,
    /// The connection is cut.
    Cut,
}

/// An endpoint that changes its mind.
pub struct Endpoint {
    pub address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<AtomicUsize>,
}

/// Who signs tokens, and by which name its key is known.
pub struct Signer {
    pub id: &'static str,
    key: EncodingKey,
    alg: Algorithm,
}

impl Endpoint {
    pub async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, asked) = (Arc::new(Mutex::new(answer)), Arc::new(AtomicUsize::new(0)));
        let (now, count) = (answer.clone(), asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(respond(stream, now.lock().clone()));
            }
        });
        Endpoint { address, answer, asked }
    }

    fn set(&self, answer: Answer) {
        *self.answer.lock() = answer;
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn node(&self, time: &Time, more: &str) -> TestNode {
        let jwt = format!("jwt.jwks_url = \"http://{}/jwks.json\"\n{more}", self.address);
        let plan = TestNode::new().namespace("orders", |n| n.set("subscribe = \"user\"\npublish = \"user\""));
        plan.jwt(&jwt).clock(&time.clock).run().await
    }

    /// Lets time pass, and waits until the endpoint was asked once more and the node has made what it will of the answer.
    async fn fetched_after(&self, node: &TestNode, time: &Time, ms: u64) {
        settle(node).await;
        let before = self.asked();
        time.pass(ms).await;
        for _ in 0..100 {
            settle(node).await;
            if self.asked() > before {
                return;
            }
            // A fetch that was under way when time leapt has failed by that, and is tried again a little later.
            time.pass(1_000).await;
        }
        panic!("it was not asked");
    }
}

/// Real time for what is under way.
async fn settle(node: &TestNode) {
    for _ in 0..20 {
        node.get("/healthz").await.ok();
    }
}

async fn respond(mut stream: TcpStream, answer: Answer) {
    let mut head = vec![0; 4_096];
    let _ = stream.read(&mut head).await;
    match answer {
        Answer::Good(headers, body) => {
            let length = body.len();
            let text = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{headers}Connection: close\r\n\r\n{body}"
            );
            let _ = stream.write_all(text.as_bytes()).await;
        }
        Answer::Raw(text) => drop(stream.write_all(text.as_bytes()).await),
        Answer::Endless => {
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"keys\":[";
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(&[b' '; 65_536]).await.is_ok() {}
        }
        Answer::Silence => std::future::pending().await,
        Answer::Cut => {}
    }
}

impl Signer {
    pub fn all() -> [Signer; 3] {
        let der = |pem: &str| {
            let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
            STANDARD.decode(text).unwrap()
        };
        [
            Signer { id: "r", key: EncodingKey::from_rsa_der(&der(pem!("rsa"))), alg: Algorithm::RS256 },
            Signer { id: "e", key: EncodingKey::from_ec_der(&der(pem!("p256"))), alg: Algorithm::ES256 },
            Signer { id: "d", key: EncodingKey::from_ed_der(&der(pem!("ed25519"))), alg: Algorithm::EdDSA },
        ]
    }

    fn jwk(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.alg).unwrap();
        jwk.common.key_id = Some(self.id.into());
        serde_json::to_value(jwk).unwrap()
    }

    fn token_as(&self, id: Option<&str>, time: &Time) -> String {
        self.token_at(id, time.now_ms())
    }

    /// A token of alice, good for a day.
    pub fn token_at(&self, id: Option<&str>, now_ms: u64) -> String {
        let mut header = Header::new(self.alg);
        header.kid = id.map(str::to_owned);
        encode(&header, &json!({ "sub": "alice", "exp": now_ms / 1_000 + 86_400 }), &self.key).unwrap()
    }

    fn token(&self, time: &Time) -> String {
        self.token_as(Some(self.id), time)
    }
}

/// The endpoint has the keys of these.
pub fn good(signers: &[&Signer]) -> Answer {
    let keys: Vec<_> = signers.iter().map(|signer| signer.jwk()).collect();
    Answer::Good("", json!({ "keys": keys }).to_string())
}

async fn code(node: &TestNode, token: &str) -> String {
    let reply = node.get(CHANNEL).bearer(token).await;
    if reply.status == 200 { "ok".to_owned() } else { reply.text("code") }
}

#[tokio::test]
async fn tokens_of_each_kind_of_key_are_good_and_forged_ones_are_not() {
    let time = Time::stop();
    let [rsa, ec, ed] = Signer::all();
    let endpoint = Endpoint::start(good(&[&rsa, &ec, &ed])).await;
    let node = endpoint.node(&time, "jwt.issuer = \"https://issuer.example\"").await;
    let claims = |iss: &str| json!({ "sub": "alice", "exp": time.now_ms() / 1_000 + 60, "iss": iss });
    let sign = |signer: &Signer, id: Option<&str>, iss: &str| {
        let mut header = Header::new(signer.alg);
        header.kid = id.map(str::to_owned);
        encode(&header, &claims(iss), &signer.key).unwrap()
    };
    let issuer = "https://issuer.example";
    for signer in [&rsa, &ec, &ed] {
        assert_eq!(code(&node, &sign(signer, Some(signer.id), issuer)).await, "ok", "{}", signer.id);
        // Without a name each key of its algorithm is tried.
        assert_eq!(code(&node, &sign(signer, None, issuer)).await, "ok", "{}", signer.id);
        assert_eq!(code(&node, &sign(signer, Some(signer.id), "https://other")).await, "bad-token");
        for other in [&rsa, &ec, &ed].into_iter().filter(|other| other.id != signer.id) {
            assert_eq!(
                code(&node, &sign(signer, Some(other.id), issuer)).await,
                "bad-token",
                "{}",
                signer.id
            );
        }
        // Algorithm confusion: what the endpoint says of the key, as a secret; and no signature at all.
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        for alg in ["HS256", "none", "RS256", "ES256", "EdDSA", "RS512"] {
            let message =
                format!("{}.{}", part(json!({ "alg": alg, "kid": signer.id })), part(claims(issuer)));
            assert_eq!(code(&node, &format!("{message}.")).await, "bad-token", "{alg}");
            for secret in [signer.jwk().to_string(), signer.jwk()["x"].as_str().unwrap_or("").to_owned()] {
                let secret = EncodingKey::from_secret(secret.as_bytes());
                let signature = crypto::sign(message.as_bytes(), &secret, Algorithm::HS256).unwrap();
                assert_eq!(code(&node, &format!("{message}.{signature}")).await, "bad-token", "{alg}");
            }
        }
    }
    assert_eq!(endpoint.asked(), 1, "no forgery made the node fetch again");
}

#[tokio::test]
async fn a_key_that_is_new_is_fetched_and_one_that_is_gone_is_gone() {
    let time = Time::stop();
    let [rsa, ec, ed] = Signer::all();
    let endpoint = Endpoint::start(good(&[&rsa])).await;
    let node = endpoint.node(&time, "").await;
    assert_eq!(code(&node, &rsa.token(&time)).await, "ok");
    // The first token of a new key waits for the fetch that it causes.
    endpoint.set(good(&[&rsa, &ec]));
    assert_eq!(code(&node, &ec.token(&time)).await, "ok");
    assert_eq!(endpoint.asked(), 2);
    // Names that are made up cause no more, for a while.
    endpoint.set(good(&[&ec, &ed]));
    for n in 0..50 {
        assert_eq!(code(&node, &ed.token_as(Some(&n.to_string()), &time)).await, "bad-token");
    }
    assert_eq!((code(&node, &ed.token(&time)).await, endpoint.asked()), ("bad-token".into(), 2));
    time.pass(10_000).await;
    assert_eq!(code(&node, &ed.token(&time)).await, "ok");
    assert_eq!(endpoint.asked(), 3);
    // What the endpoint has no more is refused.
    assert_eq!(code(&node, &rsa.token(&time)).await, "bad-token");
    // By itself, after ten minutes.
    endpoint.set(good(&[&rsa]));
    endpoint.fetched_after(&node, &time, 601_000).await;
    assert_eq!((code(&node, &rsa.token(&time)).await, endpoint.asked()), ("ok".into(), 4));
    assert_eq!(code(&node, &ec.token(&time)).await, "bad-token");
    // Or as the endpoint says, within bounds.
    let Answer::Good(_, keys) = good(&[&rsa]) else { panic!() };
    endpoint.set(Answer::Good("Cache-Control: public, max-age=1\r\n", keys));
    endpoint.fetched_after(&node, &time, 601_000).await;
    let asked = endpoint.asked();
    time.pass(50_000).await;
    settle(&node).await;
    assert_eq!((code(&node, &rsa.token(&time)).await, endpoint.asked()), ("ok".into(), asked));
    endpoint.fetched_after(&node, &time, 11_000).await;
}

#[tokio::test]
async fn an_outage_logs_nobody_out() {
    let time = Time::stop();
    let [rsa, ec, _] = Signer::all();
    let endpoint = Endpoint::start(good(&[&rsa])).await;
    let node = endpoint.node(&time, "").await;
    let known = rsa.token(&time);
    assert_eq!(code(&node, &known).await, "ok");
    let large = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(2 << 20));
    let redirect =
        format!("HTTP/1.1 302 Found\r\nLocation: http://{}/\r\nContent-Length: 0\r\n\r\n", endpoint.address);
    let raw = |text: &str| Answer::Raw(text.to_owned());
    for (number, outage) in [
        Answer::Cut,
        Answer::Silence,
        Answer::Endless,
        Answer::Good("", large),
        Answer::Good("", "<html>".into()),
        Answer::Good("", "{\"keys\":[]}".into()),
        raw(&redirect),
        raw("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"),
        raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"),
        raw(&format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n", "A: b\r\n".repeat(100_000))),
        raw("\0\0\0\0"),
    ]
    .into_iter()
    .enumerate()
    {
        endpoint.set(outage);
        endpoint.fetched_after(&node, &time, 61_000 + 600_000).await;
        // In the middle of it, and after it.
        assert_eq!(code(&node, &known).await, "ok", "{number}");
        time.pass(5_100).await;
        assert_eq!(code(&node, &known).await, "ok", "{number}");
    }
    // A key that it does not know may be a good one: the client is to come back.
    endpoint.set(Answer::Cut);
    time.pass(60_000).await;
    let unknown = ec.token(&time);
    let reply = node.get(CHANNEL).bearer(&unknown).await;
    reply.problem(503, "keys-unavailable");
    assert!(!reply.header("retry-after").is_empty());
    // An EventSource takes every status but 200 as the end.
    let reply = node.get(CHANNEL).bearer(&unknown).header("accept", "text/event-stream").await;
    assert_eq!(reply.status, 200);
    assert!(reply.body.starts_with("retry: ") && reply.body.contains(": keys-unavailable"), "{}", reply.body);
    endpoint.set(good(&[&rsa, &ec]));
    time.pass(61_000).await;
    let mut left = 1_000;
    while code(&node, &unknown).await != "ok" && left > 0 {
        left -= 1;
    }
    assert_eq!(code(&node, &unknown).await, "ok");
}

#[tokio::test]
async fn a_node_starts_before_its_keys_are_there() {
    let time = Time::stop();
    let [rsa, ..] = Signer::all();
    let endpoint = Endpoint::start(Answer::Cut).await;
    let node = endpoint.node(&time, "").await;
    node.get("/readyz").await.ok();
    node.get(CHANNEL).bearer(KEY).await.ok();
    let token = rsa.token(&time);
    assert_eq!(code(&node, &token).await, "keys-unavailable");
    assert_eq!(code(&node, "nonsense").await, "bad-token");
    endpoint.set(good(&[&rsa]));
    time.pass(60_000).await;
    let mut left = 1_000;
    while code(&node, &token).await != "ok" && left > 0 {
        left -= 1;
    }
    assert_eq!(code(&node, &token).await, "ok");
}
