//! The bound of the memory broker.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tidings_core::broker::{Broker, BrokerError, Memory, MemoryLimits};
use tidings_core::log::{Below, Draft, Limit, Message, Once, Payload, Position, Retain, Rules, Start, Why};
use tidings_core::{Channel, Clock, Delivery};

use super::node::{BEGAN_MS, Node, channel, draft, public};

const RULES: Rules = Rules {
    retain: Retain { messages: 1_000_000, age_ms: 1 << 40 },
    compact: false,
    dedupe_ms: 5_000,
    implicit: true,
    below: Below::Oldest,
    durable: true,
};
const ALL: Limit = Limit { messages: usize::MAX, bytes: usize::MAX };

#[derive(Debug, Clone)]
struct Publish {
    channel: u8,
    bytes: usize,
    keyed: bool,
    after_ms: u64,
}

struct Stored {
    number: usize,
    position: Position,
    time_ms: u64,
}

fn publishes() -> impl Strategy<Value = Vec<Publish>> {
    let one = (0u8..6, prop_oneof![0usize..500, 0usize..12_000], any::<bool>(), 0u64..400)
        .prop_map(|(channel, bytes, keyed, after_ms)| Publish { channel, bytes, keyed, after_ms });
    prop::collection::vec(one, 1..150)
}

fn paused<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(work)
}

async fn kept(memory: &Memory, of: &Channel) -> Vec<Arc<Message>> {
    let at = memory.find(of, Start::Earliest, &RULES).await.unwrap().at;
    memory.read(of, at, ALL, &RULES).await.unwrap().messages
}

async fn stays_in_its_bound(publishes: Vec<Publish>) {
    let bound = 40_000;
    let clock = Clock::simulated(BEGAN_MS);
    let memory =
        Memory::start(clock.clone(), MemoryLimits { bytes: bound, idempotency_keys: 1_000 }, 1 << 40);
    let channels: Vec<_> = (0..6).map(|n| channel(&format!("c{n}"))).collect();
    let mut stored: Vec<Stored> = Vec::new();
    for (n, publish) in publishes.into_iter().enumerate() {
        tokio::time::sleep(Duration::from_millis(publish.after_ms)).await;
        let mut draft = draft(&format!("m{n}"));
        draft.payload = Payload { bytes: Bytes::from(vec![0; publish.bytes]), ..draft.payload };
        draft.once = if publish.keyed { Once::Id } else { Once::No };
        let number = usize::from(publish.channel);
        let appended = memory.append(&channels[number], vec![draft], &RULES).await.unwrap();
        let position = appended[0].position;
        assert!(memory.used() <= bound, "{} bytes of {bound}", memory.used());
        stored.retain(|one| one.number != number || one.position.epoch == position.epoch);
        stored.push(Stored { number, position, time_ms: clock.now_ms() });
        let mut here = Vec::new();
        for (number, channel) in channels.iter().enumerate() {
            here.extend(kept(&memory, channel).await.iter().map(|message| (number, message.position)));
        }
        let (kept, gone): (Vec<_>, Vec<_>) =
            stored.iter().partition(|one| here.contains(&(one.number, one.position)));
        assert_eq!(kept.len(), here.len());
        let oldest_ms = kept.iter().map(|one| one.time_ms).min().unwrap_or(u64::MAX);
        assert!(gone.iter().all(|one| one.time_ms <= oldest_ms), "the oldest of all channels go first");
        for (one, is_gone) in kept.iter().map(|one| (one, false)).chain(gone.iter().map(|one| (one, true))) {
            let after = Position { offset: one.position.offset - 1, ..one.position };
            let found = memory.find(&channels[one.number], Start::After(after), &RULES).await.unwrap();
            match found.gap {
                None => assert!(!is_gone, "gone without a gap"),
                Some(gap) if gap.why == Why::Expired => {
                    assert!(is_gone, "kept, and reported as expired");
                    let missing = gone.iter().filter(|other| {
                        let offset = other.position.offset;
                        other.number == one.number && offset > after.offset && offset <= gap.until.offset
                    });
                    assert_eq!(gap.missed, Some(missing.count() as u64));
                }
                // A channel that held nothing at all any more began anew.
                Some(gap) => assert!(is_gone && gap.why == Why::Epoch),
            }
        }
    }
    // Time and silence give everything back but what a channel itself costs.
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(memory.used() <= bound);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_stays_in_its_bound(publishes in publishes()) {
        paused(stays_in_its_bound(publishes));
    }
}

#[tokio::test(start_paused = true)]
async fn the_oldest_of_all_channels_go_first() {
    let clock = Clock::simulated(BEGAN_MS);
    let memory = Memory::start(clock, MemoryLimits { bytes: 100_000, idempotency_keys: 10 }, 1 << 40);
    let channels: Vec<_> = (0..10).map(|n| channel(&format!("c{n}"))).collect();
    for n in 0..500usize {
        let mut draft = draft(&format!("{n}"));
        draft.payload.bytes = Bytes::from(vec![0; 700]);
        memory.append(&channels[(n * n) % 10], vec![draft], &RULES).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut ids = Vec::new();
    for channel in &channels {
        ids.extend(kept(&memory, channel).await.iter().map(|message| message.id.parse::<usize>().unwrap()));
    }
    ids.sort_unstable();
    assert!(ids.len() > 50);
    assert_eq!(ids, (500 - ids.len()..500).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn names_alone_do_not_fill_it() {
    let clock = Clock::simulated(BEGAN_MS);
    let memory = Memory::start(clock, MemoryLimits { bytes: 100_000, idempotency_keys: 10 }, 1 << 40);
    let news = channel("news");
    memory.append(&news, vec![draft("m")], &RULES).await.unwrap();
    let tail = memory.follow(&channel("followed"), &RULES).await.unwrap();
    for n in 0..5_000 {
        memory.find(&channel(&format!("asked-{n}")), Start::Latest, &RULES).await.unwrap();
        assert!(memory.used() <= 100_000);
    }
    assert_eq!(kept(&memory, &news).await.len(), 1, "a message goes after the channels that hold none");
    let end = memory.find(&channel("followed"), Start::Latest, &RULES).await.unwrap().end;
    assert_eq!(end, tail.from, "a followed channel keeps its epoch");
}

#[tokio::test(start_paused = true)]
async fn keys_have_a_bound_and_come_free() {
    let clock = Clock::simulated(BEGAN_MS);
    let memory = Memory::start(clock, MemoryLimits { bytes: 1 << 20, idempotency_keys: 10 }, 1 << 40);
    let keyed = |n: u32| Draft { once: Once::Id, ..draft(&format!("k{n}")) };
    for n in 0..10 {
        memory.append(&channel(&format!("c{n}")), vec![keyed(n)], &RULES).await.unwrap();
    }
    let full = memory.append(&channel("c10"), vec![keyed(10)], &RULES).await.unwrap_err();
    assert!(matches!(full.error, BrokerError::Full) && full.stored.is_empty());
    // What is stored already needs no new key: a retry is safe, also now.
    let again = memory.append(&channel("c3"), vec![keyed(3)], &RULES).await.unwrap();
    assert!(again[0].duplicate);
    // A prefix is stored, and no message behind the one that is refused.
    let drafts = vec![draft("first"), keyed(3), keyed(10), draft("last")];
    let full = memory.append(&channel("c3"), drafts, &RULES).await.unwrap_err();
    assert!(matches!(full.error, BrokerError::Full));
    assert_eq!(full.stored.iter().map(|one| one.duplicate).collect::<Vec<_>>(), [false, true]);
    let of_stream =
        |index| Draft { once: Once::Stream { key: "s".into(), index }, ..draft(&format!("s/{index}")) };
    assert!(memory.append(&channel("c4"), vec![of_stream(0)], &RULES).await.is_err());
    memory.append(&channel("c10"), vec![draft("without a key")], &RULES).await.unwrap();
    tokio::time::sleep(Duration::from_secs(16)).await;
    memory.append(&channel("c10"), vec![keyed(10)], &RULES).await.unwrap();
    // One batch does not go beyond the bound, and a stream that began may go on.
    memory.append(&channel("c11"), vec![of_stream(0)], &RULES).await.unwrap();
    let many: Vec<_> = (20..40).map(keyed).collect();
    let full = memory.append(&channel("c12"), many, &RULES).await.unwrap_err();
    assert_eq!(full.stored.len(), 8, "ten keys, of which two are taken");
    memory.append(&channel("c11"), vec![of_stream(1), of_stream(2)], &RULES).await.unwrap();
}

/// A retry of what is stored adds no key, so that it is answered however full the table is.
#[tokio::test(start_paused = true)]
async fn what_is_stored_is_known_when_the_keys_are_full() {
    let clock = Clock::simulated(BEGAN_MS);
    let memory = Memory::start(clock, MemoryLimits { bytes: 1 << 20, idempotency_keys: 3 }, 1 << 40);
    let a = channel("a");
    let alone = |id: &str| Draft { once: Once::Id, ..draft(id) };
    let in_stream =
        |index: u64| Draft { once: Once::Stream { key: "s".into(), index }, ..draft(&format!("s/{index}")) };
    let first = memory.append(&a, vec![alone("1"), alone("2"), in_stream(0)], &RULES).await.unwrap();
    let again = memory.append(&a, vec![alone("2"), alone("1"), in_stream(0)], &RULES).await.unwrap();
    assert!(again.iter().all(|one| one.duplicate));
    assert_eq!(again[0].position, first[1].position);
    // The stream that has its key goes on.
    assert!(!memory.append(&a, vec![in_stream(1)], &RULES).await.unwrap()[0].duplicate);
    // What comes before the one that is refused is stored, and said to be.
    let stopped = memory.append(&a, vec![alone("1"), draft("no key"), alone("3")], &RULES).await.unwrap_err();
    assert!(matches!(stopped.error, BrokerError::Full));
    assert_eq!(stopped.stored.iter().map(|one| one.duplicate).collect::<Vec<_>>(), [true, false]);
    assert_eq!(kept(&memory, &a).await.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn names_are_counted() {
    let clock = Clock::simulated(BEGAN_MS);
    let memory = Memory::start(clock, MemoryLimits { bytes: 1 << 20, idempotency_keys: 1_000 }, 1 << 40);
    let used = async |name: &str, draft: Draft, compact: bool| {
        let before = memory.used();
        let rules = Rules { compact, retain: Retain { messages: 1, ..RULES.retain }, ..RULES };
        memory.append(&channel(name), vec![draft], &rules).await.unwrap();
        memory.used() - before
    };
    let long = "x".repeat(200);
    // A message has its id, and its key has it again. The message of a stream has more than the key of the stream.
    let short_id = used("a1", Draft { once: Once::Id, ..draft("x") }, false).await;
    let long_id =
        used("a2", Draft { once: Once::Id, payload: draft("x").payload, ..draft(&long) }, false).await;
    assert_eq!(long_id - short_id, 2 * 199, "the id of a message, and its idempotency key");
    let name = format!("b{long}");
    assert_eq!(
        used(&name, draft("x"), false).await - used("b", draft("x"), false).await,
        200,
        "a channel's name"
    );
    let short_key = used("c1", Draft { key: Some("k".into()), ..draft("x") }, true).await;
    let long_key = used("c2", Draft { key: Some(long.as_str().into()), ..draft("x") }, true).await;
    assert_eq!(long_key - short_key, 2 * 199, "the key of a message, and what compaction finds it by");
    let from = used("d", Draft { from: Some(long.as_str().into()), ..draft("x") }, false).await;
    assert_eq!(from - used("e", draft("x"), false).await, 200, "whom a message is from");
}

/// No message goes to make room for a key.
#[tokio::test(start_paused = true)]
async fn keys_take_half_of_the_bytes_at_most() {
    let clock = Clock::simulated(BEGAN_MS);
    let memory = Memory::start(clock, MemoryLimits { bytes: 100_000, idempotency_keys: 1_000_000 }, 1 << 40);
    let one = Rules { retain: Retain { messages: 1, ..RULES.retain }, ..RULES };
    memory.append(&channel("precious"), vec![draft("here")], &RULES).await.unwrap();
    let mut refused = None;
    for n in 0..1_000 {
        let keyed = Draft { once: Once::Id, ..draft(&format!("{n:0>200}")) };
        if let Err(error) = memory.append(&channel("a"), vec![keyed], &one).await {
            refused = Some(n);
            assert!(matches!(error.error, BrokerError::Full));
            break;
        }
    }
    assert!(refused.is_some_and(|n| n > 100), "{refused:?}");
    assert_eq!(kept(&memory, &channel("precious")).await.len(), 1);
}

/// A message of ten bytes must not keep the batch of a mebibyte that it came in.
#[tokio::test(start_paused = true)]
async fn a_message_does_not_keep_its_request() {
    let node = Node::new([("default", public(Delivery::AtLeastOnce))]);
    let request = Bytes::from(vec![b'x'; 1 << 20]);
    let payload = Payload { bytes: request.slice(500..510), ..draft("x").payload };
    node.try_publish("a", vec![Draft { payload, ..draft("x") }]).await.unwrap();
    assert!(request.is_unique(), "the message shares the memory of its request");
}
