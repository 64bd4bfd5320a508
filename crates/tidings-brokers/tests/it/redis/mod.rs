//! The Redis broker, against real servers.

mod cluster;
mod conformance;
mod failover;
mod faults;
mod log;
mod nodes;
mod secure;
mod server;
