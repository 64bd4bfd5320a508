//! The brokers against the conformance suite of the core, and what each has besides.

// A test that cannot go on ends there, and one that is left out says so.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on ends there")]

mod disk;
mod draft;
mod nats;
mod redis;
