//! Where reads begin, and how much a page holds.

use super::subject::{PAGE, Suite, draft, numbered, refs, texts};
use crate::log::{Limit, Position, Start, Why};

pub(super) async fn an_empty_channel_has_a_place(suite: &Suite) {
    let starts = [Start::Earliest, Start::Latest, Start::Last(0), Start::Last(5)];
    for (n, start) in starts.into_iter().enumerate() {
        let subject = suite.plain(&format!("empty-{n}"));
        let found = subject.find(start).await;
        assert_eq!((found.gap, found.at, found.newest_ms), (None, found.end, None));
        assert_ne!(found.at.epoch, Position::NOWHERE.epoch, "an epoch that no log may have");
        assert!(subject.read(found.at, PAGE).await.messages.is_empty());
        subject.append(&["first", "second"]).await;
        assert_eq!(subject.texts(Start::After(found.at)).await, ["first", "second"], "{start:?}");
    }
}

pub(super) async fn each_start_is_found(suite: &Suite) {
    let subject = suite.plain("starts");
    let expected = numbered("m", 0..10);
    let positions = subject.append(&refs(&expected)).await;
    for start in [Start::Earliest, Start::Latest, Start::Last(3), Start::After(positions[4])] {
        let found = subject.find(start).await;
        assert_eq!((found.gap, found.end), (None, positions[9]), "{start:?}");
        assert!(found.newest_ms.is_some());
    }
    assert_eq!(subject.texts(Start::Earliest).await, expected);
    assert_eq!(subject.texts(Start::Latest).await, [""; 0]);
    assert_eq!(subject.texts(Start::Last(3)).await, expected[7..]);
    for (n, position) in positions.iter().enumerate() {
        assert_eq!(subject.texts(Start::After(*position)).await, expected[n + 1..]);
    }
    let latest = subject.find(Start::Latest).await.at;
    subject.append(&["later"]).await;
    assert_eq!(subject.texts(Start::After(latest)).await, ["later"]);
}

pub(super) async fn last_gives_what_there_is(suite: &Suite) {
    let subject = suite.plain("last");
    let expected = numbered("m", 0..5);
    subject.append(&refs(&expected)).await;
    for n in [0, 1, 4, 5, 6, 1_000, u64::MAX] {
        let kept = usize::try_from(n).unwrap_or(usize::MAX).min(5);
        assert_eq!(subject.texts(Start::Last(n)).await, expected[5 - kept..], "last {n}");
    }
}

pub(super) async fn a_place_beyond_the_end_is_of_another_epoch(suite: &Suite) {
    let subject = suite.plain("beyond");
    let positions = subject.append(&["a", "b"]).await;
    let beyond = Position { epoch: positions[1].epoch, offset: positions[1].offset + 1_000_000 };
    for after in [beyond, Position { offset: u64::MAX, ..beyond }] {
        let (gap, messages) = subject.from(Start::After(after)).await;
        let gap = gap.expect("a place that was never given out");
        assert_eq!((gap.after, gap.why, gap.missed), (Some(after), Why::Epoch, None));
        assert_eq!(texts(&messages), ["a", "b"], "everything kept follows");
        let page = subject.read(after, PAGE).await;
        assert_eq!(page.gap.map(|gap| gap.why), Some(Why::Epoch));
        assert_eq!(texts(&page.messages), ["a", "b"]);
    }
}

pub(super) async fn a_place_of_another_epoch_is_a_gap(suite: &Suite) {
    let subject = suite.plain("other-epoch");
    let positions = subject.append(&["a", "b"]).await;
    for offset in [0, positions[0].offset, positions[1].offset, u64::MAX] {
        let after = Position { epoch: positions[0].epoch ^ (1 << 40), offset };
        let (gap, messages) = subject.from(Start::After(after)).await;
        let gap = gap.expect("a place of another epoch");
        assert_eq!((gap.after, gap.why, gap.missed), (Some(after), Why::Epoch, None));
        assert_eq!(texts(&messages), ["a", "b"]);
    }
}

pub(super) async fn an_unreadable_place_is_a_gap(suite: &Suite) {
    let subject = suite.plain("unreadable");
    subject.append(&["a", "b"]).await;
    let found = subject.find(Start::Unreadable).await;
    let gap = found.gap.expect("nobody can read it");
    assert_eq!((gap.after, gap.why, gap.missed, gap.until), (None, Why::Epoch, None, found.at));
    assert_eq!(subject.texts(Start::After(found.at)).await, ["a", "b"]);
}

pub(super) async fn at_most_once_goes_on_at_the_end(suite: &Suite) {
    let subject = suite.tail("other-epoch");
    let positions = subject.append(&["a", "b"]).await;
    let other = Position { epoch: positions[0].epoch ^ (1 << 40), offset: positions[0].offset };
    for start in [Start::After(other), Start::Unreadable] {
        let found = subject.find(start).await;
        assert_eq!(found.gap.map(|gap| (gap.why, gap.until)), Some((Why::Epoch, found.end)), "{start:?}");
        assert_eq!((found.at, found.end), (positions[1], positions[1]));
    }
    let (gap, messages) = subject.from(Start::After(other)).await;
    assert!(gap.is_some() && messages.is_empty());
}

pub(super) async fn pages_keep_their_limits(suite: &Suite) {
    let subject = suite.plain("pages");
    let expected = numbered("m", 0..25);
    subject.append(&refs(&expected)).await;
    let begin = subject.find(Start::Earliest).await.at;
    for messages in [1, 7, 24, 25, 26] {
        let (mut at, mut all, mut pages) = (begin, Vec::new(), 0);
        loop {
            let page = subject.read(at, Limit { messages, bytes: usize::MAX }).await;
            assert!(page.gap.is_none() && page.messages.len() <= messages);
            all.extend(texts(&page.messages));
            pages += 1;
            match page.messages.last() {
                Some(last) if page.messages.len() == messages => at = last.position,
                _ => break,
            }
        }
        assert_eq!(all, expected, "pages of {messages}");
        assert_eq!(pages, 25 / messages + 1, "a page below its limit has reached the end");
    }
    // By bytes: whatever the size, one message is given.
    let large = "x".repeat(10_000);
    subject.append_drafts(vec![draft(&large), draft(&large), draft(&large)]).await;
    let at = subject.find(Start::Last(3)).await.at;
    assert_eq!(subject.read(at, Limit { messages: 10, bytes: 1 }).await.messages.len(), 1);
    assert!(subject.read(at, Limit { messages: 10, bytes: 25_000 }).await.messages.len() < 3);
    assert_eq!(subject.read(at, PAGE).await.messages.len(), 3);
}

pub(super) async fn the_end_of_the_log_is_an_empty_page(suite: &Suite) {
    let subject = suite.plain("end");
    let end = *subject.append(&["a", "b"]).await.last().unwrap();
    let page = subject.read(end, PAGE).await;
    assert!(page.gap.is_none() && page.messages.is_empty());
    let found = subject.find(Start::After(end)).await;
    assert_eq!((found.at, found.gap, found.end), (end, None, end));
}
