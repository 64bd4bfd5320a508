//! One URL, every transport: each scenario runs on all four, and on a session, through the client library.

use serde_json::json;
use tidings::client::Transport::{LongPoll, Poll, Session, Sse, Ws};
use tidings::client::{Error, Item, Start, Transport};

use crate::node::{Namespace, TestNode, now_ms, sign, token};
use crate::raw::soon;

/// Runs a scenario on each transport at the same time, each in a channel of its own.
macro_rules! on_all {
    ($scenario:expr) => {
        tokio::join!($scenario(Ws), $scenario(Sse), $scenario(LongPoll), $scenario(Poll), $scenario(Session))
    };
}

fn channel(transport: Transport) -> String {
    format!("orders:{transport}")
}

#[tokio::test]
async fn messages_come_live_and_in_order() {
    let node = TestNode::usual().await;
    on_all!(async |transport| {
        let channel = channel(transport);
        // A poller comes back sooner to a channel that is not quiet.
        node.publish(&channel, "before").await;
        let mut reader = node.reader(transport, &[&channel], Start::Latest, None).connected().await;
        for n in 0..20 {
            node.publish(&channel, n).await;
        }
        let wanted: Vec<_> = (0..20).map(|n| n.to_string()).collect();
        assert_eq!(reader.data(20).await, wanted, "{transport}");
    });
}

/// A3: what is acknowledged after the head is delivered; once for the first message of a channel, too.
#[tokio::test]
async fn nothing_is_lost_between_the_head_and_the_first_message() {
    let node = TestNode::usual().await;
    let node = &node;
    let rounds = (0..10).flat_map(|round| [Ws, Sse, LongPoll, Session].map(|transport| (round, transport)));
    let rounds = rounds.map(async |(round, transport)| {
        let channel = format!("{}:{round}", channel(transport));
        let mut reader = node.reader(transport, &[&channel], Start::Latest, None).connected().await;
        node.publish(&channel, round).await;
        assert_eq!(reader.data(1).await, [round.to_string()], "{transport}");
    });
    futures_util::future::join_all(rounds).await;
    // A poll of a channel that never had a message.
    let target = "/v1/channels/orders:new?after=";
    let latest = node.get(&format!("{target}latest")).await.ok();
    assert_eq!(latest.json()["messages"], json!([]));
    node.publish("orders:new", 1).await;
    let page = node.get(&format!("{target}{}", latest.text("cursor"))).await.ok();
    assert_eq!(page.json()["messages"][0]["data"], 1);
}

#[tokio::test]
async fn a_reader_resumes_at_its_cursor() {
    let node = TestNode::usual().await;
    on_all!(async |transport| {
        let channel = channel(transport);
        for n in 0..3 {
            node.publish(&channel, n).await;
        }
        let mut reader = node.reader(transport, &[&channel], Start::Earliest, None);
        assert_eq!(reader.data(2).await, ["0", "1"]);
        let Item::Message(last) = reader.next().await else { panic!() };
        drop(reader);
        node.publish(&channel, 3).await;
        let after = Start::After(last.cursor().to_owned());
        let mut again = node.reader(transport, &[&channel], after, None);
        assert_eq!(again.data(1).await, ["3"], "{transport}");
    });
}

/// All twenty-five pairs, with the cursor of a message and with one of several channels.
#[tokio::test]
async fn a_cursor_moves_between_any_two_transports() {
    let node = TestNode::usual().await;
    let node = &node;
    let pairs = Transport::ALL.into_iter().flat_map(|from| Transport::ALL.map(|to| (from, to)));
    let moves = pairs.map(async |(from, to)| {
        let one = format!("orders:{from}-{to}");
        let two = format!("ticks:{from}-{to}");
        for n in 0..4 {
            node.publish(&one, n).await;
            node.publish(&two, n + 10).await;
        }
        let mut reader = node.reader(from, &[&one], Start::Earliest, None);
        reader.data(1).await;
        let Item::Message(second) = reader.next().await else { panic!() };
        let after = Start::After(second.cursor().to_owned());
        assert_eq!(node.reader(to, &[&one], after, None).data(2).await, ["2", "3"], "{from} to {to}");

        let mut reader = node.reader(from, &[&one, &two], Start::Earliest, None);
        let mut all = reader.data(8).await;
        // The place is just after what was given, and never leads: publish one more and read it.
        node.publish(&one, 4).await;
        all.extend(reader.data(1).await);
        assert_eq!(all.len(), 9);
        let cursor = reader.0.cursor().unwrap();
        assert!([64, 96].contains(&cursor.len()), "{from}: 32 characters a channel, and one behind them");
        node.publish(&one, 5).await;
        node.publish(&two, 14).await;
        let mut reader = node.reader(to, &[&one, &two], Start::After(cursor), None);
        let mut rest = reader.data(2).await;
        rest.sort();
        assert_eq!(rest, ["14", "5"], "{from} to {to}: each of the rest, once");
    });
    futures_util::future::join_all(moves).await;
}

/// A cursor covers what it names: other channels start as if new, and what is not asked for is ignored.
#[tokio::test]
async fn a_composite_cursor_may_cover_more_or_less() {
    let node = TestNode::usual().await;
    let node = &node;
    for name in ["orders:a", "orders:b", "orders:c"] {
        node.publish(name, json!(name)).await;
    }
    let page = node.get("/v1/subscribe?channel=orders:a&channel=orders:b").await.ok();
    let cursor = page.text("cursor");
    assert_eq!(page.json()["messages"].as_array().unwrap().len(), 2);
    // The default of poll is `earliest`, and that of a stream `latest`.
    let page =
        node.get(&format!("/v1/subscribe?channel=orders:b&channel=orders:c&after={cursor}")).await.ok();
    let messages = page.json()["messages"].clone();
    assert_eq!(messages.as_array().unwrap().len(), 1);
    assert_eq!(messages[0]["data"], "orders:c");
    let mut stream =
        node.sse(&format!("/v1/subscribe?channel=orders:b&channel=orders:c&after={cursor}")).await;
    stream.block().await;
    assert!(stream.is_quiet().await);
    // On a session each channel is asked for by itself, with the same end.
    let after = Start::After(cursor.clone());
    let mut session = node.reader(Session, &["orders:b", "orders:c"], after, None).connected().await;
    node.publish("orders:c", "new").await;
    assert_eq!(session.say().await, "\"new\"@orders:c");
    let none = node.get(&format!("/v1/channels/orders:c?after={cursor}")).await;
    none.problem(400, "bad-cursor");
    // That of one channel is good for several.
    let one = node.get("/v1/channels/orders:a").await.ok().text("cursor");
    let page = node.get(&format!("/v1/subscribe?channel=orders:a&channel=orders:b&after={one}")).await.ok();
    assert_eq!(page.json()["messages"].as_array().unwrap().len(), 1);
}

/// Cursors of single channels, written one after the other, are one cursor; the later one counts.
#[tokio::test]
async fn cursors_may_be_joined() {
    let node = TestNode::usual().await;
    let node = &node;
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for name in ["orders:a", "ticks:b"] {
        old.push(node.publish(name, 0).await);
        new.push(node.publish(name, 1).await);
        node.publish(name, 2).await;
    }
    let read = async |after: String| {
        let mut all = Vec::new();
        let page =
            node.get(&format!("/v1/subscribe?channel=orders:a&channel=ticks:b&after={after}")).await.ok();
        for message in page.json()["messages"].as_array().unwrap() {
            all.push(format!("{}{}", message["channel"].as_str().unwrap(), message["data"]));
        }
        all.sort();
        all.join(" ")
    };
    assert_eq!(read(new.concat()).await, "orders:a2 ticks:b2");
    assert_eq!(read([&*new[1], &*new[0]].concat()).await, "orders:a2 ticks:b2");
    assert_eq!(read([&*old[0], &*old[1], &*new[0]].concat()).await, "orders:a2 ticks:b1 ticks:b2");
    assert_eq!(read([&*new[0], &*old[1], &*old[0]].concat()).await, "orders:a1 orders:a2 ticks:b1 ticks:b2");
    on_all!(async |transport| {
        let mut reader =
            node.reader(transport, &["orders:a", "ticks:b"], Start::After(new.concat()), Some(2));
        assert_eq!(reader.data(2).await, ["2", "2"], "{transport}");
        assert_eq!(reader.say().await, "end", "{transport}");
    });
    let page = |count| node.get(&format!("/v1/subscribe?channel=orders:a&after={}", new[0].repeat(count)));
    page(100).await.ok();
    page(101).await.problem(400, "bad-cursor");
    page(1).await.ok();
    let half = format!("/v1/subscribe?channel=orders:a&after={}{}", new[0], &new[1][..16]);
    node.get(&half).await.problem(400, "bad-cursor");
}

#[tokio::test]
async fn a_gap_is_told_with_what_is_missing() {
    let node = TestNode::new().namespace("orders", |n| n.retain(5)).run().await;
    on_all!(async |transport| {
        let channel = channel(transport);
        let first = node.publish(&channel, 0).await;
        for n in 1..12 {
            node.publish(&channel, n).await;
        }
        let mut reader = node.reader(transport, &[&channel], Start::After(first), None);
        assert_eq!(reader.say().await, "gap:expired:6", "{transport}");
        assert_eq!(reader.data(5).await, ["7", "8", "9", "10", "11"], "{transport}");
        // What expired before a read from the beginning is no gap.
        let mut reader = node.reader(transport, &[&channel], Start::Earliest, None);
        assert_eq!(reader.data(2).await, ["7", "8"], "{transport}");
    });
}

/// A11, A12: a cursor of another life of the log.
#[tokio::test]
async fn a_cursor_of_another_epoch_is_a_gap() {
    let build = || TestNode::new().namespace("orders", |n| n).namespace("ticks", Namespace::at_most_once);
    let (old, new) = (build().run().await, build().run().await);
    on_all!(async |transport| {
        let (orders, ticks) = (format!("orders:{transport}"), format!("ticks:{transport}"));
        for (channel, after_gap) in [(&orders, "1"), (&ticks, "2")] {
            let cursor = old.publish(channel, 0).await;
            new.publish(channel, 1).await;
            let mut reader = new.reader(transport, &[channel], Start::After(cursor), None);
            assert_eq!(reader.say().await, "gap:epoch:?", "{transport}");
            new.publish(channel, 2).await;
            assert_eq!(reader.data(1).await, [after_gap], "{transport} {channel}");
        }
    });
}

#[tokio::test]
async fn below_the_tail_of_an_at_most_once_channel_is_a_skip_to_now() {
    let node = TestNode::new().namespace("ticks", |n| n.at_most_once().retain(5)).run().await;
    on_all!(async |transport| {
        let channel = format!("ticks:{transport}");
        let first = node.publish(&channel, 0).await;
        let inside = node.publish(&channel, 1).await;
        for n in 2..7 {
            node.publish(&channel, n).await;
        }
        let mut reader = node.reader(transport, &[&channel], Start::After(inside), None);
        assert_eq!(reader.data(5).await, ["2", "3", "4", "5", "6"], "{transport}: in the tail");
        let mut reader = node.reader(transport, &[&channel], Start::After(first), None);
        assert_eq!(reader.say().await, "gap:lagged:6", "{transport}: below it");
        node.publish(&channel, 7).await;
        assert_eq!(reader.data(1).await, ["7"], "{transport}");
    });
}

/// A9: fewer where there are fewer, and then live.
#[tokio::test]
async fn the_newest_n_and_then_live() {
    let node = TestNode::usual().await;
    on_all!(async |transport| {
        let channel = channel(transport);
        for n in 0..6 {
            node.publish(&channel, n).await;
        }
        let mut some = node.reader(transport, &[&channel], Start::Last(2), None);
        assert_eq!(some.data(2).await, ["4", "5"], "{transport}");
        let mut none = node.reader(transport, &[&channel], Start::Last(0), None).connected().await;
        let mut all = node.reader(transport, &[&channel], Start::Last(100), None);
        assert_eq!(all.data(6).await.len(), 6, "{transport}");
        node.publish(&channel, 6).await;
        assert_eq!(some.data(1).await, ["6"], "{transport}");
        assert_eq!(none.data(1).await, ["6"], "{transport}");
    });
}

#[tokio::test]
async fn several_channels_on_one_connection() {
    let node = TestNode::usual().await;
    on_all!(async |transport| {
        let names = [0, 1, 2].map(|n| format!("orders:{transport}:{n}"));
        let channels = names.each_ref().map(String::as_str);
        node.publish(channels[0], "before").await;
        let mut reader = node.reader(transport, &channels, Start::Latest, None).connected().await;
        for round in 0..10 {
            for name in &channels {
                node.publish(name, round).await;
            }
        }
        let mut next = [0; 3];
        for _ in 0..30 {
            let said = reader.say().await;
            let (data, name) = said.split_once('@').unwrap();
            let at = channels.iter().position(|channel| *channel == name).unwrap();
            assert_eq!(data, next[at].to_string(), "{transport} {name}: the order within a channel");
            next[at] += 1;
        }
        assert_eq!(next, [10; 3]);
    });
}

/// D24: JSON keeps its text, text is a string, bytes are base64; the same message on every transport.
#[tokio::test]
async fn a_message_is_the_same_on_every_transport() {
    let node = TestNode::usual().await;
    let json = r#"{"b": 1.50, "a":[1e3 ,12345678901234567890123], "é":"\u00e9"}"#;
    let post = || node.post("/v1/channels/orders:1?event=made&key=k").header("idempotency-key", "one");
    post().header("content-type", "application/vnd.x+json; charset=utf-8").body(json).await.ok();
    node.post("/v1/channels/orders:1").header("content-type", "Text/Plain").body("a\nb\"ü").await.ok();
    node.post("/v1/channels/orders:1").body([0, 255, 10]).await.ok();
    node.post("/v1/channels/orders:1").text("").await.ok();
    on_all!(async |transport| {
        let mut reader = node.reader(transport, &["orders:1"], Start::Earliest, None);
        let mut all = Vec::new();
        for _ in 0..4 {
            let Item::Message(message) = reader.next().await else { panic!() };
            all.push(message);
        }
        let parts = all[0].parts().unwrap();
        assert_eq!(parts.data.get(), json, "{transport}");
        assert_eq!(
            (&*parts.event, parts.key.as_deref(), parts.id.as_deref()),
            ("made", Some("k"), Some("one"))
        );
        assert_eq!((parts.from, parts.encoding), (None, None));
        let time = parts.time.unwrap();
        assert!(time.len() == 24 && time.ends_with('Z') && time.as_bytes()[19] == b'.', "{time}");
        let parts = all[1].parts().unwrap();
        assert_eq!((&*parts.event, parts.data.get()), ("message", r#""a\nb\"ü""#), "{transport}");
        let parts = all[2].parts().unwrap();
        assert_eq!(
            (parts.data.get(), parts.encoding.as_deref()),
            (r#""AP8K""#, Some("base64")),
            "{transport}"
        );
        assert_eq!(all[3].parts().unwrap().data.get(), r#""""#, "{transport}");
    });
}

/// A right that is missing ends a read of several channels, and says so; none of them is read.
#[tokio::test]
async fn a_refused_channel_is_final() {
    let node = TestNode::new().namespace("chat", |n| n.set("subscribe = \"token\"")).run().await;
    let alice = token("alice", &["chat:1"], &[]);
    on_all!(async |transport| {
        for (channels, code) in
            [(["chat:1", "chat:2"], "forbidden"), (["chat:1", "nowhere:1"], "unknown-namespace")]
        {
            let mut reader = node.reader_as(&alice, transport, &channels, Start::Latest, None);
            let refused = soon("refusal", reader.0.next()).await;
            assert!(
                matches!(&refused, Err(Error::Refused(problem)) if problem.code == code),
                "{transport}: {refused:?}"
            );
        }
        let mut reader = node.reader_as("nonsense", transport, &["chat:1"], Start::Latest, None);
        let refused = soon("refusal", reader.0.next()).await;
        assert!(
            matches!(&refused, Err(Error::Refused(problem)) if problem.code == "bad-token"),
            "{transport}: {refused:?}"
        );
    });
}

/// A client with one token does not come back when that has ended.
#[tokio::test]
async fn the_end_of_the_token_is_the_end() {
    let node = TestNode::new().namespace("chat", |n| n.set("subscribe = \"token\"")).run().await;
    let exp = now_ms() / 1_000 + 2;
    let brief = sign(&json!({ "exp": exp, "tidings": { "subscribe": ["chat:*"] } }));
    let ended = async |transport| {
        let mut reader =
            node.reader_as(&brief, transport, &["chat:1"], Start::Latest, None).connected().await;
        let error = loop {
            match soon("end of the token", reader.0.next()).await {
                Ok(Item::Status(_)) => {}
                Ok(item) => panic!("{transport}: {item:?}"),
                Err(error) => break error,
            }
        };
        let is_told = matches!(&error, Error::Refused(problem) if problem.code == "token-expired");
        assert!(is_told, "{transport}: {error}");
    };
    tokio::join!(ended(Ws), ended(Sse), ended(LongPoll), ended(Session));
}

/// A session takes more channels than a request can name, each with a place of its own.
#[tokio::test]
async fn a_session_reads_more_than_a_hundred_channels() {
    let node = TestNode::new()
        .set("[limits]\nconnection_channels = 300")
        .namespace("orders", |n| n)
        .namespace("ticks", Namespace::at_most_once)
        .run()
        .await;
    let mut names: Vec<_> = (0..299).map(|n| format!("orders:{n}")).collect();
    names.push("ticks:1".into());
    let channels: Vec<_> = names.iter().map(String::as_str).collect();
    for name in &channels {
        node.publish(name, 1).await;
    }
    let mut reader = node.reader(Session, &channels, Start::Earliest, None);
    let Ok(Item::Status(connected)) = soon("connect", reader.0.next()).await else { panic!() };
    let said = format!("{connected:?}");
    assert!(said.contains("at-most-once"), "the weakest guarantee: {said}");
    assert_eq!(reader.data(300).await, vec!["1"; 300]);
    node.publish("orders:250", 2).await;
    assert_eq!(reader.say().await, "2@orders:250");
    assert_eq!(reader.0.cursor(), None, "no one cursor covers so many");

    let more: Vec<_> = channels.iter().copied().chain(["orders:more"]).collect();
    let mut reader = node.reader(Session, &more, Start::Latest, None);
    let refused = soon("refusal", reader.0.next()).await;
    assert!(
        matches!(&refused, Err(Error::Refused(problem)) if problem.code == "too-many-channels"),
        "{refused:?}"
    );
}
