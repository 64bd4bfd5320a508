//! The tests of the core through its public face, in one binary.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod conformance;
mod feed;
mod interleave;
mod memory;
mod model;
mod node;
mod polled;
mod session;
mod slow;
mod tidy;
