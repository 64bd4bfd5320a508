//! A connection that a door owns: its socket, what has begun to go out on it, and when to look again.

mod acts;
mod deadline;
mod line;
mod meter;
mod open;
mod pipe;
mod pump;
mod run;
mod scratch;
mod socket;

pub use acts::two_acts;
pub use deadline::Deadline;
pub use line::{Line, Unit};
pub use meter::Meter;
pub use open::{Open, address};
pub use pipe::{Pipe, pipe};
pub use pump::{Pump, Step};
pub use run::Run;
pub use scratch::Scratch;
pub use socket::Socket;

/// A number from 0 to 1 that nobody can guess, to spread clients out.
pub fn spread() -> f64 {
    let mut raw = [0; 4];
    // Without a source of randomness the middle is as good as any place.
    match getrandom::fill(&mut raw) {
        Ok(()) => f64::from(u32::from_le_bytes(raw)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}

/// Milliseconds after which a client is to come back, so that not all come at once.
pub fn come_back_ms() -> u64 {
    1_000 + (spread() * 4_000.0) as u64
}
