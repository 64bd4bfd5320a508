//! Cases that wait for something to be over, and must have looked at something else before that is over, too.
//!
//! On a slow machine, or against a slow server, they are late, and what they saw says nothing: such a case is run
//! again, with longer times. So a verdict is always one of the broker, never one of the machine.

use std::time::Duration;

use tokio::time::Instant;

/// What such a case goes by: an age, a window, half a time to live, in milliseconds. Together they leave
/// room in [`CASE_MAX`](super::CASE_MAX).
pub(super) const UNITS_MS: [u64; 3] = [1_000, 3_000, 9_000];

/// The case was too slow to see what it wanted to.
#[derive(Debug)]
pub(super) struct Late {
    by: Duration,
}

/// Something that is not over before a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lasting(Instant);

impl Lasting {
    /// What is written from now on, and lasts so long.
    pub(super) fn from_now(ms: u64) -> Self {
        Lasting(Instant::now() + Duration::from_millis(ms))
    }

    /// Whether it was there all the time until now: asked after a look, and before its verdict.
    pub(super) fn still(self) -> Result<(), Late> {
        let now = Instant::now();
        if now < self.0 { Ok(()) } else { Err(Late { by: now.duration_since(self.0) }) }
    }
}

impl Late {
    /// Says so; fails where that was the longest time.
    pub(super) fn again(&self, case: &str, unit_ms: u64) {
        let Late { by } = self;
        println!("conformance: {case}: late by {by:?} with {unit_ms} ms");
        assert!(UNITS_MS.last() != Some(&unit_ms), "{case}: too slow even with {unit_ms} ms, by {by:?}");
    }
}

/// A part of a unit.
pub(super) async fn wait(unit_ms: u64, percent: u64) {
    tokio::time::sleep(Duration::from_millis(unit_ms * percent / 100)).await;
}

/// A case that is run again with a longer unit, as long as it is late.
macro_rules! paced {
    ($(#[$doc:meta])* $name:ident: $once:ident) => {
        $(#[$doc])*
        pub(super) async fn $name(suite: &Suite) {
            for unit_ms in $crate::broker::conformance::pace::UNITS_MS {
                match $once(suite, unit_ms).await {
                    Ok(()) => return,
                    Err(late) => late.again(stringify!($name), unit_ms),
                }
            }
        }
    };
}
pub(super) use paced;
