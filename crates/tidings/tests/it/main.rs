//! The node as a whole.

mod docs;
mod frames;
