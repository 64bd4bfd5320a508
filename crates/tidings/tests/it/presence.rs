//! Who is in a channel: who counts, since when, and how long somebody stays (surface-details H48).

use serde_json::{Value, json};

use crate::node::{KEY, Namespace, TestNode, now_ms, sign, token};
use crate::raw::Raw;
use crate::socket::{Socket, frame};
use crate::time::Time;

const ROOM: &str = "/v1/channels/room:1";

/// A node whose time is stopped, and who is in `room:1` of it.
struct House {
    time: Time,
    node: TestNode,
}

impl House {
    async fn new() -> Self {
        let time = Time::stop();
        let node = TestNode::new()
            .namespace("room", |n| n.set("presence = true"))
            .namespace("quiet", |n| n)
            // Nothing here is to be answered while time stands still.
            .set("heartbeat = \"60s\"");
        House { node: node.clock(&time.clock).run().await, time }
    }

    async fn members(&self) -> Vec<Value> {
        let roster = self.node.get(&format!("{ROOM}/presence")).await.ok().json();
        let members = roster["members"].as_array().unwrap().clone();
        assert_eq!(roster["count"], members.len(), "{roster}");
        members
    }

    /// The users, oldest first.
    async fn users(&self) -> Vec<String> {
        self.members().await.iter().map(|member| member["user"].as_str().unwrap().to_owned()).collect()
    }

    /// How long ago the only member came, in milliseconds.
    async fn stayed(&self) -> u64 {
        let members = self.members().await;
        assert_eq!(members.len(), 1, "{members:?}");
        let since = members[0]["since"].as_str().unwrap().to_owned();
        let since = humantime::parse_rfc3339(&since).unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
        self.time.now_ms() - u64::try_from(since.as_millis()).unwrap()
    }

    /// Checks that the users of now are gone once so many milliseconds have passed, and not before.
    async fn leave_after(&self, ms: u64) {
        let users = self.users().await;
        assert!(!users.is_empty(), "nobody is here");
        self.time.pass(ms - 10).await;
        assert_eq!(self.users().await, users, "gone before {ms} ms");
        self.time.pass(20).await;
        assert_eq!(self.users().await, [""; 0], "still here after {ms} ms");
    }

    async fn socket(&self, user: &str) -> Socket {
        let mut socket = self.node.socket_as(ROOM, Some(&token(user, &[], &[]))).await;
        socket.frame_with("subscribed").await;
        socket
    }

    async fn stream(&self, target: &str, user: &str) -> Raw {
        let mut stream = self.node.sse_as(target, Some(&token(user, &[], &[]))).await;
        stream.block().await;
        stream
    }

    /// A long-poll that is held.
    async fn poll(&self, user: &str) -> Raw {
        let mut raw = self.node.raw().await;
        let credential = token(user, &[], &[]);
        raw.send(format!(
            "GET {ROOM}?after=latest&wait=60 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {credential}\r\n\r\n"
        ))
        .await;
        self.here(user).await;
        raw
    }

    async fn here(&self, user: &str) {
        for _ in 0..1_000 {
            if self.users().await.iter().any(|one| one == user) {
                return;
            }
        }
        panic!("{user} does not come");
    }

    /// Ends a connection with a reset, as a cable that is pulled does in the end, and waits until it is noticed.
    async fn lose(&self, stream: tokio::net::TcpStream, left: usize) {
        stream.set_zero_linger().unwrap();
        drop(stream);
        self.node.reading(left).await;
    }
}

#[tokio::test]
async fn who_counts() {
    let house = House::new().await;
    let node = &house.node;
    let info = sign(&json!({
        "sub": "ann", "exp": now_ms() / 1_000 + 60, "tidings": { "info": { "name": "Ann", "n": 1.0 } },
    }));
    let mut ann = node.socket_as(ROOM, Some(&info)).await;
    ann.frame_with("subscribed").await;
    house.time.pass(1_000).await;
    let _bea = house.stream(ROOM, "bea").await;
    house.time.pass(1_000).await;
    let _cat = house.poll("cat").await;
    house.time.pass(1_000).await;
    let _dan = house.stream("/v1/subscribe?channel=quiet:1&channel=room:1", "dan").await;
    let _ann_again = house.stream(ROOM, "ann").await;
    // Nobody by name.
    let nameless = sign(&json!({ "exp": now_ms() / 1_000 + 60 }));
    let empty = token("", &[], &[]);
    let mut others = Vec::new();
    for credential in [None, Some(KEY), Some(&*nameless), Some(&*empty)] {
        others.push(node.sse_as(ROOM, credential).await);
        node.socket_as(ROOM, credential).await.frame_with("subscribed").await;
    }
    // Somebody who only looks.
    node.get(ROOM).bearer(&token("eve", &[], &[])).await.ok();
    node.call("HEAD", ROOM).bearer(&token("eve", &[], &[])).await;
    node.get(&format!("{ROOM}/presence")).bearer(&token("eve", &[], &[])).await.ok();
    // Elsewhere.
    let _quiet = house.stream("/v1/channels/quiet:1", "fay").await;
    let _other = house.stream("/v1/channels/room:2", "gus").await;
    assert_eq!(house.users().await, ["ann", "bea", "cat", "dan"]);
    let members = house.members().await;
    let since = members[0]["since"].as_str().unwrap();
    assert_eq!(members[0], json!({ "user": "ann", "info": { "name": "Ann", "n": 1.0 }, "since": since }));
    assert_eq!(members[1]["info"], Value::Null);
    assert!(since.ends_with('Z') && since.len() == "2026-01-31T12:00:00.000Z".len(), "{since}");
    let reply = node.get(&format!("{ROOM}/presence")).await;
    assert_eq!(reply.header("cache-control"), "private, no-cache");
    let head = node.call("HEAD", &format!("{ROOM}/presence")).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[tokio::test]
async fn it_needs_the_right_to_read_and_a_namespace_that_keeps_it() {
    let rooms = |n: Namespace| n.set("presence = true\nsubscribe = \"token\"");
    let node =
        TestNode::new().namespace("room", rooms).namespace("quiet", |n| n.set("subscribe = \"token\""));
    let node = node.run().await;
    let bob = token("bob", &[], &[]);
    let alice = token("alice", &["*"], &[]);
    for channel in ["room:1", "quiet:1"] {
        let path = format!("/v1/channels/{channel}/presence");
        node.get(&path).await.problem(401, "no-credentials");
        node.get(&path).bearer("bad").await.problem(401, "bad-token");
        node.get(&path).bearer(&bob).await.problem(403, "forbidden");
    }
    node.get(&format!("{ROOM}/presence")).bearer(&alice).await.ok();
    node.get(&format!("{ROOM}/presence")).bearer(KEY).await.ok();
    let off = node.get("/v1/channels/quiet:1/presence").bearer(&alice).await;
    assert!(off.problem(404, "presence-off")["detail"].as_str().unwrap().contains("presence = true"));
    node.get("/v1/channels/nowhere:1/presence").await.problem(404, "unknown-namespace");
}

/// One member a user; `since` is of the oldest connection that is open.
#[tokio::test]
async fn since_is_of_the_oldest_open_connection() {
    let house = House::new().await;
    let first = house.socket("ann").await;
    house.time.pass(20_000).await;
    let second = house.stream(ROOM, "ann").await;
    house.time.pass(10_000).await;
    let third = house.socket("ann").await;
    assert_eq!(house.stayed().await, 30_000);
    // While the oldest may come back, it counts.
    first.leave().await;
    house.node.reading(2).await;
    assert_eq!(house.stayed().await, 30_000);
    house.time.pass(2_010).await;
    assert_eq!(house.stayed().await, 12_010, "the second is the oldest now");
    house.lose(third.inner.into_inner(), 1).await;
    house.time.pass(10_010).await;
    assert_eq!(house.stayed().await, 22_020, "the youngest changes nothing");
    drop(second);
    house.node.reading(0).await;
    house.leave_after(2_000).await;
}

#[tokio::test]
async fn a_clean_close_is_gone_after_two_seconds() {
    let house = House::new().await;
    house.socket("ann").await.leave().await;
    drop(house.stream(ROOM, "bea").await);
    house.node.reading(0).await;
    house.leave_after(2_000).await;
    // Who got all that was asked for has left, also where the peer never answers the close.
    let mut socket = house.node.raw().await;
    let ask = crate::socket::upgrade(&format!("{ROOM}?limit=1")).replace(KEY, &token("ann", &[], &[]));
    socket.send(ask).await;
    socket.head().await;
    let mut stream = house.stream(&format!("{ROOM}?limit=1"), "bea").await;
    house.here("ann").await;
    house.node.publish("room:1", 1).await;
    stream.rest().await;
    house.node.reading(0).await;
    house.leave_after(2_000).await;
}

#[tokio::test]
async fn a_lost_connection_is_gone_after_ten_seconds() {
    let house = House::new().await;
    let (socket, stream) = (house.socket("ann").await, house.stream(ROOM, "bea").await);
    house.lose(socket.inner.into_inner(), 1).await;
    house.lose(stream.stream, 0).await;
    house.leave_after(10_000).await;
    // An end of TCP alone is no close of a WebSocket.
    drop(house.socket("ann").await.inner.into_inner());
    house.node.reading(0).await;
    house.leave_after(10_000).await;
    // Nor is one that breaks the protocol.
    let mut socket = house.socket("ann").await;
    socket.send_raw(&frame(3, b"")).await;
    assert_eq!(socket.closed().await.0, 1002);
    house.node.reading(0).await;
    house.leave_after(10_000).await;
}

/// Whom the server sends away to come back is not announced as gone in between.
#[tokio::test]
async fn who_is_told_to_come_back_counts_as_lost() {
    let house = House::new().await;
    let exp_ms = house.time.now_ms() + 5_000;
    let brief = sign(&json!({ "sub": "ann", "exp": exp_ms as f64 / 1_000.0 }));
    let mut socket = house.node.socket_as(ROOM, Some(&brief)).await;
    let mut stream = house.node.sse_as(ROOM, Some(&brief)).await;
    socket.frame_with("subscribed").await;
    house.node.reading(2).await;
    house.time.pass(5_010).await;
    assert_eq!(socket.closed().await.0, 4001);
    stream.rest().await;
    house.node.reading(0).await;
    house.leave_after(10_000).await;
}

#[tokio::test]
async fn a_long_poll_counts_until_half_a_minute_after_it() {
    let house = House::new().await;
    // Answered at once.
    house.node.publish("room:1", 0).await;
    house.node.get(&format!("{ROOM}?wait=1")).bearer(&token("ann", &[], &[])).await.ok();
    house.leave_after(30_000).await;
    // Held, and released; and again, with 29 s between.
    for n in 0..3 {
        let mut poll = house.poll("ann").await;
        assert_eq!(house.stayed().await, n * 38_000);
        house.time.pass(9_000).await;
        house.node.publish("room:1", n).await;
        poll.reply("GET").await.ok();
        house.time.pass(29_000).await;
    }
    house.leave_after(1_000).await;
    // Held until its time is up.
    let mut poll = house.poll("ann").await;
    house.time.pass(60_010).await;
    poll.reply("GET").await.ok();
    house.leave_after(30_000).await;
    // Given up by its client, in either way.
    let poll = house.poll("ann").await;
    house.lose(poll.stream, 0).await;
    house.leave_after(30_000).await;
    drop(house.poll("ann").await);
    house.node.reading(0).await;
    house.leave_after(30_000).await;
}

#[tokio::test]
async fn a_request_that_is_refused_is_nobody_here() {
    let house = House::new().await;
    let ann = token("ann", &[], &[]);
    let cursor = house.node.publish("quiet:1", 1).await;
    let foreign = house.node.get(&format!("{ROOM}?wait=1&after={cursor}")).bearer(&ann).await;
    foreign.problem(400, "bad-cursor");
    for query in ["wait=0", "wait=1&limit=0", "wait=1&after=x"] {
        assert_eq!(house.node.get(&format!("{ROOM}?{query}")).bearer(&ann).await.status, 400, "{query}");
    }
    let stream = house.node.get(&format!("{ROOM}?after={cursor}")).header("accept", "text/event-stream");
    stream.bearer(&ann).await.problem(400, "bad-cursor");
    assert_eq!(house.users().await, [""; 0]);
}

#[tokio::test]
async fn who_is_back_in_time_was_never_gone() {
    let house = House::new().await;
    // Lost, and back: the new connection takes the place of the old one.
    let socket = house.socket("ann").await;
    house.lose(socket.inner.into_inner(), 0).await;
    house.time.pass(9_000).await;
    let socket = house.socket("ann").await;
    house.time.pass(20_000).await;
    assert_eq!(house.stayed().await, 29_000);
    // So its clean close is the end of both, also within the ten seconds of the first.
    house.lose(socket.inner.into_inner(), 0).await;
    house.time.pass(3_000).await;
    house.socket("ann").await.leave().await;
    house.node.reading(0).await;
    house.leave_after(2_000).await;
    // From long-polls to a stream: the stream's end counts, not that of the last request.
    let poll = house.poll("ann").await;
    house.lose(poll.stream, 0).await;
    house.time.pass(5_000).await;
    let stream = house.stream(ROOM, "ann").await;
    assert_eq!(house.stayed().await, 5_000);
    drop(stream);
    house.node.reading(0).await;
    house.leave_after(2_000).await;
    // A clean close beside a lost connection, which may still come back.
    let (lost, closed) = (house.socket("ann").await, house.socket("ann").await);
    house.lose(lost.inner.into_inner(), 1).await;
    house.time.pass(1_000).await;
    closed.leave().await;
    house.node.reading(0).await;
    house.leave_after(9_000).await;
    // Too late is a new beginning.
    let _late = house.socket("ann").await;
    assert_eq!(house.stayed().await, 0);
}

/// The newest token says what others see.
#[tokio::test]
async fn info_is_of_the_newest_connection() {
    let house = House::new().await;
    let with = |info: Value| {
        sign(&json!({ "sub": "ann", "exp": now_ms() / 1_000 + 60, "tidings": { "info": info } }))
    };
    let _old = house.node.sse_as(ROOM, Some(&with(json!("old")))).await;
    house.time.pass(1_000).await;
    let new = house.node.sse_as(ROOM, Some(&with(json!({ "name": "new" })))).await;
    house.node.reading(2).await;
    assert_eq!(house.members().await[0]["info"], json!({ "name": "new" }));
    drop(new);
    house.node.reading(1).await;
    house.time.pass(5_000).await;
    assert_eq!(house.members().await[0]["info"], json!({ "name": "new" }), "it is the latest that is known");
    assert_eq!(house.stayed().await, 6_000);
    // A token that says nothing changes nothing.
    let _silent = house.stream(ROOM, "ann").await;
    house.node.reading(2).await;
    assert_eq!(house.members().await[0]["info"], json!({ "name": "new" }));
}
