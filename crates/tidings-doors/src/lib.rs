//! The ways to read and write a channel.

pub mod http;
pub mod stream;
pub mod wire;
