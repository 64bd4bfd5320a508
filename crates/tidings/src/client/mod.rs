//! The wire from outside.
