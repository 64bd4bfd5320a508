//! What a log keeps, and what becomes of a reader that is below it.

/// What a channel keeps: whichever limit is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retain {
    /// Messages kept. At least 1.
    pub messages: u64,
    /// Milliseconds for which a message is kept.
    pub age_ms: u64,
}

impl Retain {
    /// What an at-least-once namespace keeps unless it says otherwise: 1,000 messages, 24 hours.
    pub const LOG: Retain = Retain { messages: 1_000, age_ms: 24 * 3_600_000 };
    /// The tail of an at-most-once namespace unless it says otherwise: 100 messages, 60 seconds.
    pub const TAIL: Retain = Retain { messages: 100, age_ms: 60_000 };
}

/// Where a reader goes on whose cursor lies below what is kept, or in another epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below {
    /// At the oldest message kept (at-least-once; the gap is `expired`).
    Oldest,
    /// At the end (at-most-once; the gap is `lagged`).
    Newest,
}

/// The rules by which a broker keeps one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How much is kept.
    pub retain: Retain,
    /// Whether a message replaces the older ones of its key.
    pub compact: bool,
    /// Milliseconds for which an idempotency key is remembered, from storing.
    pub dedupe_ms: u64,
    /// Where a reader goes on that has fallen below the log.
    pub below: Below,
    /// Whether the first message creates the channel. If not, [`crate::broker::Broker::create`] has to.
    pub implicit: bool,
    /// Whether an acknowledgement waits for the broker's full durability.
    pub durable: bool,
}
