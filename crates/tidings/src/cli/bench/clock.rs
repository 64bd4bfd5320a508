//! Real time, for the load generator alone: it measures, so it must not be paused by a test's clock.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of a clock that all processes of this machine share.
pub fn shared_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// The time now.
#[allow(clippy::disallowed_methods, reason = "a load generator measures real time")]
pub fn now() -> Instant {
    Instant::now()
}
