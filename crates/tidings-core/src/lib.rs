//! A channel is a log; this crate keeps it, and reads it one way.

pub mod broker;
mod clock;
pub mod error;
pub mod feed;
pub mod log;
pub mod policy;

pub use clock::Clock;
pub use error::{Code, Error, Result, Retry, Stored};
pub use log::{Channel, ChannelError, Retain};
pub use policy::{Delivery, Namespace, Policy, Publish, Subscribe};
