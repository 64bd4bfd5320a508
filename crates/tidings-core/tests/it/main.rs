//! The tests of the core through its public face, in one binary.

mod conformance;
mod feed;
mod interleave;
mod memory;
mod model;
mod node;
mod session;
mod tidy;
