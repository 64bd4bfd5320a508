//! A node from outside: what any client of any transport may rely on.

mod batch;
mod node;
mod publish;
mod raw;
mod socket;
mod transports;
