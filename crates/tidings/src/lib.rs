//! The `tidings` binary as a library, so that its tests can start a node.

pub mod cli;
pub mod client;
pub mod config;
pub mod node;
