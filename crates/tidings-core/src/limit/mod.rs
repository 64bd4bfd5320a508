//! What one node, and one client on it, may take.

mod rates;
mod seats;

pub use rates::{Rate, Rates};
pub use seats::{Seat, Seats};

/// The bounds of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest message, in bytes.
    pub message_bytes: usize,
    /// Most channels that are followed at once. More of them are polled.
    pub feeds: usize,
    /// Most live reads of one user at once.
    pub user_connections: usize,
    /// How fast one user may publish.
    pub publish: Rate,
}

impl Default for Limits {
    /// The documented defaults.
    fn default() -> Self {
        Limits {
            message_bytes: 1 << 20,
            feeds: 100_000,
            user_connections: 1_000,
            publish: Rate { each_second: 100, at_once: 1_000 },
        }
    }
}
