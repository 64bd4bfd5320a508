//! A node from outside: what any client of any transport may rely on.

mod node;
mod raw;
mod socket;
mod transports;
