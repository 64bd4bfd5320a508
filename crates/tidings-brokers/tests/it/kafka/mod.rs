//! The Kafka broker, against real servers.

mod cluster;
mod conformance;
mod faults;
mod losses;
mod refusals;
mod server;
mod shared;
