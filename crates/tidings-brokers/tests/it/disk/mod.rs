//! The disk broker.

mod conformance;
