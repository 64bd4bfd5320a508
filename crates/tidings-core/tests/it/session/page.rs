//! Pages: cursors over many channels, limits, and one gap at a time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidings_core::broker::Memory;
use tidings_core::broker::faulty::{Faults, Faulty};
use tidings_core::log::{Draft, Payload, Position, Start, Why};
use tidings_core::{Clock, Code, Cursor, Delivery, From, Namespace, Read, Retain, Want};

use crate::node::{BEGAN_MS, Node, ROOM, channel, draft, public, want};

fn node() -> Node {
    let few =
        Namespace { retain: Retain { messages: 5, age_ms: 3_600_000 }, ..public(Delivery::AtLeastOnce) };
    let tail =
        Namespace { retain: Retain { messages: 5, age_ms: 3_600_000 }, ..public(Delivery::AtMostOnce) };
    Node::new([("default", public(Delivery::AtLeastOnce)), ("few", few), ("tail", tail)])
}

async fn read(node: &Node, names: &[&str], from: From, limit: usize) -> Read {
    node.backend().read(want(names, from), limit).await.unwrap()
}

fn texts(read: &Read) -> Vec<&str> {
    read.messages.iter().map(|message| std::str::from_utf8(&message.payload.bytes).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_page_ends_where_its_cursor_says() {
    let node = node();
    node.publish("a", &["1", "2", "3", "4", "5"]).await;
    let first = read(&node, &["a"], From::Earliest, 2).await;
    assert_eq!((texts(&first), first.more), (vec!["1", "2"], true));
    let second = read(&node, &["a"], From::Cursor(first.cursor), 2).await;
    assert_eq!((texts(&second), second.more), (vec!["3", "4"], true));
    let third = read(&node, &["a"], From::Cursor(second.cursor.clone()), 2).await;
    assert_eq!((texts(&third), third.more), (vec!["5"], false));
    let full = read(&node, &["a"], From::Cursor(second.cursor), 1).await;
    assert_eq!((texts(&full), full.more), (vec!["5"], false), "a full page that ends the log");
    let end = read(&node, &["a"], From::Cursor(third.cursor.clone()), 2).await;
    assert!(texts(&end).is_empty() && !end.more && end.gap.is_none());
    assert_eq!(end.cursor, third.cursor);
    assert_eq!(read(&node, &["a"], From::Last(2), 9).await.messages.len(), 2);
    assert_eq!(texts(&read(&node, &["a"], From::Last(9), 9).await), ["1", "2", "3", "4", "5"]);
    assert!(read(&node, &["a"], From::Last(0), 9).await.messages.is_empty());
    let latest = read(&node, &["a"], From::Latest, 9).await;
    assert!(latest.messages.is_empty() && latest.cursor == third.cursor);
}

#[tokio::test(start_paused = true)]
async fn every_page_has_a_cursor_also_of_a_channel_that_never_was() {
    let node = node();
    for from in [From::Default, From::Earliest, From::Latest, From::Last(3)] {
        let name = format!("new-{}", format!("{from:?}").len());
        let page = read(&node, &[&name], from, 9).await;
        node.publish(&name, &["first"]).await;
        let next = read(&node, &[&name], From::Cursor(page.cursor.to_string().parse().unwrap()), 9).await;
        assert_eq!(texts(&next), ["first"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_composite_covers_what_it_covers() {
    let node = node();
    for name in ["a", "b", "c"] {
        node.publish(name, &[&format!("{name}1"), &format!("{name}2")]).await;
    }
    let ab = read(&node, &["a", "b"], From::Earliest, 2).await;
    assert_eq!(texts(&ab), ["a1", "b1"]);
    // One part of it alone, more than it has, and channels that the request does not name.
    assert_eq!(texts(&read(&node, &["b"], From::Cursor(ab.cursor.clone()), 9).await), ["b2"]);
    let from = |default| Want { default, ..want(&["b", "c"], From::Cursor(ab.cursor.clone())) };
    let session = node.backend();
    assert_eq!(texts(&session.read(from(Start::Latest), 9).await.unwrap()), ["b2"]);
    assert_eq!(texts(&session.read(from(Start::Earliest), 9).await.unwrap()), ["b2", "c1", "c2"]);
    for name in ["c", "d"] {
        let none = session.read(want(&[name], From::Cursor(ab.cursor.clone())), 9).await;
        assert_eq!(none.map(|_| ()).unwrap_err().code, Code::BadCursor, "it covers none");
    }
    // The order of the request is the order of the cursor.
    let ba = read(&node, &["b", "a"], From::Cursor(ab.cursor.clone()), 9).await;
    assert_eq!(texts(&ba), ["b2", "a2"]);
    assert!(ba.cursor.get(&channel("a")).is_some() && ba.cursor.get(&channel("c")).is_none());
}

#[tokio::test(start_paused = true)]
async fn doubles_are_folded_and_a_hundred_are_enough() {
    let node = node();
    node.publish("a", &["1"]).await;
    let page = read(&node, &["a", "a", "b", "a"], From::Earliest, 9).await;
    assert_eq!(texts(&page), ["1"]);
    assert_eq!(page.cursor.to_string().len(), 64);
    let names: Vec<_> = (0..101).map(|n| format!("c{n}")).collect();
    let mut names: Vec<_> = names.iter().map(String::as_str).collect();
    let error = node.backend().read(want(&names, From::Latest), 9).await.map(|_| ()).unwrap_err();
    assert_eq!(error.code, Code::TooManyChannels);
    names[100] = names[0];
    let page = read(&node, &names, From::Latest, 9).await;
    let cursor: Cursor = page.cursor.to_string().parse().unwrap();
    assert!(names.iter().all(|name| cursor.get(&channel(name)).is_some()));
}

#[tokio::test(start_paused = true)]
async fn one_gap_a_page_and_none_lost() {
    let node = node();
    let names = ["few:a", "few:b", "few:c"];
    let begin = read(&node, &names, From::Latest, 9).await.cursor;
    for name in names {
        for n in 0..8 {
            node.publish(name, &[&format!("{name}{n}")]).await;
        }
    }
    for limit in [1, 2, 3, 7, 100] {
        let (mut cursor, mut gaps, mut got) = (begin.clone(), Vec::new(), Vec::new());
        for _ in 0..40 {
            let page = read(&node, &names, From::Cursor(cursor.clone()), limit).await;
            assert!(page.messages.len() <= limit);
            for message in &page.messages {
                got.push(message.id.to_string());
            }
            if let Some((channel, gap)) = &page.gap {
                assert_eq!((gap.why, gap.missed), (Why::Expired, Some(3)));
                assert_eq!(gap.after, cursor.get(channel));
                let before = got.iter().filter(|id| id.starts_with(channel.as_str())).count();
                let here = page.messages.iter().filter(|message| message.channel == *channel).count();
                assert_eq!(before, here, "the gap stands before the messages");
                gaps.push(channel.to_string());
            }
            cursor = page.cursor;
            if !page.more {
                break;
            }
        }
        gaps.sort();
        assert_eq!(gaps, names, "limit {limit}");
        for name in names {
            let of: Vec<_> = got.iter().filter(|id| id.starts_with(name)).cloned().collect();
            assert_eq!(of, (3..8).map(|n| format!("{name}{n}")).collect::<Vec<_>>(), "limit {limit}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_channel_starves_no_other() {
    for (busy, quiet) in [("a", "b"), ("b", "a")] {
        let node = node();
        let mut cursor = read(&node, &["a", "b"], From::Latest, 9).await.cursor;
        node.publish(quiet, &["here"]).await;
        let mut pages = 0;
        loop {
            node.publish(busy, &["x", "x"]).await;
            let page = read(&node, &["a", "b"], From::Cursor(cursor), 1).await;
            cursor = page.cursor.clone();
            pages += 1;
            if texts(&page).contains(&"here") {
                break;
            }
            assert!(pages < 20, "`{quiet}` waits for ever behind `{busy}`");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_channel_leaves_another_takes() {
    let node = node();
    node.publish("a", &["a1"]).await;
    let many: Vec<_> = (0..20).map(|n| format!("b{n}")).collect();
    node.publish("b", &many.iter().map(String::as_str).collect::<Vec<_>>()).await;
    node.publish("c", &["c1"]).await;
    let page = read(&node, &["a", "b", "c", "d"], From::Earliest, 12).await;
    assert_eq!((page.messages.len(), page.more), (12, true));
    let rest = read(&node, &["a", "b", "c", "d"], From::Cursor(page.cursor), 100).await;
    assert_eq!((rest.messages.len(), rest.more), (10, false));
}

#[tokio::test(start_paused = true)]
async fn at_most_once_says_what_it_skipped() {
    let node = node();
    let begin = read(&node, &["tail:a"], From::Latest, 9).await;
    assert_eq!(begin.delivery, Delivery::AtMostOnce);
    for n in 0..8 {
        node.publish("tail:a", &[&n.to_string()]).await;
    }
    let page = read(&node, &["tail:a"], From::Cursor(begin.cursor), 9).await;
    let (_, gap) = page.gap.unwrap();
    assert_eq!((gap.why, gap.missed, page.more), (Why::Lagged, Some(8), false));
    assert!(page.messages.is_empty());
    node.publish("tail:a", &["8"]).await;
    assert_eq!(texts(&read(&node, &["tail:a"], From::Cursor(page.cursor), 9).await), ["8"]);
    let both = read(&node, &["a", "tail:a"], From::Latest, 9).await;
    assert_eq!(both.delivery, Delivery::AtMostOnce, "the weakest of them");
}

#[tokio::test(start_paused = true)]
async fn a_cursor_of_another_life_is_a_gap() {
    let node = node();
    node.publish("a", &["1", "2"]).await;
    let (a, b) = (channel("a"), channel("b"));
    let other = Position { epoch: 5, offset: 1 };
    let cursor = Cursor::composite([(&a, other), (&b, other)]);
    let first = read(&node, &["a", "b"], From::Cursor(cursor), 9).await;
    assert_eq!(first.gap.as_ref().map(|(channel, gap)| (channel, gap.why)), Some((&a, Why::Epoch)));
    assert!(first.more, "another gap is there now");
    let second = read(&node, &["a", "b"], From::Cursor(first.cursor.clone()), 9).await;
    assert_eq!(second.gap.map(|(channel, gap)| (channel, gap.why)), Some((b, Why::Epoch)));
    assert!(!second.more);
    let all: Vec<_> = first.messages.iter().chain(&second.messages).map(|message| &*message.id).collect();
    assert_eq!(all, ["1", "2"]);
    let unreadable = read(&node, &["a"], From::Unreadable, 9).await;
    assert_eq!(unreadable.gap.map(|(_, gap)| (gap.after, gap.why)), Some((None, Why::Epoch)));
    assert_eq!(unreadable.messages.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_place_is_told_for_each_channel() {
    let node = node();
    let names = ["a", "b", "c"];
    for name in names {
        node.publish(name, &[name]).await;
    }
    let (mut from, mut gaps, mut got) = (From::Unreadable, Vec::new(), Vec::new());
    for _ in names {
        let page = read(&node, &names, from, 9).await;
        let (channel, gap) = page.gap.as_ref().expect("one a page");
        assert_eq!((gap.after, gap.why), (None, Why::Epoch));
        gaps.push(channel.to_string());
        got.extend(texts(&page).into_iter().map(str::to_owned));
        from = From::Cursor(page.cursor.to_string().parse().unwrap());
    }
    assert_eq!((gaps, got), (names.map(String::from).to_vec(), names.map(String::from).to_vec()));
    assert!(read(&node, &names, from, 9).await.gap.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_page_says_when_its_newest_was_stored() {
    let node = node();
    assert_eq!(read(&node, &["a"], From::Latest, 9).await.newest_ms, None);
    node.publish("a", &["1"]).await;
    let then = node.clock.now_ms();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(read(&node, &["a", "b"], From::Latest, 9).await.newest_ms, Some(then));
}

/// Bytes that the messages of a page may hold.
const PAGE_BYTES: usize = 8 << 20;

fn large(id: &str, bytes: usize) -> Draft {
    let draft = draft(id);
    Draft { payload: Payload { bytes: Bytes::from(vec![b'x'; bytes]), ..draft.payload }, ..draft }
}

/// Reads to the end, page after page; gives the ids of each page.
async fn pages(node: &Node, names: &[&str], limit: usize) -> Vec<Vec<String>> {
    let (mut pages, mut from) = (Vec::new(), From::Earliest);
    loop {
        let page = read(node, names, from, limit).await;
        let held: usize = page.messages.iter().map(|message| message.weight()).sum();
        assert!(held <= PAGE_BYTES || page.messages.len() == 1, "{held} bytes in one page");
        assert!(!page.messages.is_empty() || !page.more, "a page that says `more` and gives nothing");
        pages.push(page.messages.iter().map(|message| message.id.to_string()).collect());
        assert!(pages.len() < 200, "no end");
        if !page.more {
            return pages;
        }
        from = From::Cursor(page.cursor);
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_is_cut_by_its_bytes_and_says_that_there_is_more() {
    let node = node();
    let drafts = (0..20).map(|n| large(&n.to_string(), (1 << 20) - 1_000)).collect();
    node.try_publish("a", drafts).await.unwrap();
    let of_one = pages(&node, &["a"], 1_000).await;
    assert_eq!(of_one.iter().map(Vec::len).collect::<Vec<_>>(), [8, 8, 4]);
    assert_eq!(of_one.concat(), (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
    // The end of the channel on the edge of a page.
    node.try_publish("b", (0..8).map(|n| large(&n.to_string(), (1 << 20) - 1_000)).collect()).await.unwrap();
    assert_eq!(pages(&node, &["b"], 1_000).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn many_channels_share_the_bytes_of_a_page() {
    let node = node();
    let names: Vec<_> = (0..30).map(|n| format!("c{n}")).collect();
    for name in &names {
        let drafts = (0..2).map(|n| large(&format!("{name}-{n}"), 1 << 20)).collect();
        node.try_publish(name, drafts).await.unwrap();
    }
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut all = pages(&node, &names, 1_000).await.concat();
    all.sort();
    let mut expected: Vec<_> =
        names.iter().flat_map(|name| [format!("{name}-0"), format!("{name}-1")]).collect();
    expected.sort();
    assert_eq!(all, expected);
}

/// Channels with small messages, however many, do not keep one with large ones from its turn.
#[tokio::test(start_paused = true)]
async fn small_messages_starve_no_large_one() {
    let node = node();
    let names: Vec<_> = (0..20).map(|n| format!("c{n}")).chain(["large".into()]).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut cursor = read(&node, &names, From::Latest, 9).await.cursor;
    node.try_publish("large", vec![large("large", 1 << 20)]).await.unwrap();
    for round in 0..200 {
        for name in &names[..20] {
            node.try_publish(name, (0..50).map(|n| large(&format!("{round}-{n}"), 10_000)).collect())
                .await
                .unwrap();
        }
        let page = read(&node, &names, From::Cursor(cursor), 1_000).await;
        if page.messages.iter().any(|message| &*message.id == "large") {
            return;
        }
        cursor = page.cursor;
    }
    panic!("it waits for ever");
}

/// A reader that is below what is kept, of a channel that drops a message for each that comes, through a broker whose
/// answers take longer than from one message to the next.
#[tokio::test(start_paused = true)]
async fn a_page_moves_on_though_what_follows_it_expires_meanwhile() {
    let clock = Clock::simulated(BEGAN_MS);
    let late = Faults { late_ms_max: 100, ..Faults::NONE };
    let of = clock.clone();
    let broker = Faulty::new(7, late, move |_| Arc::new(Memory::start(of.clone(), ROOM, 1 << 40)));
    let few =
        Namespace { retain: Retain { messages: 5, age_ms: 3_600_000 }, ..public(Delivery::AtLeastOnce) };
    let node = Node::over(Arc::new(broker), clock, [("few", few)], 100, 7);
    node.publish("few:a", &["0"]).await;
    let mut place = read(&node, &["few:a"], From::Earliest, 1).await.cursor;
    let publishing = async {
        // Ten at a time, since each waits for the broker.
        for _ in 0..200 {
            node.publish("few:a", &["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]).await;
        }
    };
    let reading = async {
        let (mut messages, mut gaps) = (0, 0);
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let page = read(&node, &["few:a"], From::Cursor(place), 100).await;
            assert!(page.gap.as_ref().is_none_or(|(_, gap)| gap.missed.is_some_and(|missed| missed > 0)));
            (messages, gaps) = (messages + page.messages.len(), gaps + usize::from(page.gap.is_some()));
            place = page.cursor;
        }
        (messages, gaps)
    };
    let ((), (messages, gaps)) = tokio::join!(publishing, reading);
    assert!(gaps >= 10, "{gaps} gaps: not too fast for it");
    assert!(messages >= 50, "{messages} messages in 20 pages");
}
