//! Subscriptions: how they begin, go on and end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidings_core::log::{Position, Start, Why};
use tidings_core::{
    Code, Credentials, Cursor, Delivery, End, From, Item, Namespace, Retain, Subscription, Want,
};
use tokio::time::{sleep, timeout};

use super::token::token;
use crate::node::{BEGAN_MS, Node, channel, draft, next, nothing, public, texts, want};

fn node() -> Node {
    let few =
        Namespace { retain: Retain { messages: 5, age_ms: 3_600_000 }, ..public(Delivery::AtLeastOnce) };
    Node::new([
        ("default", public(Delivery::AtLeastOnce)),
        ("few", few),
        ("tail", public(Delivery::AtMostOnce)),
    ])
}

#[tokio::test(start_paused = true)]
async fn each_start_begins_where_it_says() {
    let node = node();
    node.publish("a", &["1", "2", "3"]).await;
    let places =
        [(From::Earliest, 3), (From::Latest, 0), (From::Default, 0), (From::Last(2), 2), (From::Last(99), 3)];
    for (from, past) in places {
        let mut subscription = node.follow(&["a"], from.clone()).await.unwrap();
        assert_eq!(subscription.facts()[0].recovered, None);
        let expected = ["1", "2", "3"][3 - past..].to_vec();
        assert_eq!(texts(&mut subscription, past).await, expected, "{from:?}");
        nothing(&mut subscription).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_acknowledged_after_the_start_comes() {
    // `latest` is resolved before the head goes out, whether or not anybody polls.
    let node = node();
    let mut subscription = node.follow(&["a"], From::Latest).await.unwrap();
    let before = subscription.cursor();
    node.publish("a", &["1"]).await;
    drop(node.follow(&["a"], From::Cursor(before.clone())).await.unwrap());
    assert_eq!(texts(&mut subscription, 1).await, ["1"]);
    let mut again = node.follow(&["a"], From::Cursor(before)).await.unwrap();
    assert_eq!(again.facts()[0].recovered, Some(true));
    assert_eq!(texts(&mut again, 1).await, ["1"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_advanced_comes_again() {
    let node = node();
    node.publish("a", &["1", "2", "3", "4"]).await;
    let mut subscription = node.follow(&["a"], From::Earliest).await.unwrap();
    for taken in [0, 1, 0, 2] {
        let items = next(&mut subscription, 2).await.unwrap();
        assert_eq!(items.len(), 2);
        for (reader, item) in &items[..taken] {
            subscription.advance(*reader, item);
        }
    }
    assert_eq!(texts(&mut subscription, 1).await, ["4"]);
    nothing(&mut subscription).await;
}

#[tokio::test(start_paused = true)]
async fn a_gap_comes_first_and_once() {
    let node = node();
    let begin = node.follow(&["few:a"], From::Latest).await.unwrap().cursor();
    for n in 0..8 {
        node.publish("few:a", &[&n.to_string()]).await;
    }
    let mut subscription = node.follow(&["few:a"], From::Cursor(begin.clone())).await.unwrap();
    assert_eq!(subscription.facts()[0].recovered, Some(false));
    assert_eq!(subscription.cursor(), begin, "not past a gap that nobody was told of");
    for _ in 0..2 {
        let items = next(&mut subscription, 9).await.unwrap();
        let (0, Item::Gap(gap)) = &items[0] else { panic!("{items:?}") };
        assert_eq!((items.len(), gap.why, gap.missed), (1, Why::Expired, Some(3)));
    }
    let items = next(&mut subscription, 9).await.unwrap();
    subscription.advance(0, &items[0].1);
    assert_eq!(texts(&mut subscription, 5).await, ["3", "4", "5", "6", "7"]);
}

/// A1, 21b: whoever is cut between the greeting and the gap meets the gap again, on a stream and on a page.
#[tokio::test(start_paused = true)]
async fn a_cut_before_the_gap_finds_it_again() {
    let node = node();
    for name in ["few:a", "tail:a"] {
        let begin = node.follow(&[name], From::Latest).await.unwrap().cursor();
        for n in 0..200 {
            node.publish(name, &[&n.to_string()]).await;
        }
        let other = Cursor::one(&channel(name), Position { epoch: 5, offset: 1 });
        for from in [From::Cursor(begin), From::Cursor(other), From::Unreadable] {
            let mut first = node.follow(&[name], from.clone()).await.unwrap();
            let head: Cursor = first.cursor().to_string().parse().unwrap();
            let Item::Gap(gap) = next(&mut first, 9).await.unwrap()[0].1 else { panic!("{name} {from:?}") };
            for _ in 0..2 {
                let mut again = node.follow(&[name], From::Cursor(head.clone())).await.unwrap();
                assert_eq!((again.facts()[0].recovered, again.cursor()), (Some(false), head.clone()));
                let Item::Gap(found) = next(&mut again, 9).await.unwrap()[0].1 else {
                    panic!("{name} {from:?}")
                };
                assert_eq!(found, gap, "{name} {from:?}");
            }
            let page = node.backend().read(want(&[name], From::Cursor(head)), 9).await.unwrap();
            assert_eq!(page.gap.map(|(_, gap)| gap), Some(gap), "{name} {from:?}");
            first.advance(0, &Item::Gap(gap));
            let told = node.follow(&[name], From::Cursor(first.cursor())).await.unwrap();
            assert_eq!(told.facts()[0].recovered, Some(true), "once it is told, it is over");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_of_at_most_once_is_told_what_it_missed() {
    let node = node();
    let mut subscription = node.follow(&["tail:a"], From::Latest).await.unwrap();
    node.publish("tail:a", &["first"]).await;
    assert_eq!(texts(&mut subscription, 1).await, ["first"]);
    // More than the ring of a feed holds, and more than the tail keeps.
    for n in 0..1_000 {
        node.publish("tail:a", &[&n.to_string()]).await;
        if n % 50 == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }
    let items = next(&mut subscription, 9).await.unwrap();
    let Item::Gap(gap) = &items[0].1 else { panic!("{items:?}") };
    assert_eq!((gap.why, gap.missed), (Why::Lagged, Some(1_000)));
    subscription.advance(0, &items[0].1);
    nothing(&mut subscription).await;
    node.publish("tail:a", &["now"]).await;
    assert_eq!(texts(&mut subscription, 1).await, ["now"]);
}

#[tokio::test(start_paused = true)]
async fn many_channels_on_one_bell() {
    let node = node();
    let names: Vec<_> = (0..100).map(|n| format!("c{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut subscription = node.follow(&names, From::Latest).await.unwrap();
    assert_eq!(subscription.cursor().to_string().len(), 3_200);
    for round in 0..3 {
        // In an order that is not the order of the readers.
        for n in 0..100 {
            node.publish(names[(n * 37 + round) % 100], &[&format!("{round}")]).await;
        }
        let mut seen = vec![0; 100];
        while seen.iter().sum::<usize>() < 100 {
            for (reader, item) in next(&mut subscription, 7).await.unwrap() {
                subscription.advance(reader, &item);
                seen[reader as usize] += 1;
                let Item::Entry(entry) = item else { panic!("{item:?}") };
                assert_eq!(entry.message.channel.as_str(), names[reader as usize]);
                assert_eq!(&entry.message.payload.bytes[..], round.to_string().as_bytes());
            }
        }
        assert_eq!(seen, [1; 100]);
        nothing(&mut subscription).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_channel_starves_no_other() {
    let node = node();
    let mut subscription = node.follow(&["a", "b", "c"], From::Latest).await.unwrap();
    node.publish("c", &["here"]).await;
    for round in 0.. {
        assert!(round < 10, "`c` waits behind `a`");
        node.publish("a", &["x"; 20]).await;
        sleep(Duration::from_millis(1)).await;
        let items = next(&mut subscription, 5).await.unwrap();
        let came = items.iter().any(|(reader, _)| *reader == 2);
        items.iter().for_each(|(reader, item)| subscription.advance(*reader, item));
        if came {
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_its_token() {
    let node = node();
    let claims = json!({ "sub": "u", "exp": BEGAN_MS / 1_000 + 30 });
    let session = node.open(&Credentials::Bearer(token(&claims))).unwrap();
    let mut subscription = session.follow(want(&["a"], From::Latest)).await.unwrap();
    assert_eq!(subscription.expires_in_ms(), Some(30_000));
    let waited = timeout(Duration::from_secs(29), next(&mut subscription, 1)).await;
    assert!(waited.is_err());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(subscription.expires_in_ms(), Some(0));
    node.publish("a", &["too late"]).await;
    assert!(matches!(next(&mut subscription, 1).await, Err(End::Expired)));
    assert_eq!(node.follow(&["a"], From::Latest).await.unwrap().expires_in_ms(), None);
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_the_node_drains() {
    let node = node();
    let mut waiting = Vec::new();
    for names in [&["a"][..], &["a", "b"], &["c"]] {
        let mut subscription = node.follow(names, From::Latest).await.unwrap();
        waiting.push(tokio::spawn(async move { next(&mut subscription, 1).await }));
    }
    let mut unpolled = node.follow(&["a"], From::Latest).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(node.control.subscriptions(), 4);
    node.control.drain();
    for waiting in waiting {
        let ended = timeout(Duration::from_secs(1), waiting).await.expect("a drain wakes").unwrap();
        assert!(matches!(ended, Err(End::Draining)));
    }
    assert!(matches!(next(&mut unpolled, 1).await, Err(End::Draining)));
    assert_eq!(node.follow(&["a"], From::Latest).await.map(|_| ()).unwrap_err().code, Code::Draining);
    let stopped = node.try_publish("a", vec![draft("m")]).await.unwrap_err();
    assert_eq!(stopped.error.code, Code::Draining);
    drop(unpolled);
    assert_eq!(node.control.subscriptions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_of_another_life_begins_with_a_gap() {
    let node = node();
    node.publish("a", &["1", "2"]).await;
    let other = Position { epoch: 5, offset: 1 };
    let cursor = Cursor::one(&channel("a"), other);
    for from in [From::Cursor(cursor), From::Unreadable] {
        let mut subscription = node.follow(&["a"], from).await.unwrap();
        assert_eq!(subscription.facts()[0].recovered, Some(false));
        let items = next(&mut subscription, 9).await.unwrap();
        let Item::Gap(gap) = &items[0].1 else { panic!("{items:?}") };
        assert_eq!(gap.why, Why::Epoch);
        subscription.advance(0, &items[0].1);
        assert_eq!(texts(&mut subscription, 2).await, ["1", "2"], "everything kept follows");
    }
}

#[tokio::test(start_paused = true)]
async fn a_composite_gives_each_channel_its_place() {
    let node = node();
    node.publish("a", &["a1", "a2"]).await;
    node.publish("b", &["b1", "b2"]).await;
    let mut both = node.follow(&["a", "b"], From::Earliest).await.unwrap();
    texts(&mut both, 4).await;
    let cursor = both.cursor();
    node.publish("a", &["a3"]).await;
    node.publish("c", &["c1"]).await;
    let default = Want { default: Start::Earliest, ..want(&["a", "c"], From::Cursor(cursor.clone())) };
    let mut subscription = node.backend().follow(default).await.unwrap();
    let recovered: Vec<_> = subscription.facts().iter().map(|fact| fact.recovered).collect();
    assert_eq!(recovered, [Some(true), None]);
    let mut came = texts(&mut subscription, 2).await;
    came.sort();
    assert_eq!(came, ["a3", "c1"]);
    let none = node.follow(&["c", "d"], From::Cursor(cursor)).await;
    assert_eq!(none.map(|_| ()).unwrap_err().code, Code::BadCursor);
}

#[tokio::test]
async fn threads_lose_nothing() {
    // Real threads and real time: what the paused clock cannot interleave.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    let work = runtime.spawn(async {
        let node = Arc::new(node());
        let mut readers = Vec::new();
        for _ in 0..40 {
            let subscription = node.follow(&["a", "b"], From::Latest).await.unwrap();
            readers.push(tokio::spawn(count(subscription, 3_000)));
        }
        let writers: Vec<_> = ["a", "b"]
            .map(|name| {
                let node = node.clone();
                tokio::spawn(async move {
                    for n in 0..3_000 {
                        node.publish(name, &[&n.to_string()]).await;
                        if n % 7 == 0 {
                            tokio::task::yield_now().await;
                        }
                    }
                })
            })
            .into();
        for task in writers.into_iter().chain(readers) {
            timeout(Duration::from_secs(30), task).await.expect("a wake was lost").unwrap();
        }
    });
    work.await.unwrap();
    runtime.shutdown_background();
}

/// Reads until `count` messages of each of two channels have come, numbered in order.
async fn count(mut subscription: Subscription, count: u64) {
    let mut next_of = [0; 2];
    while next_of != [count; 2] {
        for (reader, item) in next(&mut subscription, 64).await.unwrap() {
            subscription.advance(reader, &item);
            let Item::Entry(entry) = item else { panic!("{item:?}") };
            let number: u64 = entry.message.id.parse().unwrap();
            assert_eq!(number, next_of[reader as usize]);
            next_of[reader as usize] += 1;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_channel_is_found_by_its_name_and_numbers_are_given_again() {
    let node = Node::new([("log", public(Delivery::AtLeastOnce))]);
    let session = node.backend();
    let mut subscription = session.subscription(60).unwrap();
    let mut numbers = std::collections::BTreeMap::new();
    // The third round fills what the others left free.
    for (round, keeps) in [(0, 3), (1, 4), (2, 1)] {
        for n in 0..60 {
            let name = format!("log:{round}-{n}");
            let place = session.find(want(&[&name], From::Latest)).await.unwrap().remove(0);
            match session.join(&mut subscription, place) {
                Ok(number) => assert_eq!(numbers.insert(number, name), None),
                Err(error) => assert_eq!((error.code, numbers.len()), (Code::TooManyChannels, 60)),
            }
        }
        for number in (0..60).filter(|number| number % keeps != 1 % keeps) {
            subscription.leave(number);
            let name = numbers.remove(&number).unwrap();
            assert_eq!(subscription.reader(&channel(&name)), None);
        }
        let read: Vec<_> = subscription.channels().map(|(at, one)| (at, one.as_str().to_owned())).collect();
        assert_eq!(read, numbers.clone().into_iter().collect::<Vec<_>>());
        for (number, name) in &numbers {
            assert_eq!(subscription.reader(&channel(name)), Some(*number));
        }
    }
    assert_eq!(numbers.len(), 60);
}
