//! A channel is a log; this crate keeps it, and reads it one way.

pub mod error;
pub mod log;
pub mod policy;

pub use error::{Code, Error, Result, Retry, Stored};
pub use log::{Channel, ChannelError};
pub use policy::{Delivery, Namespace, Policy, Publish, Retain, Subscribe};
