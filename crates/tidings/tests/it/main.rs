//! A node from outside: what any client of any transport may rely on.

mod batch;
mod docs;
mod frames;
mod http;
mod node;
mod publish;
mod raw;
mod reads;
mod socket;
mod transports;
