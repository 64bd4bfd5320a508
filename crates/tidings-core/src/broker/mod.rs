//! Where logs live: the contract that every broker keeps.

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
#[cfg(any(test, feature = "testing"))]
pub mod dice;
#[cfg(any(test, feature = "testing"))]
pub mod faulty;
pub mod memory;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use prometheus_client::registry::Registry;
use tokio::time::timeout;

use crate::log::{
    Appended, Channel, Closed, Created, Draft, Found, Limit, Message, Page, Position, Rules, Start, Terms,
};

pub use memory::{Memory, MemoryLimits};

/// A place where logs live.
///
/// `conformance::run` (feature `testing`) checks all that is said here; a case
/// that a broker's [`Promise`] excludes is named by it and skipped.
///
/// A channel's [`Terms`], where it has some, hold in place of the rules that a call brings. One
/// whose time to live has passed is deleted, at once for whoever asks.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// What this broker promises. Constant for its life.
    fn promise(&self) -> Promise;

    /// Stores drafts of one channel, in order, next to each other or not.
    ///
    /// All or a prefix: on an error, [`AppendError::stored`] says which of them
    /// are stored, and no later one is. Returns when the broker's promise holds
    /// for all of them (`rules.durable = false`: when they are ordered). A draft
    /// whose key was stored within `rules.dedupe_ms` is not stored again; its
    /// first position comes back with `duplicate`. While another append of the key
    /// is under way it waits for that one: an answer, `duplicate` or not, always
    /// means that the promise holds. Dropping the future may leave any prefix stored.
    ///
    /// A draft that closes the log is its end: tails give it as a message, the last of its epoch,
    /// and a later draft is [`BrokerError::Closed`], unless it is a duplicate, or an end as well.
    /// Where the rules are not `implicit`, a channel that nobody created is [`BrokerError::Unknown`].
    async fn append(
        &self,
        channel: &Channel,
        drafts: Vec<Draft>,
        rules: &Rules,
    ) -> Result<Vec<Appended>, AppendError>;

    /// Finds where a read begins; creates nothing that a reader could see.
    ///
    /// No log has epoch 0: it is that of [`Position::NOWHERE`].
    /// What an append acknowledged before this call lies before the `end` that it gives.
    async fn find(&self, channel: &Channel, start: Start, rules: &Rules) -> Result<Found, BrokerError>;

    /// The messages after a place, oldest first, within `limit`; as with a tail, none before the
    /// broker's promise for it holds.
    ///
    /// Where the broker cannot show that nothing was dropped after the place,
    /// the page begins with a gap. An empty page means the end of the log.
    async fn read(
        &self,
        channel: &Channel,
        after: Position,
        limit: Limit,
        rules: &Rules,
    ) -> Result<Page, BrokerError>;

    /// Follows the end of the log.
    ///
    /// The tail says where it begins and owes every message after that place, in
    /// order, as soon as the broker's promise for it holds, and never before. It
    /// ends where it can no longer keep this: the caller reads what it missed
    /// and follows again. All that it gives is of the epoch of `from`: it ends,
    /// too, when the channel begins a new one, and when the broker is gone; it
    /// never just falls silent. Once this returns, a `read` reaches at least
    /// `from`. A tail buffers a bounded number of messages.
    async fn follow(&self, channel: &Channel, rules: &Rules) -> Result<Tail, BrokerError>;

    /// Creates a channel, or gives one that is there other terms: its log stays as it is.
    /// Returns when the broker's promise holds for it.
    async fn create(&self, channel: &Channel, terms: Terms, rules: &Rules) -> Result<Created, BrokerError>;

    /// Deletes a channel: its messages, keys and terms. What comes after it is of another epoch, and
    /// its tails end. Returns when the broker's promise holds for that; false where there was none.
    async fn delete(&self, channel: &Channel, rules: &Rules) -> Result<bool, BrokerError>;

    /// Whether the broker answers. Returns within a second.
    async fn ready(&self) -> Result<(), BrokerError>;

    /// Adds what it measures of itself to the measures of its node.
    fn measure(&self, _registry: &mut Registry) {}
}

/// The live end of one log.
pub struct Tail {
    /// Where it begins.
    pub from: Position,
    /// Batches of messages after that, in order, none of them empty.
    pub items: BoxStream<'static, Vec<Arc<Message>>>,
}

/// What a broker promises, for people and for the conformance suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// Its name in the configuration.
    pub kind: &'static str,
    /// What a publisher's 200 means, as the end of the sentence "a 200 means …".
    pub stored: &'static str,
    /// Whether logs outlive the process.
    pub survives_restart: bool,
    /// Whether the limits of retention are exact.
    pub exact_retention: bool,
    /// Whether idempotency keys hold on every node.
    pub shared_idempotency: bool,
}

/// An append that stopped, and what it stored before.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct AppendError {
    /// The prefix that is stored.
    pub stored: Vec<Appended>,
    /// Why the rest is not.
    #[source]
    pub error: BrokerError,
}

/// How long anybody waits for an answer of a broker.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The answer of a broker; [`BrokerError::Lost`] where it does not come in [`ANSWER_MAX`].
pub(crate) async fn answer<T>(asked: impl Future<Output = Result<T, BrokerError>>) -> Result<T, BrokerError> {
    timeout(ANSWER_MAX, asked).await.unwrap_or_else(|_late| Err(BrokerError::late()))
}

/// As [`answer`], for an append.
pub(crate) async fn answer_append(
    asked: impl Future<Output = Result<Vec<Appended>, AppendError>>,
) -> Result<Vec<Appended>, AppendError> {
    let late = || AppendError { stored: Vec::new(), error: BrokerError::late() };
    timeout(ANSWER_MAX, asked).await.unwrap_or_else(|_late| Err(late()))
}

impl From<Closed> for BrokerError {
    fn from(Closed(end): Closed) -> Self {
        BrokerError::Closed(end)
    }
}

impl BrokerError {
    fn late() -> Self {
        BrokerError::Lost(format!("nothing came within {} s", ANSWER_MAX.as_secs()))
    }
}

/// Why a broker did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    /// It cannot be reached, and nothing happened.
    #[error("the broker cannot be reached: {0}")]
    Unavailable(String),
    /// It was asked and did not answer, so what happened is unknown.
    #[error("the broker did not answer: {0}")]
    Lost(String),
    /// The log is closed, and nothing was stored. Here it ends.
    #[error("the channel is closed")]
    Closed(Position),
    /// Nobody created the channel, and a message does not.
    #[error("the channel does not exist")]
    Unknown,
    /// It has no room for more idempotency keys.
    #[error("the broker remembers as many idempotency keys as it may")]
    Full,
    /// What it stores cannot be read.
    #[error("the broker's data is damaged: {0}")]
    Corrupt(String),
}
