//! Reads at a pace: what is held up, what is replaced, and what is not.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use tidings_core::log::{Draft, Gap};
use tidings_core::{Cursor, Delivery, End, From, Item, Namespace, Pace, Retain, Subscription};
use tokio::time::{Instant, sleep, timeout};

use crate::node::{Node, channel, draft, next, nothing, public, texts, want};

fn node() -> Node {
    let few =
        Namespace { retain: Retain { messages: 20, age_ms: 3_600_000 }, ..public(Delivery::AtLeastOnce) };
    let many = Namespace {
        retain: Retain { messages: 100_000, age_ms: 3_600_000 },
        ..public(Delivery::AtLeastOnce)
    };
    Node::new([
        ("default", public(Delivery::AtLeastOnce)),
        ("few", few),
        ("many", many),
        ("tail", public(Delivery::AtMostOnce)),
    ])
}

fn pace(per_second: f64, conflate: bool) -> Pace {
    Pace::new(per_second, conflate).unwrap()
}

fn keyed(text: &str, key: &str) -> Draft {
    Draft { key: (!key.is_empty()).then(|| key.into()), ..draft(text) }
}

impl Node {
    async fn paced(&self, names: &[&str], from: From, pace: Pace) -> Subscription {
        let mut subscription = self.follow(names, from).await.unwrap();
        subscription.pace_all(pace);
        subscription
    }

    /// Publishes texts, each with the key that its first letter is.
    async fn update(&self, name: &str, texts: &[&str]) {
        let drafts = texts.iter().map(|text| keyed(text, &text[..1])).collect();
        self.try_publish(name, drafts).await.unwrap();
    }
}

/// Milliseconds from a time on at which each of the next messages comes, and its text.
async fn timed(subscription: &mut Subscription, count: usize, since: Instant) -> Vec<(u128, String)> {
    let mut all = Vec::new();
    for _ in 0..count {
        let text = texts(subscription, 1).await.remove(0);
        all.push((since.elapsed().as_millis(), text));
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_pace_alone_holds_up_and_loses_nothing() {
    let node = node();
    let mut read = node.paced(&["a"], From::Latest, pace(10.0, false)).await;
    let all: Vec<_> = (0..300).map(|n| n.to_string()).collect();
    let since = Instant::now();
    for text in &all {
        node.update("a", &[text]).await;
    }
    let came = timed(&mut read, 300, since).await;
    let expected: Vec<_> = (0..300).map(|n| (n * 100, n.to_string())).collect();
    assert_eq!(came, expected);
    nothing(&mut read).await;
    // Silence saves nothing up.
    let since = Instant::now();
    node.publish("a", &["x", "y", "z"]).await;
    let came: Vec<_> = timed(&mut read, 3, since).await.into_iter().map(|(ms, _)| ms).collect();
    assert_eq!(came, [0, 100, 200]);
}

#[tokio::test(start_paused = true)]
async fn the_fastest_pace_is_as_fast_as_it_says() {
    let node = node();
    let mut read = node.paced(&["many:a"], From::Latest, pace(1_000.0, false)).await;
    for n in 0..500 {
        node.publish("many:a", &[&n.to_string()]).await;
    }
    let since = Instant::now();
    texts(&mut read, 500).await;
    assert!((498..=510).contains(&since.elapsed().as_millis()), "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn between_two_sends_the_newest_of_each_key_is_kept() {
    let node = node();
    let mut read = node.paced(&["a"], From::Latest, pace(10.0, true)).await;
    assert_eq!(
        (read.stated(), read.facts()[0].stated()),
        ("at-least-once; conflated", "at-least-once; conflated")
    );
    node.update("a", &["a1"]).await;
    let since = Instant::now();
    assert_eq!(timed(&mut read, 1, since).await, [(0, "a1".into())], "the first goes at once");
    node.update("a", &["a2", "b1", "a3"]).await;
    nothing_before(&mut read, since, 100).await;
    node.update("a", &["b2", "c1", "a4"]).await;
    let came = timed(&mut read, 3, since).await;
    assert_eq!(came, [(100, "b2".into()), (200, "c1".into()), (300, "a4".into())]);
    // What waits for a later instant may be replaced meanwhile.
    node.update("a", &["a5", "b3"]).await;
    assert_eq!(timed(&mut read, 1, since).await, [(400, "a5".into())]);
    node.update("a", &["b4"]).await;
    assert_eq!(timed(&mut read, 1, since).await, [(500, "b4".into())]);
    nothing(&mut read).await;
    // Without a key each waits for itself.
    node.try_publish("a", vec![keyed("1", ""), keyed("a6", "a"), keyed("2", ""), keyed("a7", "a")])
        .await
        .unwrap();
    assert_eq!(texts(&mut read, 3).await, ["1", "2", "a7"]);
    nothing(&mut read).await;
}

async fn nothing_before(subscription: &mut Subscription, since: Instant, ms: u64) {
    let until = since + Duration::from_millis(ms - 1);
    assert!(tokio::time::timeout_at(until, next(subscription, 9)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn who_is_far_behind_catches_up_with_what_is_newest() {
    let node = node();
    for n in 0..3_000 {
        node.update("many:a", &[&format!("{}{n}", ["a", "b", "c"][n % 3])]).await;
    }
    let mut read = node.paced(&["many:a"], From::Earliest, pace(10.0, true)).await;
    assert_eq!(texts(&mut read, 3).await, ["a2997", "b2998", "c2999"]);
    nothing(&mut read).await;
    // Even where what follows never ends, something goes out.
    for n in 0..6_000 {
        node.update("many:b", &[&format!("a{n}")]).await;
    }
    let mut read = node.paced(&["many:b"], From::Earliest, pace(10.0, true)).await;
    assert_eq!(texts(&mut read, 2).await.last().unwrap(), "a5999");
}

#[tokio::test(start_paused = true)]
async fn more_keys_than_may_wait_are_read_in_order() {
    let node = node();
    for n in 0..2_500 {
        let (text, key) = (n.to_string(), format!("key {n}"));
        node.try_publish("many:a", vec![keyed(&text, &key)]).await.unwrap();
    }
    let mut read = node.paced(&["many:a"], From::Earliest, pace(1_000.0, true)).await;
    let expected: Vec<_> = (0..2_500).map(|n| n.to_string()).collect();
    assert_eq!(texts(&mut read, 2_500).await, expected);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_many_channels_has_one_bound_and_each_has_its_turn() {
    let node = node();
    let names = ["a", "b", "c", "d"];
    let large = |n: usize| {
        let mut draft = keyed(&n.to_string(), &n.to_string());
        draft.payload.bytes = vec![b'x'; 300_000].into();
        draft
    };
    for name in names {
        node.try_publish(name, (0..5).map(large).collect()).await.unwrap();
    }
    let mut read = node.paced(&names, From::Earliest, pace(10.0, true)).await;
    let mut came = HashMap::<_, Vec<_>>::new();
    for turn in 0..20 {
        let items = next(&mut read, 64).await.unwrap();
        let [(reader, Item::Entry(entry))] = &items[..] else { panic!("{items:?}") };
        came.entry(*reader).or_default().push(entry.message.id.to_string());
        read.advance(*reader, &items[0].1);
        assert!(came.len() == 4 || came.len() == turn + 1, "they take turns");
    }
    assert!(came.values().all(|ids| ids.len() == 5));
    nothing(&mut read).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_full_socket_did_not_take_comes_again_or_its_newer_one() {
    let node = node();
    let mut read = node.paced(&["a"], From::Latest, pace(10.0, true)).await;
    let before = read.cursor();
    let since = Instant::now();
    for n in 0..3 {
        node.update("a", &[&format!("a{n}")]).await;
        sleep(Duration::from_millis(1)).await;
        for _ in 0..2 {
            let items = next(&mut read, 9).await.unwrap();
            let [(0, Item::Entry(entry))] = &items[..] else { panic!("{items:?}") };
            assert_eq!(entry.message.payload.bytes, format!("a{n}"));
            assert_eq!(read.cursor(), before);
        }
    }
    assert_eq!(timed(&mut read, 1, since).await, [(3, "a2".into())], "an offer takes no turn");
    assert_ne!(read.cursor(), before);
}

#[tokio::test(start_paused = true)]
async fn gaps_and_the_end_are_not_held_up_and_nothing_takes_their_place() {
    let node = node();
    for conflate in [false, true] {
        let name = format!("few:{conflate}");
        let before = node.follow(&[&name], From::Latest).await.unwrap().cursor();
        for n in 0..30 {
            node.update(&name, &[&format!("{}{n}", if n < 28 { "a" } else { "b" })]).await;
        }
        node.backend().writer(&channel(&name)).unwrap().close().await.unwrap();
        let since = Instant::now();
        let mut read = node.paced(&[&name], From::Cursor(before.clone()), pace(0.1, conflate)).await;
        let items = next(&mut read, 9).await.unwrap();
        assert!(matches!(items[..], [(0, Item::Gap(Gap { missed: Some(10 | 11), .. }))]), "{items:?}");
        assert_eq!(read.cursor(), before, "not past a gap that nobody was told of");
        read.advance(0, &items[0].1);
        let messages = if conflate { 2 } else { 20 };
        let came = timed(&mut read, messages, since).await;
        assert_eq!(came.last().unwrap().1, "b29");
        assert_eq!(came.last().unwrap().0, (messages as u128 - 1) * 10_000);
        let items = next(&mut read, 9).await.unwrap();
        assert!(matches!(items[..], [(0, Item::End(_))]), "{items:?}");
        read.advance(0, &items[0].1);
        assert_eq!(since.elapsed().as_millis(), (messages as u128 - 1) * 10_000);
        assert!(matches!(next(&mut read, 9).await, Err(End::Closed)));
    }
}

#[tokio::test(start_paused = true)]
async fn channels_of_one_read_share_its_pace_and_others_have_their_own() {
    let node = node();
    let mut read = node.paced(&["a", "b"], From::Latest, pace(10.0, true)).await;
    for n in 0..10 {
        node.update("a", &[&format!("a{n}")]).await;
        node.update("b", &[&format!("a{n}")]).await;
    }
    let since = Instant::now();
    assert_eq!(timed(&mut read, 2, since).await, [(0, "a9".into()), (100, "a9".into())]);
    nothing(&mut read).await;

    let session = node.backend();
    let mut mixed = session.subscription(3).unwrap();
    for (name, pace) in [("a", Some(pace(10.0, true))), ("b", None), ("c", Some(pace(1.0, false)))] {
        let place = session.find(want(&[name], From::Latest)).await.unwrap().remove(0);
        let reader = session.join(&mut mixed, place).unwrap();
        pace.into_iter().for_each(|pace| mixed.pace(reader, pace));
    }
    assert_eq!(mixed.facts().iter().map(|fact| fact.conflated).collect::<Vec<_>>(), [true, false, false]);
    let since = Instant::now();
    for name in ["a", "b", "c"] {
        node.update(name, &["k1", "k2", "k3"]).await;
    }
    let mut came = timed(&mut mixed, 7, since).await;
    came.sort();
    let ms: Vec<_> = came.iter().map(|(ms, _)| *ms).collect();
    assert_eq!(ms, [0, 0, 0, 0, 0, 1_000, 2_000], "{came:?}");
    // Whoever leaves takes its pace along.
    mixed.leave(0);
    let place = session.find(want(&["d"], From::Latest)).await.unwrap().remove(0);
    assert_eq!(session.join(&mut mixed, place).unwrap(), 0);
    node.update("d", &["k1", "k2"]).await;
    assert_eq!(texts(&mut mixed, 2).await, ["k1", "k2"]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_of_at_most_once_gets_the_newest_without_a_gap() {
    let node = node();
    let mut read = node.paced(&["tail:a"], From::Latest, pace(0.1, true)).await;
    assert_eq!(read.stated(), "at-most-once; conflated");
    node.update("tail:a", &["a0"]).await;
    assert_eq!(texts(&mut read, 1).await, ["a0"]);
    // Many times what is kept, while the reader waits for its next instant.
    let publish = async {
        for n in 1..=500 {
            node.update("tail:a", &[&format!("a{n}")]).await;
            sleep(Duration::from_millis(10)).await;
        }
    };
    let (came, ()) = tokio::join!(texts(&mut read, 1), publish);
    assert_eq!(came, ["a500"]);
}

#[tokio::test(start_paused = true)]
async fn a_page_has_the_newest_of_each_key() {
    let node = node();
    for n in 0..500 {
        node.update("a", &[&format!("{}{n}", ["a", "b", "c"][n % 3])]).await;
    }
    let read = node.backend().read_newest(want(&["a"], From::Earliest), 100).await.unwrap();
    let text = |message: &std::sync::Arc<tidings_core::log::Message>| {
        String::from_utf8(message.payload.bytes.to_vec()).unwrap()
    };
    let page: Vec<_> = read.messages.iter().map(text).collect();
    assert_eq!(page, ["c497", "a498", "b499"]);
    assert_eq!((page.len(), read.more, read.stated()), (3, false, "at-least-once; conflated"));
    let rest = node.backend().read_newest(want(&["a"], From::Cursor(read.cursor)), 100).await.unwrap();
    assert!(rest.messages.is_empty() && !rest.more);
    // Two channels with the same keys keep them apart.
    node.update("b", &["a1", "a2"]).await;
    let read = node.backend().read_newest(want(&["a", "b"], From::Last(5)), 100).await.unwrap();
    assert_eq!(read.messages.len(), 4);
}

#[test]
fn a_read_without_a_pace_pays_a_pointer_at_most() {
    // 528 bytes before there was such a thing as a pace, on a machine of 64 bits.
    assert!(size_of::<Subscription>() <= 528 + 8, "{}", size_of::<Subscription>());
}

/// What happens to a reader.
#[derive(Debug, Clone)]
enum Act {
    /// So many messages, with keys that begin with this one; 0 has none.
    Publish { key: u8, count: u8 },
    /// It reads for so many milliseconds.
    Read(u16),
    /// Items are offered, and its connection breaks before any has begun to go out.
    Cut,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0u8..5, 1u8..12).prop_map(|(key, count)| Act::Publish { key, count }),
        3 => (1u16..400).prop_map(Act::Read),
        1 => Just(Act::Cut),
    ];
    prop::collection::vec(act, 1..80)
}

/// What a client got over all its connections.
#[derive(Default)]
struct Got {
    offsets: Vec<u64>,
    gaps: Vec<(u64, u64)>,
}

impl Got {
    async fn read(&mut self, read: &mut Subscription, ms: u64) {
        let until = Instant::now() + Duration::from_millis(ms);
        while let Ok(items) = tokio::time::timeout_at(until, next(read, 9)).await {
            for (reader, item) in items.unwrap() {
                read.advance(reader, &item);
                let reached = item.position().offset;
                let before = self.offsets.last().copied().max(self.gaps.last().map(|gap| gap.1));
                match item {
                    Item::Entry(_) => {
                        assert!(before.is_none_or(|before| before < reached), "in order, and once");
                        self.offsets.push(reached);
                    }
                    Item::Gap(gap) => {
                        let after = gap.after.unwrap().offset;
                        assert!(
                            before.is_none_or(|before| before <= after),
                            "a gap is of what was not given"
                        );
                        self.gaps.push((after, reached));
                    }
                    Item::End(_) => panic!("nobody closed it"),
                }
            }
        }
    }

    fn covers(&self, offset: u64) -> bool {
        self.offsets.contains(&offset)
            || self.gaps.iter().any(|(after, until)| *after < offset && offset <= *until)
    }
}

async fn loses_nothing_but_what_was_replaced(name: &str, conflate: bool, acts: Vec<Act>) {
    let node = node();
    let pace = pace(20.0, conflate);
    let mut cursor: Cursor = node.follow(&[name], From::Latest).await.unwrap().cursor();
    let mut read = node.paced(&[name], From::Cursor(cursor.clone()), pace).await;
    let (mut published, mut got) = (Vec::new(), Got::default());
    for act in acts {
        match act {
            Act::Publish { key, count } => {
                for n in 0..count {
                    let key = if key == 0 { String::new() } else { ((key + n) % 4).to_string() };
                    let stored = node.try_publish(name, vec![keyed("x", &key)]).await.unwrap();
                    published.push((stored[0].position.offset, key));
                }
            }
            Act::Read(ms) => got.read(&mut read, ms.into()).await,
            Act::Cut => {
                let _ = timeout(Duration::from_millis(60), next(&mut read, 9)).await;
                cursor = read.cursor();
                read = node.paced(&[name], From::Cursor(cursor.clone()), pace).await;
            }
        }
    }
    let since = Instant::now();
    let before = got.offsets.len();
    got.read(&mut read, 200_000).await;
    let most = since.elapsed().as_secs_f64() * 20.0 + 2.0;
    assert!((got.offsets.len() - before) as f64 <= most);
    let mut newest = HashMap::new();
    for (offset, key) in published.iter().rev() {
        let is_covered = got.covers(*offset);
        let is_replaced = conflate && !key.is_empty() && newest.contains_key(key);
        assert!(
            is_covered || is_replaced,
            "{offset} of key {key:?} is lost: {:?} {:?}",
            got.offsets,
            got.gaps
        );
        if is_covered {
            newest.insert(key.clone(), *offset);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn at_each_cut_nothing_is_lost_but_what_was_replaced(
        acts in acts(), conflate in any::<bool>(), name in prop_oneof![Just("a"), Just("few:a")],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(loses_nothing_but_what_was_replaced(name, conflate, acts));
    }
}
