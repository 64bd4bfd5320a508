//! The tests of the core through its public face, in one binary.

mod conformance;
