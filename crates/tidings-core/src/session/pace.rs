//! How fast a reader wants its messages, and the gate that lets them through.

use std::time::Duration;

use tokio::time::Instant;

/// The wish of a reader: at most so many messages a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    interval: Duration,
    conflate: bool,
}

/// Lets one message through at a time. Nothing is saved up: after a silence the first goes at once, and the
/// next an interval later.
#[derive(Debug)]
pub(super) struct Gate {
    interval: Duration,
    opens: Instant,
}

/// Timers have steps of a millisecond: so late may a message be that the next is not late because of it. Else a
/// thousand a second would come to much fewer.
const LATE: Duration = Duration::from_millis(2);

impl Pace {
    /// The most messages a second that can be asked for.
    pub const PER_SECOND_MAX: f64 = 1_000.0;
    /// The longest time between two messages, whatever is asked for: a day.
    pub const INTERVAL_MAX: Duration = Duration::from_secs(86_400);

    /// At most `per_second` messages a second: over 0, at most [`Pace::PER_SECOND_MAX`], else `None`. Where it
    /// conflates, a message that waits is replaced by a newer one with its key.
    pub fn new(per_second: f64, conflate: bool) -> Option<Self> {
        if !(per_second > 0.0 && per_second <= Self::PER_SECOND_MAX) {
            return None;
        }
        let interval = Duration::try_from_secs_f64(1.0 / per_second).unwrap_or(Self::INTERVAL_MAX);
        Some(Pace { interval: interval.min(Self::INTERVAL_MAX), conflate })
    }

    /// The time from one message to the next.
    pub fn interval(self) -> Duration {
        self.interval
    }

    /// Whether the newest message of a key takes the place of those that wait.
    pub fn conflates(self) -> bool {
        self.conflate
    }
}

impl Gate {
    /// A gate that is open.
    pub(super) fn new(pace: Pace) -> Self {
        Gate { interval: pace.interval, opens: Instant::now() }
    }

    /// When it lets the next one through.
    pub(super) fn opens(&self) -> Instant {
        self.opens
    }

    /// Notes that one went through.
    pub(super) fn pass(&mut self, now: Instant) {
        let from = if now.saturating_duration_since(self.opens) <= LATE { self.opens } else { now };
        self.opens = from + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_over_nothing_and_at_most_a_thousand() {
        for bad in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1_000.1] {
            assert_eq!(Pace::new(bad, false), None, "{bad}");
        }
        let interval = |rate| Pace::new(rate, false).unwrap().interval();
        assert_eq!(interval(1_000.0), Duration::from_millis(1));
        assert_eq!(interval(0.1), Duration::from_secs(10));
        // Ever so slow, it is a time that can be waited for.
        assert_eq!(interval(1e-9), Pace::INTERVAL_MAX);
        assert_eq!(interval(f64::MIN_POSITIVE), Pace::INTERVAL_MAX);
        assert_eq!(interval(5e-324), Pace::INTERVAL_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn late_timers_cost_nothing_and_silence_saves_nothing_up() {
        let mut gate = Gate::new(Pace::new(100.0, false).unwrap());
        let began = gate.opens();
        let ms = |ms| began + Duration::from_millis(ms);
        for (now, opens) in [(0, 10), (11, 20), (22, 30), (33, 43), (90, 100)] {
            gate.pass(ms(now));
            assert_eq!(gate.opens(), ms(opens), "passed at {now} ms");
        }
    }
}
