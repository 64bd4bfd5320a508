//! Each way to read (contract B, C, F), byte by byte.

mod long_poll;
mod pace;
mod poll;
mod sse;
mod websocket;
