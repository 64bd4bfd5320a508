//! The one place that reads the time.

use tokio::time::Instant;

/// A source of wall-clock time in milliseconds since the Unix epoch.
///
/// A simulated clock follows tokio's time, so that a test which pauses tokio
/// owns both. Cloning shares the clock.
#[derive(Debug, Clone)]
pub struct Clock(Option<Simulated>);

#[derive(Debug, Clone)]
struct Simulated {
    began: Instant,
    began_ms: u64,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Clock(None)
    }

    /// A clock that shows `now_ms` now, and moves with tokio's time.
    pub fn simulated(now_ms: u64) -> Self {
        Clock(Some(Simulated { began: Instant::now(), began_ms: now_ms }))
    }

    /// Milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> u64 {
        self.now_us() / 1_000
    }

    /// Microseconds since the Unix epoch.
    pub fn now_us(&self) -> u64 {
        match &self.0 {
            Some(simulated) => {
                let elapsed = simulated.began.elapsed().as_micros();
                let began_us = simulated.began_ms.saturating_mul(1_000);
                began_us.saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX))
            }
            None => system_us(),
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the file that owns the clock")]
fn system_us() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
}
