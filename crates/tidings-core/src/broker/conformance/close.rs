//! The end of a log: what it refuses, and how readers learn of it.

use super::super::BrokerError;
use super::subject::{PAGE, Subject, Suite, TAIL, draft, once, texts};
use crate::log::{Appended, Below, Draft, Limit, Retain, Rules, Start};

impl Subject {
    async fn close(&self) -> Appended {
        self.append_drafts(vec![Draft::end()]).await.remove(0)
    }
}

pub(super) async fn nothing_follows_an_end(suite: &Suite) {
    let subject = suite.plain("close-refuses");
    let stored = subject.append_drafts(vec![once("k", "a"), draft("b")]).await;
    let end = subject.close().await;
    assert!(!end.duplicate && end.position.offset > stored[1].position.offset);
    let drafts = vec![once("k", "a"), draft("c"), draft("d")];
    let refused = subject.broker.append(&subject.channel, drafts, &subject.rules).await.unwrap_err();
    // What was stored before the end is answered as before.
    assert_eq!(refused.stored.len(), 1);
    assert!(refused.stored[0].duplicate);
    assert!(matches!(refused.error, BrokerError::Closed(at) if at == end.position), "{:?}", refused.error);
    let again = subject.close().await;
    assert_eq!((again.position, again.duplicate), (end.position, true));
    assert_eq!(subject.all().await, ["a", "b"]);
}

pub(super) async fn a_page_says_where_the_log_ends(suite: &Suite) {
    let subject = suite.plain("close-page");
    let places = subject.append(&["a", "b", "c"]).await;
    assert!(!subject.find(Start::Latest).await.closed);
    let end = subject.close().await.position;
    for (start, at) in [(Start::Latest, end), (Start::After(end), end), (Start::After(places[0]), places[0])]
    {
        let found = subject.find(start).await;
        assert_eq!((found.at, found.gap, found.end, found.closed), (at, None, end, true), "{start:?}");
    }
    assert_eq!(subject.texts(Start::Last(2)).await, ["b", "c"]);
    let part = subject.read(places[0], Limit { messages: 1, ..PAGE }).await;
    assert_eq!((texts(&part.messages), part.end), (vec!["b".to_owned()], None), "more follows");
    let whole = subject.read(places[0], PAGE).await;
    assert_eq!((texts(&whole.messages), whole.end), (vec!["b".to_owned(), "c".to_owned()], Some(end)));
    for at in [places[2], end] {
        let rest = subject.read(at, PAGE).await;
        assert_eq!((rest.gap, rest.messages.len(), rest.end), (None, 0, Some(end)), "{at:?}");
    }
}

pub(super) async fn a_tail_gives_the_end(suite: &Suite) {
    let subject = suite.plain("close-tail");
    let mut tail = subject.follow().await;
    subject.append(&["a"]).await;
    let end = subject.close().await.position;
    let taken = tail.take(2).await;
    assert!(!taken[0].is_end() && taken[1].is_end());
    assert_eq!(taken[1].position, end);
    assert_eq!(subject.follow().await.from, end);
}

pub(super) async fn retention_does_not_lose_the_end(suite: &Suite) {
    let few = Rules { retain: Retain { messages: 1, age_ms: 3_600_000 }, ..super::subject::PLAIN };
    let subject = suite.subject("one", "close-retention", few);
    subject.append(&["a", "b"]).await;
    let end = subject.close().await.position;
    assert_eq!(subject.from(Start::Earliest).await.1.len(), 1, "the end is no message");
    let page = subject.read(subject.find(Start::Earliest).await.at, PAGE).await;
    assert_eq!(page.end, Some(end));
}

pub(super) async fn at_most_once_skips_to_the_end(suite: &Suite) {
    let few = Rules { retain: Retain { messages: 2, age_ms: 3_600_000 }, below: Below::Newest, ..TAIL };
    let subject = suite.subject("two", "close-skip", few);
    let first = subject.append(&["a", "b", "c", "d", "e"]).await[0];
    let end = subject.close().await.position;
    let found = subject.find(Start::After(first)).await;
    let gap = found.gap.expect("b and c have expired");
    assert_eq!((found.at, gap.until, found.closed), (end, end, true));
    super::subject::assert_missed(&gap, 4);
}
