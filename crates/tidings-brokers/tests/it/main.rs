//! The brokers against the conformance suite of the core, and what each has besides.

mod disk;
