//! What is kept, and the gap that stands for what is not.

use futures_util::future::join4;

use super::pace::{Lasting, Late, paced, wait};
use super::subject::{PAGE, PLAIN, Suite, TAIL, assert_missed, draft, keyed, numbered, refs, texts};
use crate::log::{Position, Retain, Rules, Start, Why};

const FIVE: Rules = Rules { retain: Retain { messages: 5, age_ms: 3_600_000 }, ..PLAIN };
const COMPACT: Rules = Rules { compact: true, ..PLAIN };
const FIVE_COMPACT: Rules = Rules { compact: true, ..FIVE };
const FIVE_TAIL: Rules = Rules { retain: Retain { messages: 5, age_ms: 3_600_000 }, ..TAIL };

fn aged(age_ms: u64) -> Rules {
    Rules { retain: Retain { messages: 1_000, age_ms }, ..PLAIN }
}

pub(super) async fn the_oldest_go_beyond_the_count(suite: &Suite) {
    let subject = suite.subject("five", "count", FIVE);
    let begin = subject.find(Start::Earliest).await.at;
    let expected = numbered("m", 0..12);
    let mut positions = Vec::new();
    for text in &expected {
        positions.extend(subject.append(&[text]).await);
    }
    assert_eq!(subject.all().await, expected[7..], "what expired before is no gap");
    assert_eq!(subject.texts(Start::Last(9)).await, expected[7..]);
    // 7 messages are gone; message n is at positions[n], and a reader there lacks those after it.
    for (after, missed) in std::iter::once((begin, 7)).chain((0..6).map(|n| (positions[n], 6 - n as u64))) {
        let (gap, messages) = subject.from(Start::After(after)).await;
        let gap = gap.unwrap_or_else(|| panic!("{missed} messages are gone"));
        assert_eq!((gap.after, gap.why), (Some(after), Why::Expired));
        assert_missed(&gap, missed);
        assert_eq!(texts(&messages), expected[7..]);
        let page = subject.read(after, PAGE).await;
        assert_eq!(page.gap, Some(gap), "a read and a find tell the same");
        assert_eq!(texts(&page.messages), expected[7..], "a page goes on after its gap");
    }
    for n in 6..12 {
        assert_eq!(subject.texts(Start::After(positions[n])).await, expected[n + 1..]);
    }
}

paced!(the_oldest_go_beyond_the_age: ages);

async fn ages(suite: &Suite, age_ms: u64) -> Result<(), Late> {
    let subject = suite.subject(&format!("age-{age_ms}"), "age", aged(age_ms));
    subject.find(Start::Latest).await; // what must be made for a namespace is
    let old_last = Lasting::from_now(age_ms);
    let old = subject.append(&["a", "b", "c"]).await;
    wait(age_ms, 70).await;
    let young_last = Lasting::from_now(age_ms);
    let young = subject.append(&["d", "e"]).await;
    let all = subject.look(Start::Earliest).await;
    old_last.still()?;
    assert_eq!(all.texts(), ["a", "b", "c", "d", "e"]);
    wait(age_ms, 50).await;
    let (all, after_first, after_old, after_young) = join4(
        subject.look(Start::Earliest),
        subject.look(Start::After(old[0])),
        subject.look(Start::After(old[2])),
        subject.look(Start::After(young[0])),
    )
    .await;
    young_last.still()?;
    assert_eq!(all.texts(), ["d", "e"]);
    let (gap, messages) = after_first.whole();
    let gap = gap.expect("b and c are gone");
    assert_eq!(gap.why, Why::Expired);
    assert_missed(&gap, 2);
    assert_eq!(texts(&messages), ["d", "e"]);
    assert_eq!(after_old.texts(), ["d", "e"], "a reader at the edge lacks nothing");
    assert_eq!(after_young.texts(), ["e"]);
    Ok(())
}

paced!(an_expired_log_keeps_its_end: expired);

async fn expired(suite: &Suite, age_ms: u64) -> Result<(), Late> {
    let subject = suite.subject(&format!("age-{age_ms}"), "all-gone", aged(age_ms));
    let positions = subject.append(&["a", "b"]).await;
    wait(age_ms, 130).await;
    assert_eq!(subject.all().await, [""; 0]);
    let found = subject.find(Start::After(positions[1])).await;
    assert_eq!((found.gap, found.at, found.end), (None, positions[1], positions[1]));
    let gap = subject.find(Start::After(positions[0])).await.gap.expect("b is gone");
    assert_eq!((gap.why, gap.until), (Why::Expired, positions[1]));
    assert_missed(&gap, 1);
    let lasts = Lasting::from_now(age_ms);
    let next = subject.append(&["c"]).await;
    assert_eq!(next[0].epoch, positions[0].epoch, "an idle channel is no new epoch");
    let seen = subject.look(Start::After(positions[1])).await;
    lasts.still()?;
    assert_eq!(seen.texts(), ["c"]);
    Ok(())
}

pub(super) async fn compaction_keeps_the_newest_of_each_key(suite: &Suite) {
    let subject = suite.subject("compact", "keys", COMPACT);
    let begin = subject.find(Start::Earliest).await.at;
    let mut tail = subject.follow().await;
    let drafts = vec![
        keyed("a", "a1"),
        keyed("b", "b1"),
        keyed("a", "a2"),
        draft("none"),
        keyed("c", "c1"),
        keyed("b", "b2"),
        keyed("a", "a3"),
        draft("none again"),
    ];
    let appended = subject.append_drafts(drafts).await;
    let kept = ["none", "c1", "b2", "a3", "none again"];
    assert_eq!(subject.all().await, kept);
    // What compaction removed is no gap, wherever a reader stands.
    assert_eq!(subject.texts(Start::After(begin)).await, kept);
    for (n, left) in [(0, 0), (2, 0), (3, 1), (4, 2), (5, 3), (7, 5)] {
        assert_eq!(subject.texts(Start::After(appended[n].position)).await, kept[left..], "after {n}");
    }
    assert_eq!(subject.texts(Start::Last(2)).await, kept[3..]);
    assert_eq!(subject.find(Start::Latest).await.at, appended[7].position);
    assert_eq!(tail.take(8).await.len(), 8, "a tail has what was replaced since");
}

pub(super) async fn retention_of_a_compacted_log_is_a_gap(suite: &Suite) {
    let subject = suite.subject("five-compact", "keys", FIVE_COMPACT);
    let begin = subject.find(Start::Earliest).await.at;
    for round in 0..3 {
        for key in ["a", "b", "c", "d", "e", "f", "g"] {
            subject.append_drafts(vec![keyed(key, &format!("{key}{round}"))]).await;
        }
    }
    assert_eq!(subject.all().await, ["c2", "d2", "e2", "f2", "g2"]);
    let (gap, messages) = subject.from(Start::After(begin)).await;
    assert_eq!(gap.map(|gap| gap.why), Some(Why::Expired), "the state of a and b is gone");
    assert_eq!(messages.len(), 5);
}

pub(super) async fn at_most_once_skips_to_now(suite: &Suite) {
    let subject = suite.subject("five-tail", "skip", FIVE_TAIL);
    let begin = subject.find(Start::Earliest).await.at;
    let expected = numbered("m", 0..12);
    let positions = subject.append(&refs(&expected)).await;
    for (after, missed) in [(begin, 12), (positions[0], 11), (positions[5], 6)] {
        let (gap, messages) = subject.from(Start::After(after)).await;
        let gap = gap.expect("it lies below the tail");
        assert_eq!((gap.after, gap.why, gap.until), (Some(after), Why::Lagged, positions[11]));
        assert_missed(&gap, missed);
        assert!(messages.is_empty(), "it goes on now");
        assert_eq!(subject.read(after, PAGE).await.gap, Some(gap));
    }
    let Position { epoch, .. } = positions[11];
    assert_eq!(subject.append(&["next"]).await[0].epoch, epoch);
    assert_eq!(subject.texts(Start::After(positions[11])).await, ["next"]);
}

pub(super) async fn at_most_once_resumes_inside_the_tail(suite: &Suite) {
    let subject = suite.tail("inside");
    let expected = numbered("m", 0..20);
    let positions = subject.append(&refs(&expected)).await;
    for n in [0, 10, 19] {
        assert_eq!(subject.texts(Start::After(positions[n])).await, expected[n + 1..]);
    }
}
