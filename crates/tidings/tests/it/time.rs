//! Time that passes only when a test says so.

use std::sync::mpsc;
use std::time::Duration;

use tidings_core::Clock;

/// The stopped time of one test, and the clock of its nodes.
pub struct Time {
    pub clock: Clock,
    held: mpsc::Sender<()>,
}

/// Real time after which a test that waits for ever gets its time back, and so fails.
const HELD_MAX: Duration = Duration::from_secs(60);

impl Time {
    /// Stops time: no timer of this test fires by itself from now on.
    pub fn stop() -> Self {
        tokio::time::pause();
        let (held, release) = mpsc::channel::<()>();
        // tokio lets paused time run ahead where nothing is to do, unless a blocking task is under way.
        tokio::task::spawn_blocking(move || release.recv_timeout(HELD_MAX));
        Time { clock: Clock::simulated(Clock::system().now_ms()), held }
    }

    /// Lets time pass, at once.
    pub async fn pass(&self, ms: u64) {
        tokio::time::advance(Duration::from_millis(ms)).await;
    }

    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }
}

impl Drop for Time {
    fn drop(&mut self) {
        let ran = self.held.send(()).is_err();
        assert!(!ran || std::thread::panicking(), "something waited for a timer that the test did not pass");
    }
}
