//! A log: messages, positions, cursors, gaps, retention. Plain data and rules.

mod channel;

pub use channel::{Channel, ChannelError};
