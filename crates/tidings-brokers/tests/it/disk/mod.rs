//! The disk broker.

mod conformance;
mod damage;
mod faults;
mod log;
mod sweep;
mod wal;
