//! Idempotency. An id is the server's own message id: it knows the ids of a window, and says where
//! the first was stored. How far a streamed publish got is a record beside the channel, since each
//! of its messages renews the window of all.

use bytes::{BufMut, Bytes, BytesMut};
use tidings_core::broker::BrokerError;
use tidings_core::log::{Draft, Once, in_stream};

use super::log::Log;
use super::name::hash;
use super::place::Place;
use super::state::State;

/// How far a streamed publish got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Progress {
    key: String,
    life: u64,
    /// Messages of it that are stored.
    count: u64,
    /// The last of them.
    last: Place,
    until_ms: u64,
    /// Whether the server has it.
    is_kept: bool,
}

/// The id by which the server knows a message. Those of two lives differ.
pub(super) fn message_id(log: &Log<'_>, state: &State, draft: &Draft) -> Option<String> {
    let id = match &draft.once {
        Once::No => return None,
        Once::Id | Once::Stream { .. } => &*draft.id,
    };
    Some(hash(&[log.channel.as_str(), &state.life.to_string(), id]))
}

/// The stream that a draft is of, and its number there.
fn of_stream(draft: &Draft) -> Option<(&str, u64)> {
    match &draft.once {
        Once::No => None,
        Once::Id => in_stream(&draft.id),
        Once::Stream { key, index } => Some((key, *index)),
    }
}

/// Where a message of a stream is stored already, or a later one of it.
pub(super) async fn find(
    log: &Log<'_>,
    known: &mut Option<Progress>,
    state: &State,
    draft: &Draft,
) -> Result<Option<Place>, BrokerError> {
    let Some((key, index)) = of_stream(draft) else { return Ok(None) };
    if known.as_ref().is_none_or(|progress| progress.key != key || progress.life != state.life) {
        keep(log, known).await?;
        let subject = log.names().progress(log.channel, key);
        let bytes = log.stream.bytes(log.link(), &subject).await?;
        let found = bytes.and_then(|bytes| decode(key, &bytes)).filter(|found| found.life == state.life);
        *known = Some(found.unwrap_or_else(|| Progress {
            key: key.to_owned(),
            life: state.life,
            count: 0,
            last: Place::default(),
            until_ms: 0,
            is_kept: true,
        }));
    }
    let is_stored = |progress: &&Progress| progress.until_ms > log.now_ms && index < progress.count;
    Ok(known.as_ref().filter(is_stored).map(|progress| progress.last))
}

/// A message was stored.
pub(super) fn stored(log: &Log<'_>, known: &mut Option<Progress>, draft: &Draft, place: Place) {
    let Once::Stream { key, index } = &draft.once else { return };
    if let Some(progress) = known.as_mut().filter(|progress| progress.key == **key) {
        progress.count = index + 1;
        progress.last = place;
        progress.until_ms = log.now_ms.saturating_add(log.rules.dedupe_ms);
        progress.is_kept = false;
    }
}

/// Writes down what is not written down yet. Until then the server knows its newest messages by their ids.
pub(super) async fn keep(log: &Log<'_>, known: &mut Option<Progress>) -> Result<(), BrokerError> {
    let Some(progress) = known.as_mut().filter(|progress| !progress.is_kept) else { return Ok(()) };
    let subject = log.names().progress(log.channel, &progress.key);
    log.link().replace(subject, log.rules.dedupe_ms / 1_000 + 2, encode(progress)).await?;
    progress.is_kept = true;
    Ok(())
}

fn encode(progress: &Progress) -> Bytes {
    let Progress { life, count, last, until_ms, .. } = progress;
    let mut bytes = BytesMut::with_capacity(40);
    for word in [*life, *count, last.seq, last.number, *until_ms] {
        bytes.put_u64(word);
    }
    bytes.freeze()
}

fn decode(key: &str, bytes: &[u8]) -> Option<Progress> {
    let mut words = bytes.chunks_exact(8).map(|word| word.try_into().map(u64::from_be_bytes));
    let mut word = || words.next()?.ok();
    let (life, count, seq, number, until_ms) = (word()?, word()?, word()?, word()?, word()?);
    let last = Place { seq, number };
    Some(Progress { key: key.to_owned(), life, count, last, until_ms, is_kept: true })
}
