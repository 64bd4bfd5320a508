//! Cursors that were cut, changed, or given for something else, on every form of a read; and other wrong parameters.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::Value;

use crate::node::TestNode;
use crate::socket::upgrade;

use super::{ORDERS, Witness};

/// What becomes of a read from a cursor.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// 400, with this code.
    Refused(String),
    /// The first thing is a gap, for this reason.
    Gap(String),
    /// The first thing is a message with this data.
    Message(Value),
}

const FORMS: [&str; 6] = ["poll", "long-poll", "sse", "websocket", "sse-full", "websocket-full"];

/// Reads on after a cursor in one form; something must be there.
async fn read(node: &TestNode, form: &str, after: &str) -> Found {
    let base = if form.ends_with("-full") { "/v1/subscribe?channel=orders:1&after=" } else { "" };
    let target = if base.is_empty() { format!("{ORDERS}?after={after}") } else { format!("{base}{after}") };
    if form.starts_with("websocket") {
        let mut raw = node.raw().await;
        raw.send(upgrade(&target)).await;
        let head = raw.head().await;
        if head.status == 101 {
            let mut socket = node.socket(&target).await;
            let recovered = socket.frame().await["subscribed"]["recovered"].clone();
            let first = socket.frame().await;
            assert_eq!(recovered, first.get("gap").is_none());
            return match first["gap"]["why"].as_str() {
                Some(why) => Found::Gap(why.to_owned()),
                None => Found::Message(first["data"].clone()),
            };
        }
        let length = head.header("content-length").unwrap().parse().unwrap();
        let body = raw.exactly(length).await;
        let problem: Value = serde_json::from_slice(&body).unwrap();
        return Found::Refused(problem["code"].as_str().unwrap().to_owned());
    }
    if form.starts_with("sse") {
        let reply = node.get(&format!("{target}&limit=1")).header("accept", "text/event-stream").await;
        return match reply.status {
            200 => first_event(&reply.body),
            _ => Found::Refused(reply.text("code")),
        };
    }
    let wait = if form == "long-poll" { "&wait=5" } else { "" };
    let reply = node.get(&format!("{target}{wait}")).await;
    if reply.status != 200 {
        return Found::Refused(reply.text("code"));
    }
    let page = reply.json();
    match page["gap"]["why"].as_str() {
        Some(why) => Found::Gap(why.to_owned()),
        None => Found::Message(page["messages"][0]["data"].clone()),
    }
}

fn first_event(body: &str) -> Found {
    let event = body.split("\n\n").find(|block| block.contains("data: ")).unwrap();
    let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let data: Value = serde_json::from_str(data).unwrap();
    match event.contains("event: tidings.gap") {
        true => Found::Gap(data["why"].as_str().unwrap().to_owned()),
        false => Found::Message(data.get("data").unwrap_or(&data).clone()),
    }
}

#[tokio::test]
async fn wrong_cursors_on_every_form() {
    let node = TestNode::usual().await;
    let mut witness = Witness::of(&node).await;
    let first = node.publish("orders:1", 1).await;
    node.publish("orders:1", 2).await;
    let other = node.publish("orders:2", 1).await;
    let ticks = node.publish("ticks:1", 1).await;
    let double = format!("{first}{first}");
    let bad: Vec<String> = vec![
        String::new(),
        first[..31].into(),
        first[1..].into(),
        first[..16].into(),
        format!("{first}A"),
        format!("{first}%00"),
        format!("{first}%0a"),
        format!("%20{first}"),
        format!("{}=", &first[..31]),
        first.replace(|c: char| c.is_ascii_lowercase(), "%2B"),
        first.to_lowercase() + "x",
        format!("{other}{}", &first[..31]),
        first.repeat(101),
        "A".repeat(15_000),
        "null".into(),
        "0".into(),
        "-1".into(),
        "Latest".into(),
        "earliest%20".into(),
        // Of other channels alone.
        other.clone(),
        ticks.clone(),
        format!("{other}{ticks}"),
    ];
    for form in FORMS {
        for after in &bad {
            let found = read(&node, form, after).await;
            assert_eq!(found, Found::Refused("bad-cursor".into()), "{form}: {after}");
        }
        for good in [&first, &double, &format!("{other}{first}"), &format!("{first}{ticks}{other}")] {
            assert_eq!(read(&node, form, good).await, Found::Message(2.into()), "{form}: {good}");
        }
        witness.goes_on(&node).await;
    }
    witness.lost_nothing(&node).await;
}

/// A cursor with one bit changed is of another channel, of another epoch, or of another place: never a silence.
#[tokio::test]
async fn each_bit_of_a_cursor_counts() {
    let node = TestNode::usual().await;
    let witness = Witness::of(&node).await;
    let mut cursors = Vec::new();
    for n in 0..6 {
        cursors.push(node.publish("orders:1", n).await);
    }
    // The place after the fourth message: offset 4, of 6.
    let raw = BASE64_URL_SAFE_NO_PAD.decode(&cursors[3]).unwrap();
    for bit in 0..192 {
        let mut changed = raw.clone();
        changed[bit / 8] ^= 0x80 >> (bit % 8);
        let offset = u64::from_be_bytes(changed[16..].try_into().unwrap());
        let expected = match bit {
            0..64 => Found::Refused("bad-cursor".into()),
            64..128 => Found::Gap("epoch".into()),
            _ if offset > 6 => Found::Gap("epoch".into()),
            _ => Found::Message(offset.into()),
        };
        let after = BASE64_URL_SAFE_NO_PAD.encode(&changed);
        // Each form at some bits, the first at all.
        let forms = if bit % 24 == 0 || bit > 188 { &FORMS[..] } else { &FORMS[..1] };
        for form in forms {
            if offset == 6 && bit >= 128 {
                continue;
            }
            assert_eq!(read(&node, form, &after).await, expected, "bit {bit}, {form}");
        }
        if bit % 24 == 0 {
            // A browser's own is never refused: it would not come back.
            let stream = node.get(&format!("{ORDERS}?limit=1")).header("accept", "text/event-stream");
            let reply = stream.header("last-event-id", &after).await.ok();
            let first = first_event(&reply.body);
            let gap = Found::Gap("epoch".into());
            assert_eq!(first, if bit < 64 { gap } else { expected }, "bit {bit}, Last-Event-ID");
        }
    }
    witness.lost_nothing(&node).await;
}

#[tokio::test]
async fn wrong_parameters_on_every_form() {
    let node = TestNode::usual().await;
    let witness = Witness::of(&node).await;
    let cursor = node.publish("orders:1", 1).await;
    let mut queries: Vec<String> = Vec::new();
    for value in ["-1", "+1", "1.0", "1e3", "0x1", "+", "1%20", "%31x", "x", "", "\u{661}", "1,1", "1;"] {
        queries.push(format!("limit={value}"));
        queries.push(format!("last={value}"));
    }
    queries.extend(["limit=0", "limit=00", "limit=1&limit=1", "last=1&last=1"].map(String::from));
    queries.push(format!("after={cursor}&after={cursor}"));
    queries.push(format!("after={cursor}&last=1"));
    queries.push("after=latest&last=0".into());
    for query in &queries {
        let target = format!("{ORDERS}?{query}");
        node.get(&target).await.problem(400, "bad-query");
        node.get(&format!("{target}&wait=1")).await.problem(400, "bad-query");
        node.get(&target).header("accept", "text/event-stream").await.problem(400, "bad-query");
        assert_eq!(node.call("HEAD", &target).await.status, 400, "{query}");
        let mut raw = node.raw().await;
        raw.send(upgrade(&target)).await;
        raw.reply("GET").await.problem(400, "bad-query");
    }
    for value in
        ["0", "-0", "-1", "x", "", "NaN", "inf", "-inf", "1,5", "1s", "0x1", "1&wait=1", "%F0%9F%98%80"]
    {
        node.get(&format!("{ORDERS}?wait={value}")).await.problem(400, "bad-query");
        // Where there is a stream, nothing waits.
        let stream = node.get(&format!("{ORDERS}?after=earliest&limit=1&wait={value}"));
        stream.header("accept", "text/event-stream").await.ok();
    }
    for value in ["1e-9", "1e400", "99999999999999999999999", ".5", "+1"] {
        let reply = node.get(&format!("{ORDERS}?wait={value}")).await;
        assert!(matches!(reply.status, 200 | 400), "{value}: {}", reply.status);
    }
    for query in
        ["unknown=1", "unknown", "=", "&&&", "=&=", "unknown=1&unknown=2", "Limit=0", "%00=%00", "%=%"]
    {
        node.get(&format!("{ORDERS}?{query}")).await.ok();
        node.post(&format!("{ORDERS}?{query}")).text("x").await.ok();
    }
    let many = "x=1&".repeat(4_000);
    node.get(&format!("{ORDERS}?{many}")).await.ok();
    node.get(&format!("{ORDERS}?token=a&token=b")).await.problem(401, "bad-token");
    let token = crate::node::token("alice", &[], &[]);
    let twice = format!("{ORDERS}?token={token}&token={token}");
    node.get(&twice).await.problem(401, "bad-token");
    for name in ["event", "key"] {
        node.post(&format!("{ORDERS}?{name}=a&{name}=a")).text("x").await.problem(400, "bad-query");
    }
    witness.lost_nothing(&node).await;
}
