//! A key is stored once, within its window.

use super::pace::{Lasting, Late, paced, wait};
use super::subject::{PLAIN, Suite, of_stream, once, refs};
use crate::log::{Once, Rules, Start};

fn windowed(dedupe_ms: u64) -> Rules {
    Rules { dedupe_ms, ..PLAIN }
}

pub(super) async fn a_key_is_stored_once(suite: &Suite) {
    let subject = suite.plain("once");
    let first = subject.append_drafts(vec![once("k", "first body"), once("l", "other")]).await;
    assert!(!first[0].duplicate && !first[1].duplicate);
    let again = subject.append_drafts(vec![once("k", "second body")]).await;
    assert!(again[0].duplicate);
    assert_eq!((again[0].position, &again[0].id), (first[0].position, &first[0].id));
    assert_eq!(subject.all().await, ["first body", "other"], "the first body wins");
}

pub(super) async fn a_key_is_of_its_channel(suite: &Suite) {
    let subjects = [suite.plain("key-of-one"), suite.plain("key-of-two")];
    for subject in &subjects {
        assert!(!subject.append_drafts(vec![once("k", "x")]).await[0].duplicate);
    }
    for subject in &subjects {
        assert!(subject.append_drafts(vec![once("k", "x")]).await[0].duplicate);
        assert_eq!(subject.all().await, ["x"]);
    }
}

pub(super) async fn a_key_twice_in_one_append_is_stored_once(suite: &Suite) {
    let subject = suite.plain("twice-in-one");
    let appended =
        subject.append_drafts(vec![once("k", "1"), once("l", "2"), once("k", "3"), once("m", "4")]).await;
    assert_eq!(appended.iter().map(|one| one.duplicate).collect::<Vec<_>>(), [false, false, true, false]);
    assert_eq!(appended[2].position, appended[0].position);
    assert_eq!(subject.all().await, ["1", "2", "4"]);
}

paced!(a_key_is_forgotten_after_its_window: forgotten);

async fn forgotten(suite: &Suite, window_ms: u64) -> Result<(), Late> {
    let subject = suite.subject(&format!("window-{window_ms}"), "window", windowed(window_ms));
    let lasts = Lasting::from_now(window_ms);
    assert!(!subject.append_drafts(vec![once("k", "1")]).await[0].duplicate);
    wait(window_ms, 30).await;
    // A duplicate does not renew its key: the window is counted from storing.
    let again = subject.append_drafts(vec![once("k", "2")]).await;
    lasts.still()?;
    assert!(again[0].duplicate);
    wait(window_ms, 90).await;
    assert!(!subject.append_drafts(vec![once("k", "3")]).await[0].duplicate);
    assert_eq!(subject.all().await, ["1", "3"]);
    Ok(())
}

pub(super) async fn a_stream_can_be_sent_again_whole(suite: &Suite) {
    let subject = suite.plain("stream");
    let stream = |count| (0..count).map(|index| of_stream("s", index)).collect::<Vec<_>>();
    let first = subject.append_drafts(stream(6)).await;
    assert!(first.iter().all(|one| !one.duplicate));
    let again = subject.append_drafts(stream(10)).await;
    for (index, one) in again.iter().enumerate() {
        assert_eq!(one.duplicate, index < 6, "message {index}");
        assert_eq!(*one.id, *format!("s/{index}"));
        // A stream is one record: a message sent again may be answered with the place of the last.
        if let Some(own) = first.get(index) {
            assert!(one.position.offset >= own.position.offset);
            assert!(one.position.offset <= first[5].position.offset, "a place that nobody gave out");
        }
    }
    let expected: Vec<_> = (0..10).map(|index| format!("s/{index}")).collect();
    assert_eq!(subject.all().await, expected);
}

pub(super) async fn an_id_is_the_same_alone_and_in_a_stream(suite: &Suite) {
    let subject = suite.plain("alone-or-not");
    subject.append_drafts((0..3).map(|index| of_stream("s", index)).collect()).await;
    let alone = subject.append_drafts(vec![once("s/1", "again"), once("s/3", "first")]).await;
    assert_eq!(alone.iter().map(|one| one.duplicate).collect::<Vec<_>>(), [true, false]);
    let stream = subject.append_drafts((0..5).map(|index| of_stream("s", index)).collect()).await;
    let new = stream.iter().map(|one| !one.duplicate).collect::<Vec<_>>();
    assert_eq!(new, [false, false, false, false, true]);
    assert_eq!(stream[3].position, alone[1].position);
    assert_eq!(subject.all().await, ["s/0", "s/1", "s/2", "first", "s/4"]);
}

pub(super) async fn the_key_of_a_stream_is_no_id(suite: &Suite) {
    let subject = suite.plain("key-and-id");
    let stream = || (0..2).map(|index| of_stream("k", index)).collect::<Vec<_>>();
    assert!(!subject.append_drafts(vec![once("k", "alone")]).await[0].duplicate);
    assert!(subject.append_drafts(stream()).await.iter().all(|one| !one.duplicate));
    // Nor do ids that only look like those of a stream.
    for id in ["k/00", "k/+1", "k/", "k/2", "k/1/0", "/0"] {
        assert!(!subject.append_drafts(vec![once(id, id)]).await[0].duplicate, "{id}");
    }
    assert!(subject.append_drafts(vec![once("k", "again")]).await[0].duplicate);
    assert!(subject.append_drafts(stream()).await.iter().all(|one| one.duplicate));
    let expected = ["alone", "k/0", "k/1", "k/00", "k/+1", "k/", "k/2", "k/1/0", "/0"];
    assert_eq!(subject.all().await, expected);
}

paced!(each_message_renews_its_stream: renewed);

async fn renewed(suite: &Suite, window_ms: u64) -> Result<(), Late> {
    let subject = suite.subject(&format!("window-{window_ms}"), "renewed", windowed(window_ms));
    let mut last: Option<Lasting> = None;
    for index in 0..4 {
        let before = last.replace(Lasting::from_now(window_ms));
        let appended = subject.append_drafts(vec![of_stream("s", index)]).await;
        before.map_or(Ok(()), Lasting::still)?;
        assert!(!appended[0].duplicate);
        wait(window_ms, 40).await;
    }
    // 1.6 windows after the first, 0.4 after the last.
    for index in 0..4 {
        let again = subject.append_drafts(vec![of_stream("s", index)]).await;
        last.map_or(Ok(()), Lasting::still)?;
        assert!(again[0].duplicate, "message {index}");
    }
    wait(window_ms, 90).await;
    assert!(!subject.append_drafts(vec![of_stream("s", 0)]).await[0].duplicate);
    Ok(())
}

pub(super) async fn a_key_sent_twice_at_once_is_stored_once(suite: &Suite) {
    let subject = suite.plain("at-once");
    for round in 0..20 {
        let id = format!("k{round}");
        let (one, two, three) = tokio::join!(
            subject.append_drafts(vec![once(&id, "x")]),
            subject.append_drafts(vec![once(&id, "y")]),
            subject.append_drafts(vec![once(&id, "z")]),
        );
        let all = [&one[0], &two[0], &three[0]];
        assert_eq!(all.iter().filter(|one| !one.duplicate).count(), 1);
        assert!(all.iter().all(|other| other.position == one[0].position));
    }
    assert_eq!(subject.all().await.len(), 20);
}

pub(super) async fn a_stream_sent_twice_at_once_is_stored_once(suite: &Suite) {
    let subject = suite.plain("stream-at-once");
    let senders: Vec<_> = (0..3)
        .map(|sender| {
            let subject = subject.clone();
            tokio::spawn(async move {
                for index in 0..12 {
                    subject.append_drafts(vec![of_stream("s", index)]).await;
                    for _ in 0..sender {
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    let expected: Vec<_> = (0..12).map(|index| format!("s/{index}")).collect();
    assert_eq!(subject.all().await, refs(&expected));
    assert!(matches!(of_stream("s", 0).once, Once::Stream { .. }));
}

pub(super) async fn a_second_request_waits_for_the_first(suite: &Suite) {
    let subject = suite.plain("under-way");
    for round in 0..20usize {
        let id = format!("k{round}");
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let (subject, id) = (subject.clone(), id.clone());
                tokio::spawn(async move {
                    for _ in 0..sender * round {
                        tokio::task::yield_now().await;
                    }
                    let one = subject.append_drafts(vec![once(&id, &id)]).await.remove(0);
                    // Whoever is answered, with `duplicate` or without, may rely on it.
                    let found = subject.find(Start::Latest).await;
                    assert!(found.end.offset >= one.position.offset, "answered before it was stored");
                    assert_eq!(subject.texts(Start::Last(1)).await, [id]);
                    one
                })
            })
            .collect();
        let mut answers = Vec::new();
        for sender in senders {
            answers.push(sender.await.unwrap());
        }
        assert_eq!(answers.iter().filter(|one| !one.duplicate).count(), 1);
        assert!(answers.iter().all(|one| one.position == answers[0].position));
    }
    assert_eq!(subject.all().await.len(), 20);
}

pub(super) async fn a_second_request_outlives_the_first(suite: &Suite) {
    let subject = suite.plain("outlived");
    for round in 0..20usize {
        let id = format!("k{round}");
        let first = tokio::spawn({
            let (subject, id) = (subject.clone(), id.clone());
            async move { drop(subject.append_drafts(vec![once(&id, &id)]).await) }
        });
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        let second = tokio::spawn({
            let (subject, id) = (subject.clone(), id.clone());
            async move { subject.append_drafts(vec![once(&id, &id)]).await.remove(0) }
        });
        tokio::task::yield_now().await;
        first.abort();
        let _ = first.await;
        // Its client has gone; the key is as good as new, or stored.
        let one = second.await.unwrap();
        let again = subject.append_drafts(vec![once(&id, &id)]).await.remove(0);
        assert!(again.duplicate);
        assert_eq!(again.position, one.position);
    }
    let expected: Vec<_> = (0..20).map(|round| format!("k{round}")).collect();
    assert_eq!(subject.all().await, expected, "each once");
}
