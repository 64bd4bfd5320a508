//! More channels that are read than the node may follow: the least recently used are polled.

use std::sync::Arc;
use std::time::Duration;

use tidings_core::broker::dice::Dice;
use tidings_core::broker::faulty::{Faults, Faulty};
use tidings_core::broker::{Broker, Memory};
use tidings_core::log::Why;
use tidings_core::{Clock, Delivery, From, Item, Subscription};
use tokio::time::{Instant, sleep, timeout};

use super::feed::outlasts_a_loss;
use super::node::{BEGAN_MS, Node, ROOM, next, nothing, public, texts, want};
use super::slow::{names, slow};

/// The longest that a message may wait where few channels are polled.
const POLLED: Duration = Duration::from_millis(1_300);

fn node(feeds: usize) -> Node {
    let clock = Clock::simulated(BEGAN_MS);
    let broker = Arc::new(Memory::start(clock.clone(), ROOM, 1 << 40));
    Node::over(broker, clock, [("log", public(Delivery::AtLeastOnce))], feeds, 7)
}

async fn read(node: &Node, name: &str) -> Subscription {
    let mut subscription = node.follow(&[name], From::Latest).await.unwrap();
    // Its first look, which a client has made long before its second channel.
    assert!(timeout(Duration::from_millis(1), next(&mut subscription, 1)).await.is_err());
    subscription
}

/// Whether a message comes at once, and not by a poll. Either way it comes.
async fn is_followed(node: &Node, name: &str, subscription: &mut Subscription) -> bool {
    node.publish(name, &["m"]).await;
    let began = Instant::now();
    assert_eq!(texts(subscription, 1).await, ["m"]);
    assert!(began.elapsed() <= POLLED, "{:?}", began.elapsed());
    began.elapsed() <= Duration::from_millis(5)
}

#[tokio::test(start_paused = true)]
async fn the_least_recently_used_goes_first() {
    let node = node(3);
    let mut a = read(&node, "log:a").await;
    sleep(Duration::from_secs(1)).await;
    let mut b = read(&node, "log:b").await;
    sleep(Duration::from_secs(1)).await;
    let mut c = read(&node, "log:c").await;
    sleep(Duration::from_secs(10)).await;
    assert!(is_followed(&node, "log:a", &mut a).await);
    // `a` has had a message since, and `c` came after `b`.
    let mut d = read(&node, "log:d").await;
    assert_eq!((node.control.feeds(), node.control.feeds_polled()), (3, 1));
    assert!(is_followed(&node, "log:a", &mut a).await);
    assert!(is_followed(&node, "log:c", &mut c).await);
    assert!(is_followed(&node, "log:d", &mut d).await);
    assert!(!is_followed(&node, "log:b", &mut b).await);
    // Everybody is in use: whoever comes now has to wait for a place, and misses nothing.
    let mut e = read(&node, "log:e").await;
    assert!(!is_followed(&node, "log:e", &mut e).await);
    sleep(Duration::from_secs(10)).await;
    for (name, subscription) in [("log:b", &mut b), ("log:e", &mut e)] {
        // News is a use: it gets the place of one that is quiet.
        node.publish(name, &["news"]).await;
        assert_eq!(texts(subscription, 1).await, ["news"]);
        sleep(POLLED).await;
        assert!(is_followed(&node, name, subscription).await, "{name}");
    }
    assert_eq!((node.control.feeds(), node.control.feeds_polled()), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn those_that_nobody_reads_go_before_all_others() {
    let node = node(3);
    let mut a = read(&node, "log:a").await;
    let b = read(&node, "log:b").await;
    let c = read(&node, "log:c").await;
    sleep(Duration::from_secs(20)).await;
    drop(c);
    sleep(Duration::from_secs(1)).await;
    drop(b);
    let mut d = read(&node, "log:d").await;
    assert!(is_followed(&node, "log:a", &mut a).await, "quiet, and read");
    assert!(is_followed(&node, "log:d", &mut d).await);
    // `c` was left first; `b` still has its place.
    let mut b = read(&node, "log:b").await;
    assert!(is_followed(&node, "log:b", &mut b).await);
    assert_eq!((node.control.feeds(), node.control.feeds_polled()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_place_that_comes_free_is_taken() {
    let node = node(1);
    let a = read(&node, "log:a").await;
    let mut b = read(&node, "log:b").await;
    assert!(!is_followed(&node, "log:b", &mut b).await);
    drop(a);
    sleep(POLLED).await;
    assert!(is_followed(&node, "log:b", &mut b).await);
    assert_eq!((node.control.feeds(), node.control.feeds_polled()), (1, 0));
    let c = read(&node, "log:c").await;
    assert_eq!(node.control.feeds_polled(), 1);
    drop(c);
    sleep(POLLED).await;
    assert_eq!(node.control.feeds_polled(), 0, "a poll for nobody");
}

/// With many polled the pause before the next poll is long, and who has left must not be held for it.
#[tokio::test(start_paused = true)]
async fn what_nobody_reads_any_more_is_not_held_until_its_next_poll() {
    let node = node(1);
    let _a = read(&node, "log:a").await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for n in 0..3_000 {
        drop(read(&node, &format!("log:{n}")).await);
    }
    assert_eq!(node.control.feeds_polled(), 0);
    // A poll of one of them would come after more than three seconds.
    sleep(Duration::from_millis(100)).await;
    assert!(tasks() <= before + 1, "{} tasks, of {before}", tasks());
}

#[tokio::test(start_paused = true)]
async fn who_reads_from_the_past_gets_it_at_once() {
    let node = node(1);
    let _a = read(&node, "log:a").await;
    let many: Vec<_> = (0..1_000).map(|n| n.to_string()).collect();
    let refs: Vec<_> = many.iter().map(String::as_str).collect();
    node.publish("log:b", &refs).await;
    let began = Instant::now();
    let mut b = node.follow(&["log:b"], From::Earliest).await.unwrap();
    assert_eq!(texts(&mut b, 1_000).await, many);
    assert!(began.elapsed() <= Duration::from_millis(10), "{:?}", began.elapsed());
    // More than a poll brings, and more than a ring holds.
    node.publish("log:b", &refs).await;
    assert_eq!(texts(&mut b, 1_000).await, many);
    nothing(&mut b).await;
}

#[tokio::test(start_paused = true)]
async fn many_busy_channels_on_few_feeds_are_no_storm() {
    for (feeds, channels) in [(1, 2), (1, 40), (5, 40), (39, 40)] {
        let (slow, node) = slow(feeds);
        slow.answers_after(5);
        let names = names(channels);
        let refs: Vec<_> = names.iter().map(String::as_str).collect();
        let mut subscription = node.follow(&refs, From::Latest).await.unwrap();
        slow.asked();
        let mut dice = Dice::new(7);
        let (mut sent, mut got) = (vec![0; channels], vec![0; channels]);
        for _ in 0..1_200 {
            let to = usize::try_from(dice.below(channels as u64)).unwrap();
            node.publish(refs[to], &[&sent[to].to_string()]).await;
            sent[to] += 1;
            take(&mut subscription, Duration::from_millis(95), &mut got).await;
        }
        take(&mut subscription, POLLED * 2, &mut got).await;
        assert_eq!(got, sent, "{feeds} feeds: something is missing");
        // Two minutes. A poll a second for each, and a read for what it finds; a place changes hands every five seconds at most.
        let (asked, _) = slow.asked();
        assert!(asked <= 130 * channels * 2 + 1_200, "{feeds} feeds: {asked} questions");
        let followed = slow.followed();
        assert!(followed <= feeds * 26 + channels, "{feeds} feeds: {followed} tails");
        assert_eq!((node.control.feeds(), node.control.feeds_polled()), (feeds, channels - feeds));
    }
}

/// Takes what comes for a while; the messages of each channel are numbered.
async fn take(subscription: &mut Subscription, time: Duration, got: &mut [usize]) {
    let until = Instant::now() + time;
    while let Ok(items) = tokio::time::timeout_at(until, next(subscription, 50)).await {
        for (reader, item) in items.unwrap() {
            subscription.advance(reader, &item);
            let Item::Entry(entry) = item else { panic!("{item:?}") };
            let of = &mut got[reader as usize];
            assert_eq!(*entry.message.id, *of.to_string());
            *of += 1;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_poll_serves_all_readers_of_a_channel() {
    let (slow, node) = slow(1);
    let _a = read(&node, "log:a").await;
    let mut readers = Vec::new();
    for _ in 0..200 {
        readers.push(read(&node, "log:b").await);
    }
    sleep(Duration::from_secs(3)).await;
    slow.asked();
    node.publish("log:b", &["m"]).await;
    for reader in &mut readers {
        assert_eq!(texts(reader, 1).await, ["m"]);
    }
    let (asked, _) = slow.asked();
    assert!(asked <= 5, "{asked} questions for one message");
}

fn faulty(feeds: usize) -> (Arc<Faulty>, Node) {
    let clock = Clock::simulated(BEGAN_MS);
    let faulty = Arc::new(Faulty::new(1, Faults::NONE, {
        let clock = clock.clone();
        move |life| Arc::new(Memory::start(clock.clone(), ROOM, (1 + life) << 40)) as Arc<dyn Broker>
    }));
    let namespaces = [("log", public(Delivery::AtLeastOnce)), ("tail", public(Delivery::AtMostOnce))];
    let node = Node::over(faulty.clone(), clock, namespaces, feeds, 7);
    (faulty, node)
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_a_gap_and_then_news() {
    let (faulty, node) = faulty(1);
    let _first = read(&node, "log:first").await;
    for name in ["log:a", "tail:b"] {
        let mut subscription = read(&node, name).await;
        node.publish(name, &["old"]).await;
        assert_eq!(texts(&mut subscription, 1).await, ["old"]);
        faulty.restart();
        let items = next(&mut subscription, 9).await.unwrap();
        assert!(matches!(items[..], [(0, Item::Gap(gap))] if gap.why == Why::Epoch), "{items:?}");
        subscription.advance(0, &items[0].1);
        node.publish(name, &["new"]).await;
        assert_eq!(texts(&mut subscription, 1).await, ["new"]);
    }
}

#[tokio::test(start_paused = true)]
async fn its_readers_outlast_a_short_loss_and_are_told_of_a_long_one() {
    let (faulty, node) = faulty(1);
    let _first = read(&node, "log:first").await;
    let mut subscription = read(&node, "log:a").await;
    sleep(Duration::from_secs(30)).await;
    outlasts_a_loss(&node, &faulty, &mut subscription, Duration::from_secs(15)).await;
}

/// Readers of one client that end in one go: whoever reads a thousand channels must not hold a worker for all of them.
const ENDED_AT_ONCE: usize = 32;

#[tokio::test(start_paused = true)]
async fn the_many_readers_of_a_client_leave_in_pieces() {
    let node = node(1);
    let _first = read(&node, "log:first").await;
    let many = names(1_000);
    let session = node.backend();
    let mut subscription = session.subscription(many.len()).unwrap();
    for some in many.chunks(100) {
        let some: Vec<_> = some.iter().map(String::as_str).collect();
        for place in session.find(want(&some, From::Latest)).await.unwrap() {
            session.join(&mut subscription, place).unwrap();
        }
    }
    sleep(Duration::from_secs(1)).await;
    let left = || node.control.feeds_polled();
    assert_eq!(left(), many.len());
    drop(subscription);
    assert_eq!(node.control.subscriptions(), 1, "the read is over at once");
    let mut before = many.len();
    for _turn in 0..=2 * many.len() / ENDED_AT_ONCE {
        assert!(before - left() <= ENDED_AT_ONCE, "{before} and then {}", left());
        before = left();
        tokio::task::yield_now().await;
    }
    assert_eq!(left(), 0, "held for nobody");
}
