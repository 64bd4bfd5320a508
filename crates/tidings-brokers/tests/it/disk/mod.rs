//! The disk broker.

mod conformance;
mod faults;
mod log;
mod sweep;
