//! What one client may do, and what it gets.

mod cluster;
mod forgery;
mod live;
mod pace;
mod page;
mod presence;
mod retry;
mod revocation;
mod rights;
mod settings;
mod token;
mod wait;
