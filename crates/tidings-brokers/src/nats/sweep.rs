//! Tidying up: what has expired leaves the disk, though nobody asks for it.
//!
//! Each node looks at the oldest records of the streams that it uses. Of a channel whose newest
//! message has expired, one note stays, which says where its log had got to.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tidings_core::broker::BrokerError;
use tokio::time::sleep;

use super::api::Before;
use super::record::{Body, Head, Record, encode};
use super::shared::Shared;
use super::state::State;
use super::stream::{Known, Stream};

/// Between two looks whether the streams are the same as before.
const WATCH_EVERY: Duration = Duration::from_secs(2);
/// Where the connection was cut again and again.
const CUT_PAUSE: Duration = Duration::from_millis(50);
/// Looks between two rounds of tidying, and up to as many more, so that nodes take turns.
const ROUND_EVERY: u64 = 5;
/// Records of one round and stream.
const RECORDS_MAX: usize = 1_000;

/// Watches and tidies up, as long as the broker lives.
pub(super) async fn run(shared: std::sync::Weak<Shared>) {
    let mut rounds = HashMap::new();
    let mut next = ROUND_EVERY;
    loop {
        let Some(mut cuts) = shared.upgrade().map(|shared| shared.link.cuts()) else { break };
        tokio::select! {
            () = sleep(WATCH_EVERY) => next -= 1,
            // A stream that went back is to be found before others have written to it.
            _ = cuts.changed() => sleep(CUT_PAUSE).await,
        }
        let Some(shared) = shared.upgrade() else { break };
        for stream in shared.streams() {
            // One that cannot be looked at is looked at again.
            let is_same = stream.known().is_none() || shared.doubt(&stream, false).await.unwrap_or(false);
            if next == 0 && is_same {
                let from = rounds.entry(stream.name.clone()).or_insert(1);
                *from = round(&shared, &stream, *from).await.unwrap_or(1);
            }
        }
        if next == 0 {
            next = ROUND_EVERY + getrandom::u64().map_or(0, |random| random % ROUND_EVERY);
        }
    }
}

/// Tidies up a stream from a sequence on. Gives where to go on.
async fn round(shared: &Arc<Shared>, stream: &Stream, from: u64) -> Result<u64, BrokerError> {
    let Some(known) = stream.known() else { return Ok(1) };
    let now_ms = shared.clock.now_ms();
    let all = shared.names.channels(stream.namespace());
    let batch = stream.batch(&shared.link, &all, from, RECORDS_MAX, usize::MAX).await?;
    // The highest expired record of each channel, by what the records say themselves.
    let mut expired: HashMap<&str, &Record> = HashMap::new();
    let mut go_on = None;
    for (record, subject) in batch.records.iter().zip(&batch.subjects) {
        if matches!(record.body, Body::Note) && record.head.terms.is_none() {
            continue;
        }
        if is_expired(&record.head, &known, now_ms) {
            expired.insert(subject, record);
        } else {
            go_on.get_or_insert(record.seq);
        }
    }
    for (subject, record) in expired {
        tidy(shared, stream, &known, subject, record, now_ms).await?;
    }
    let at_end = if batch.more { batch.last_seq + 1 } else { go_on.unwrap_or(batch.last_seq.max(1)) };
    // Where all that was seen is young, so is what follows.
    let is_young = batch.records.last().is_some_and(|last| !is_expired(&last.head, &known, now_ms));
    Ok(if is_young { go_on.unwrap_or(at_end) } else { at_end })
}

fn is_expired(head: &Head, known: &Known, now_ms: u64) -> bool {
    let terms = head.terms.unwrap_or_default();
    let age_ms = terms.retain.map_or(known.age_ms, |retain| retain.age_ms);
    head.written_ms.saturating_add(age_ms) <= now_ms || terms.are_over(head.written_ms, now_ms)
}

/// Removes the records of a channel up to one that has expired.
async fn tidy(
    shared: &Shared,
    stream: &Stream,
    known: &Known,
    subject: &str,
    expired: &Record,
    now_ms: u64,
) -> Result<(), BrokerError> {
    let Some(newest) = stream.newest(&shared.link, subject).await? else { return Ok(()) };
    let state = State::after(&newest);
    if state.is_over(now_ms) {
        let random = getrandom::u64().map_err(|error| BrokerError::Unavailable(error.to_string()))?;
        return rest(shared, subject, State { seq: state.seq, ..State::empty(random.max(1)) }).await;
    }
    // The terms that it has now are what counts.
    let head = Head { terms: state.terms, ..expired.head };
    if !is_expired(&head, known, now_ms) {
        return Ok(());
    }
    let seq = expired.seq;
    if newest.seq == seq && state.last.seq > state.lost.seq {
        return rest(shared, subject, State { lost: state.last, ..state }).await;
    }
    if newest.seq == seq || known.compacts() {
        // A compacted channel says what it lost before it loses it: whoever appends does that.
        return Ok(());
    }
    shared.link.purge_before(&stream.name, subject, seq + 1).await
}

/// One note in place of all that a channel has.
async fn rest(shared: &Shared, subject: &str, state: State) -> Result<(), BrokerError> {
    let note = encode(&state.head(), &Body::Note);
    // If somebody was faster, the channel lives.
    shared.link.publish(subject.to_owned(), state.seq, None, Before::Goes, note).await.map(drop)
}

/// Whether JetStream answers.
pub(super) async fn answers(shared: &Shared, patience: Duration) -> Result<(), BrokerError> {
    let answer = shared.link.api_within::<Value>("INFO", &Value::Null, patience).await?;
    answer.map(drop).map_err(|refusal| refusal.error())
}
