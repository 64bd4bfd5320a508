//! The Kafka broker on a real server, which each test starts for itself.

mod conformance;
mod faults;
mod losses;
mod refusals;
mod server;
mod shared;
