//! A node from outside: what any client of any transport may rely on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod auth;
mod batch;
mod cluster;
mod connect;
mod consumers;
mod disk;
mod docs;
mod durable;
mod expiry;
mod far;
mod frames;
mod hostile;
mod http;
mod jwks;
mod lab;
mod life;
mod limits;
mod node;
mod operate;
mod ops;
mod presence;
mod process;
mod publish;
mod raw;
mod reads;
mod reload;
mod revocation;
mod secrets;
mod slow;
mod socket;
mod stop;
mod time;
mod tls;
mod transports;
mod verify;
