//! When to come back: exponential, with full jitter, and never before the server says.

use std::time::Duration;

use super::Timing;

/// The longest that a server's word is obeyed: 5 minutes.
const HINT_MAX: Duration = Duration::from_mins(5);

/// The delays between tries.
///
/// The n-th is uniform between zero and `min × 2ⁿ` (at most `max`), so that a thousand
/// clients that were cut at once come back spread out. A server's hint (`Retry-After`, `retry:`,
/// `retry_ms`) is a lower bound: the server has spread it already.
#[derive(Debug, Clone)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    uptime_min: Duration,
    tries: u32,
}

impl Backoff {
    /// A backoff that has not failed yet.
    pub fn new(timing: &Timing) -> Self {
        let Timing { backoff_min: min, backoff_max: max, uptime_min, .. } = *timing;
        Self { min, max, uptime_min, tries: 0 }
    }

    /// Tells how long a connection lasted. One that lasted long enough starts the delays anew;
    /// a shorter one does not, or a server that accepts and cuts would be hammered.
    pub fn lasted(&mut self, uptime: Duration) {
        if uptime >= self.uptime_min {
            self.tries = 0;
        }
    }

    /// The delay before the next try; `hint` is what the server said, obeyed up to 5 minutes.
    pub fn delay(&mut self, hint: Option<Duration>) -> Duration {
        let ceiling = self.ceiling();
        self.tries = self.tries.saturating_add(1);
        // Without randomness, half the ceiling is a fair guess, and better than a failure.
        let share = getrandom::u32().map_or(0.5, |n| f64::from(n) / f64::from(u32::MAX));
        ceiling.mul_f64(share).max(hint.unwrap_or_default().min(HINT_MAX))
    }

    fn ceiling(&self) -> Duration {
        self.min.saturating_mul(2u32.saturating_pow(self.tries)).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_its_maximum_and_starts_anew_after_an_uptime() {
        let mut backoff = Backoff::new(&Timing::default());
        for exponent in 0..40u32 {
            let ceiling =
                Duration::from_millis(500 * 2u64.pow(exponent.min(20))).min(Duration::from_secs(30));
            assert!(backoff.delay(None) <= ceiling, "try {exponent}");
        }
        backoff.lasted(Duration::from_secs(9));
        assert_eq!(backoff.ceiling(), Duration::from_secs(30));
        backoff.lasted(Duration::from_secs(10));
        assert_eq!(backoff.ceiling(), Duration::from_millis(500));
    }

    #[test]
    fn obeys_a_hint_within_reason() {
        let mut backoff = Backoff::new(&Timing::default());
        assert!(backoff.delay(Some(Duration::from_secs(7))) >= Duration::from_secs(7));
        assert_eq!(backoff.delay(Some(Duration::from_hours(1))), HINT_MAX);
    }
}
