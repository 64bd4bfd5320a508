//! The node as a whole.

mod docs;
