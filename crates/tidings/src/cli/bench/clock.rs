//! Real time, for the load generator alone: it measures, so it must not be paused by a test's clock.

use std::time::Instant;

/// The time now.
#[allow(clippy::disallowed_methods, reason = "a load generator measures real time")]
pub fn now() -> Instant {
    Instant::now()
}
