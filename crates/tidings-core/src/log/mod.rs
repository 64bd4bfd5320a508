//! A log: messages, positions, cursors, gaps, retention. Plain data and rules.
//!
//! Nothing here does I/O, waits, or reads a clock: the time is an argument.

mod bounds;
mod channel;
mod cursor;
mod gap;
mod idempotency;
mod message;
mod model;
mod retention;
mod terms;

pub use bounds::Bounds;
pub use channel::{Channel, ChannelError};
pub use cursor::{Cursor, CursorError, Position};
pub use gap::{Gap, Why};
pub use idempotency::in_stream;
pub use message::{Draft, Kind, Message, Once, Payload};
pub use model::{Appended, Closed, Found, Limit, Log, Page, Start};
pub use retention::{Below, Retain, Rules};
pub use terms::{Created, Terms};
