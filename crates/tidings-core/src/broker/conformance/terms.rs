//! Channels that somebody created by name, and what becomes of them.

use super::super::BrokerError;
use super::pace::{Lasting, Late, paced, wait};
use super::subject::{PLAIN, Suite, draft, once, texts};
use crate::log::{Draft, Retain, Rules, Start, Terms, Why};

/// Channels of this namespace are created by name alone.
const NAMED: Rules = Rules { implicit: false, ..PLAIN };
const NOTHING: Terms = Terms { retain: None, ttl_ms: None };

pub(super) async fn a_first_message_creates_where_it_may(suite: &Suite) {
    let implicit = suite.plain("terms-implicit");
    assert!(!implicit.find(Start::Latest).await.created, "a question creates nothing");
    implicit.append(&["a"]).await;
    assert!(implicit.find(Start::Latest).await.created);
    let named = suite.subject("named", "terms-named", NAMED);
    let refused = named.broker.append(&named.channel, vec![draft("a")], &NAMED).await.unwrap_err();
    assert!(refused.stored.is_empty() && matches!(refused.error, BrokerError::Unknown));
    assert!(!named.find(Start::Earliest).await.created);
    let created = named.broker.create(&named.channel, NOTHING, &NAMED).await.unwrap();
    assert!(created.new && !created.closed);
    let found = named.find(Start::Latest).await;
    assert_eq!((found.created, found.end), (true, created.end));
    named.append(&["b"]).await;
    assert_eq!(named.texts(Start::After(created.end)).await, ["b"]);
}

pub(super) async fn terms_hold_in_place_of_rules(suite: &Suite) {
    let subject = suite.plain("terms-retain");
    let three = Terms { retain: Some(Retain { messages: 3, age_ms: 3_600_000 }), ttl_ms: None };
    assert!(subject.broker.create(&subject.channel, three, &PLAIN).await.unwrap().new);
    let places = subject.append(&["a", "b", "c", "d"]).await;
    assert_eq!(subject.all().await, ["b", "c", "d"]);
    let one = Terms { retain: Some(Retain { messages: 1, age_ms: 3_600_000 }), ttl_ms: None };
    let changed = subject.broker.create(&subject.channel, one, &PLAIN).await.unwrap();
    assert_eq!((changed.new, changed.end), (false, places[3]), "the log stays");
    assert_eq!(subject.all().await, ["d"]);
    subject.broker.create(&subject.channel, NOTHING, &PLAIN).await.unwrap();
    subject.append(&["e", "f"]).await;
    assert_eq!(subject.all().await, ["d", "e", "f"]);
}

pub(super) async fn deleting_begins_a_new_epoch(suite: &Suite) {
    let subject = suite.plain("terms-delete");
    assert!(!subject.broker.delete(&subject.channel, &PLAIN).await.unwrap(), "there is nothing");
    let stored = subject.append_drafts(vec![once("k", "a"), draft("b")]).await;
    subject.append_drafts(vec![Draft::end()]).await;
    let mut tail = subject.follow().await;
    assert!(subject.broker.delete(&subject.channel, &PLAIN).await.unwrap());
    assert!(tail.take(1).await.is_empty(), "its tails end");
    let found = subject.find(Start::Latest).await;
    assert!(!found.created && !found.closed && found.end.epoch != stored[0].position.epoch);
    let gap = subject.find(Start::After(stored[1].position)).await.gap.expect("that log is gone");
    assert_eq!(gap.why, Why::Epoch);
    // Neither its keys nor its end are left.
    let again = subject.append_drafts(vec![once("k", "c")]).await;
    assert!(!again[0].duplicate);
    let (gap, messages) = subject.from(Start::After(stored[1].position)).await;
    assert_eq!((gap.map(|gap| gap.why), texts(&messages)), (Some(Why::Epoch), vec!["c".to_owned()]));
}

paced!(a_channel_ends_with_its_time_to_live: over);

/// Its time to live is two units.
async fn over(suite: &Suite, unit_ms: u64) -> Result<(), Late> {
    let subject = suite.plain(&format!("terms-ttl-{unit_ms}"));
    let short = Terms { retain: None, ttl_ms: Some(2 * unit_ms) };
    let created_lasts = Lasting::from_now(2 * unit_ms);
    subject.broker.create(&subject.channel, short, &PLAIN).await.unwrap();
    wait(unit_ms, 120).await;
    let written_lasts = Lasting::from_now(2 * unit_ms);
    let stored = subject.append(&["a"]).await[0];
    created_lasts.still()?;
    wait(unit_ms, 120).await;
    let all = subject.look(Start::Earliest).await;
    written_lasts.still()?;
    assert_eq!(all.texts(), ["a"], "it was written to");
    wait(unit_ms, 120).await;
    let found = subject.find(Start::After(stored)).await;
    assert_eq!((found.created, found.gap.map(|gap| gap.why)), (false, Some(Why::Epoch)));
    subject.append(&["b"]).await;
    wait(unit_ms, 250).await;
    assert_eq!(subject.all().await, ["b"], "what was deleted has left no terms");
    Ok(())
}
