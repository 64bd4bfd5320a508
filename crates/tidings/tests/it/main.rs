//! A node from outside: what any client of any transport may rely on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod batch;
mod docs;
mod frames;
mod hostile;
mod http;
mod node;
mod ops;
mod process;
mod publish;
mod raw;
mod reads;
mod slow;
mod socket;
mod transports;
