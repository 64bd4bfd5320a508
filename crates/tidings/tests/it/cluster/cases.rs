//! What must hold over two nodes.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::Pair;
use crate::node::{Call, KEY, token};
use crate::process::Process;
use crate::raw::{Raw, soon};
use crate::socket::Socket;

const ROOM: &str = "/v1/channels/room:1";

impl Process {
    /// Waits until it has its broker.
    pub async fn until_ready(&self) {
        let ready = async {
            while self.call("GET", "/readyz").await.status != 200 {
                sleep(Duration::from_millis(50)).await;
            }
        };
        soon("it to be ready", ready).await;
    }

    async fn socket(&self, target: &str, user: &str) -> Socket {
        Socket::open(self.address, target, Some(&token(user, &[], &[]))).await
    }

    /// Who is in the room, as this node says it.
    async fn users(&self) -> Vec<String> {
        let reply: Call = self.call("GET", &format!("{ROOM}/presence")).bearer(KEY);
        let members = reply.await.ok().json()["members"].clone();
        let user = |member: &Value| member["user"].as_str().unwrap().to_owned();
        members.as_array().unwrap().iter().map(user).collect()
    }

    async fn until_users(&self, wanted: &[&str], patience: Duration) -> Duration {
        let began = Instant::now();
        while self.users().await != wanted {
            assert!(began.elapsed() < patience, "{:?}, not {wanted:?}", self.users().await);
            sleep(Duration::from_millis(100)).await;
        }
        began.elapsed()
    }
}

/// Said to one node, it ends live reads of the other within a second, and no token of the user is taken there.
pub async fn revocation(pair: Pair) {
    let (alice, bob) = (token("alice", &[], &[]), token("bob", &[], &[]));
    let mut socket = Socket::open(pair.b.address, ROOM, Some(&alice)).await;
    socket.frame_with("subscribed").await;
    let mut stream = Raw::connect(pair.b.address).await;
    let accept = "Accept: text/event-stream";
    stream
        .send(format!("GET {ROOM} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice}\r\n{accept}\r\n\r\n"))
        .await;
    assert_eq!(stream.head().await.status, 200);
    stream.block().await;
    let mut theirs = Socket::open(pair.b.address, ROOM, Some(&bob)).await;
    theirs.frame_with("subscribed").await;
    let began = Instant::now();
    pair.a.post("/v1/revocations").json(&json!({ "user": "alice" })).await.ok();
    assert_eq!(socket.closed().await.0, 4001);
    soon("the end", stream.rest()).await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    pair.b.call("GET", ROOM).bearer(&alice).await.problem(401, "token-expired");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    pair.a.post(ROOM).text("still here").await.ok();
    theirs.frame_with("data").await;
}

/// A node dies with two members. One comes back on the other node; the other one is gone within 30 s. Who leaves
/// in order and is back on the other node within two seconds was never gone either.
pub async fn presence(mut pair: Pair) {
    let mut watcher = Socket::open(pair.b.address, "/v1/connect", Some(KEY)).await;
    let ask = json!({ "id": 1, "subscribe": { "channel": "room:1", "presence": true } });
    assert!(watcher.call(ask).await.get("subscribed").is_some());
    let mut held = Vec::new();
    for user in ["alice", "carol", "dave"] {
        let mut socket = pair.a.socket(ROOM, user).await;
        socket.frame_with("subscribed").await;
        held.push(socket);
        assert_eq!(change(&mut watcher).await, (vec![user.to_owned()], vec![]));
    }
    pair.b.until_users(&["alice", "carol", "dave"], Duration::from_secs(5)).await;
    // In order, from one node to the other.
    held.pop().unwrap().inner.close(None).await.unwrap();
    sleep(Duration::from_millis(500)).await;
    let mut dave = pair.b.socket(ROOM, "dave").await;
    dave.frame_with("subscribed").await;
    // By its death.
    pair.a.kill();
    let died = Instant::now();
    sleep(Duration::from_secs(1)).await;
    let mut alice = pair.b.socket(ROOM, "alice").await;
    alice.frame_with("subscribed").await;
    let first = timeout(Duration::from_secs(32), change(&mut watcher)).await.expect("carol has left by now");
    let took = died.elapsed();
    assert_eq!(first, (vec![], vec!["carol".to_owned()]), "nobody else came or went, {took:?} after the end");
    assert!(took < Duration::from_millis(30_500), "{took:?}");
    // By the oldest connection that each has: that of alice to the dead node counts no more.
    pair.b.until_users(&["dave", "alice"], Duration::from_secs(1)).await;
    // Nor later, when the lease of the dead node is long over.
    quiet(&mut watcher, Duration::from_secs(5)).await;
    alice.inner.close(None).await.unwrap();
    assert_eq!(change(&mut watcher).await, (vec![], vec!["alice".to_owned()]));
}

/// The next change that a watcher is told: who joined, and who left.
async fn change(watcher: &mut Socket) -> (Vec<String>, Vec<String>) {
    loop {
        let Some(Ok(message)) = watcher.inner.next().await else { panic!("the watcher's connection ended") };
        if let Some(change) = told(&message) {
            return change;
        }
    }
}

/// Nothing is told for so long.
async fn quiet(watcher: &mut Socket, time: Duration) {
    let change = timeout(time, change(watcher)).await;
    assert!(change.is_err(), "{change:?}");
}

fn told(message: &Message) -> Option<(Vec<String>, Vec<String>)> {
    let frame: Value = serde_json::from_str(message.to_text().ok()?).ok()?;
    let names = |key: &str| {
        let list = frame["presence"][key].as_array().cloned().unwrap_or_default();
        list.iter().map(|one| one["user"].as_str().or(one.as_str()).unwrap_or("?").to_owned()).collect()
    };
    frame.get("presence").map(|_| (names("joined"), names("left")))
}
