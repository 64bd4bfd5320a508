//! Live tails, and how they join history.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;

use super::subject::{PAGE, Subject, Suite, numbered, refs, texts};
use crate::log::{Message, Position, Start};

pub(super) async fn a_tail_has_what_comes_after_its_place(suite: &Suite) {
    let subject = suite.plain("tail");
    let before = subject.append(&["a", "b"]).await;
    let mut tail = subject.follow().await;
    assert_eq!(tail.from, before[1], "what was acknowledged before lies before");
    let after = subject.append(&["c", "d"]).await;
    let taken = tail.take(2).await;
    assert_eq!(texts(&taken), ["c", "d"]);
    assert!(taken.iter().map(|message| message.position).eq(after));
    let (_, read) = subject.from(Start::After(tail.from)).await;
    assert_eq!(read, taken);
}

pub(super) async fn every_tail_has_everything(suite: &Suite) {
    let subject = suite.plain("tails");
    let mut tails = Vec::new();
    let expected = numbered("m", 0..30);
    for (n, text) in expected.iter().enumerate() {
        tails.push(subject.follow().await);
        subject.append(&[text]).await;
        if n % 3 == 2 {
            // Those who leave take nothing from those who stay.
            tails.remove(n / 3);
        }
    }
    for mut tail in tails {
        let rest = subject.texts(Start::After(tail.from)).await;
        assert!(!rest.is_empty());
        assert_eq!(texts(&tail.take(rest.len()).await), rest);
    }
}

pub(super) async fn history_joins_live_without_a_hole(suite: &Suite) {
    let subject = suite.plain("join");
    let expected = numbered("m", 0..400);
    let writer = tokio::spawn({
        let (subject, expected) = (subject.clone(), expected.clone());
        async move {
            for chunk in expected.chunks(4) {
                subject.append(&refs(chunk)).await;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    });
    let joiners: Vec<_> = (0..6u64)
        .map(|n| {
            let subject = subject.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(n * 31)).await;
                join(&subject, 400).await
            })
        })
        .collect();
    writer.await.unwrap();
    for joiner in joiners {
        assert_eq!(joiner.await.unwrap(), expected);
    }
}

/// Reads the past up to where a tail begins, then the tail; follows again where it ends.
async fn join(subject: &Subject, count: usize) -> Vec<String> {
    let mut at = subject.find(Start::Earliest).await.at;
    let mut all: Vec<Arc<Message>> = Vec::new();
    while all.len() < count {
        let mut tail = subject.follow().await;
        while at.offset < tail.from.offset {
            let page = subject.read(at, PAGE).await;
            assert!(page.gap.is_none());
            at = page.messages.last().expect("a read reaches where a tail begins").position;
            all.extend(page.messages);
        }
        while all.len() < count {
            let Some(batch) = tail.items.next().await else { break };
            // A page may have gone beyond the place where the tail begins.
            all.extend(batch.into_iter().filter(|message| message.position.offset > at.offset));
            at = all.last().map_or(at, |message| message.position);
        }
    }
    texts(&all)
}

pub(super) async fn a_slow_tail_ends_or_keeps_all(suite: &Suite) {
    let subject = suite.plain("slow");
    let mut tail = subject.follow().await;
    let expected = numbered("m", 0..5_000);
    for chunk in expected.chunks(100) {
        subject.append(&refs(chunk)).await;
    }
    let taken = texts(&tail.take(expected.len()).await);
    assert_eq!(taken, expected[..taken.len()], "a tail that is behind has a hole");
    // Whether it kept all or ended, who follows again goes on.
    let mut again = subject.follow().await;
    subject.append(&["after"]).await;
    assert_eq!(texts(&again.take(1).await), ["after"]);
}

pub(super) async fn reads_reach_the_place_of_a_tail(suite: &Suite) {
    let subject = suite.plain("reach");
    for round in 0..20 {
        subject.append(&[&format!("m{round}")]).await;
        let tail = subject.follow().await;
        let Position { offset, .. } =
            subject.from(Start::Earliest).await.1.last().map(|message| message.position).unwrap();
        assert!(offset >= tail.from.offset, "a reader below the tail would find nothing");
    }
}
