//! The brokers against the conformance suite of the core, and what each has besides.

// Tests have no caller to hand an error to.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod disk;
mod draft;
#[cfg(feature = "kafka")]
mod kafka;
mod nats;
mod nodes;
mod redis;
mod words;
