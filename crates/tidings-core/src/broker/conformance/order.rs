//! Order, and that what comes back is what was stored.

use bytes::Bytes;

use super::subject::{Suite, draft, numbered, refs, text, texts};
use crate::log::{Draft, Kind, Once, Payload, Start};

pub(super) async fn what_is_stored_comes_back_as_it_was(suite: &Suite) {
    let subject = suite.plain("as-it-was");
    let every_byte: Vec<u8> = (0..=255).collect();
    let payloads = [
        (Kind::Json, Bytes::from_static(b"{ \"a\": 1.0, \"a\": 10000000000000000000001 }")),
        (Kind::Text, Bytes::from("zwei\r\nZeilen \u{1f4e3} \0")),
        (Kind::Text, Bytes::new()),
        (Kind::Bytes, Bytes::from(every_byte)),
        (Kind::Bytes, Bytes::new()),
        (Kind::Bytes, Bytes::from(vec![7; 300_000])),
    ];
    let drafts: Vec<_> = payloads
        .into_iter()
        .enumerate()
        .map(|(n, (kind, bytes))| Draft {
            id: format!("id {n} ~").into(),
            once: if n % 2 == 0 { Once::No } else { Once::Id },
            event: (n % 2 == 0).then(|| format!("event: {n}").into()),
            key: (n % 3 == 0).then(|| format!("schl\u{fc}ssel/{n}.*>").into()),
            payload: Payload { kind, bytes },
            from: (n % 2 == 1).then(|| "u1 | \u{e4}".into()),
        })
        .collect();
    let mut tail = subject.follow().await;
    let appended = subject.append_drafts(drafts.clone()).await;
    let (_, read) = subject.from(Start::Earliest).await;
    let followed = tail.take(drafts.len()).await;
    assert_eq!(read.len(), drafts.len());
    for (n, draft) in drafts.iter().enumerate() {
        assert_eq!(*read[n], *followed[n], "a tail gives what a read gives");
        assert_eq!(read[n].channel, subject.channel);
        assert_eq!(read[n].position, appended[n].position);
        assert_eq!(appended[n].id, draft.id);
        assert!(!appended[n].duplicate);
        assert!(read[n].time_ms > 0);
        let again = Draft {
            id: read[n].id.clone(),
            once: draft.once.clone(),
            event: read[n].event.clone(),
            key: read[n].key.clone(),
            payload: read[n].payload.clone(),
            from: read[n].from.clone(),
        };
        assert_eq!(again, *draft);
    }
}

pub(super) async fn messages_keep_their_order(suite: &Suite) {
    let subject = suite.plain("order");
    let expected = numbered("m", 0..60);
    let mut positions = Vec::new();
    for (n, chunk) in [1, 3, 5, 1, 50].into_iter().scan(0, |from, n| {
        *from += n;
        Some((*from - n, n))
    }) {
        positions.extend(subject.append(&refs(&expected[n..n + chunk])).await);
    }
    assert!(positions.windows(2).all(|two| two[0].epoch == two[1].epoch && two[0].offset < two[1].offset));
    let (gap, messages) = subject.from(Start::Earliest).await;
    assert_eq!(gap, None);
    assert_eq!(texts(&messages), expected);
    assert!(messages.iter().map(|message| message.position).eq(positions));
}

pub(super) async fn an_append_that_is_dropped_leaves_a_prefix(suite: &Suite) {
    for round in 0..10usize {
        let subject = suite.plain(&format!("dropped-{round}"));
        let expected = numbered("m", 0..40);
        let appending = tokio::spawn({
            let (subject, expected) = (subject.clone(), expected.clone());
            async move { drop(subject.append(&refs(&expected)).await) }
        });
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        appending.abort();
        let _ = appending.await;
        // What a server still has in hand may be stored after the drop: it is a prefix at every time.
        for _ in 0..3 {
            let stored = subject.all().await;
            assert_eq!(stored, expected[..stored.len()]);
            tokio::task::yield_now().await;
        }
    }
}

pub(super) async fn each_writer_keeps_its_order(suite: &Suite) {
    const WRITERS: usize = 8;
    const APPENDS: usize = 20;
    let subject = suite.plain("writers");
    let mut tail = subject.follow().await;
    let writers = (0..WRITERS).map(|writer| {
        let subject = subject.clone();
        tokio::spawn(async move {
            let mut placed = Vec::new();
            for append in 0..APPENDS {
                let drafts = (0..=append % 3).map(|n| draft(&format!("{writer}/{append}.{n}"))).collect();
                placed.extend(subject.append_drafts(drafts).await);
                tokio::task::yield_now().await;
            }
            placed
        })
    });
    let mut placed = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        placed.push(writer.await.unwrap());
    }
    let (gap, read) = subject.from(Start::Earliest).await;
    assert_eq!(gap, None);
    assert_eq!(read.len(), placed.iter().map(Vec::len).sum::<usize>());
    assert!(read.windows(2).all(|two| two[0].position.offset < two[1].position.offset));
    for (writer, placed) in placed.iter().enumerate() {
        let own: Vec<_> =
            read.iter().filter(|message| text(message).starts_with(&format!("{writer}/"))).collect();
        assert!(
            own.iter()
                .map(|message| (&message.position, &message.id))
                .eq(placed.iter().map(|one| (&one.position, &one.id)))
        );
    }
    assert_eq!(texts(&tail.take(read.len()).await), texts(&read), "a tail has the order of a read");
}

pub(super) async fn two_channels_do_not_mix(suite: &Suite) {
    // Names of which one begins the other, or differs in what a server may treat as a separator.
    let subjects = ["mix", "mix.", "mix.a", "mix:a", "mix@", "MIX", "mix=-_"].map(|name| suite.plain(name));
    let mut tails = Vec::new();
    for subject in &subjects {
        tails.push(subject.follow().await);
    }
    for round in 0..5 {
        for (n, subject) in subjects.iter().enumerate() {
            subject.append(&[&format!("{n}/{round}")]).await;
        }
    }
    for (n, subject) in subjects.iter().enumerate() {
        let expected: Vec<_> = (0..5).map(|round| format!("{n}/{round}")).collect();
        assert_eq!(subject.all().await, expected);
        assert_eq!(texts(&tails[n].take(5).await), expected);
        let last = subject.texts(Start::Last(2)).await;
        assert_eq!(last, expected[3..]);
    }
}
