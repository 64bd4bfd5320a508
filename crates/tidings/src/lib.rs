//! The `tidings` binary as a library, so that its tests can start a node.

pub mod advise;
pub mod cli;
pub mod client;
pub mod config;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod node;
mod proxy;
