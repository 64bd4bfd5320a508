//! What a run is to do.

use std::time::Duration;

use super::fault::Fault;
use crate::cli::Failure;
use crate::client::{Timing, Transport};
use crate::proxy::Break;

/// Messages of one channel, at most: what is known of a run takes 12 bytes for each message, and 24 for each
/// message and reader of it.
pub const MESSAGES_MAX: u32 = 200_000;

/// How long a run may take after the last fault, on top of the time in which a reader gives up a connection.
const SETTLE: Duration = Duration::from_secs(30);

/// A run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// From which all faults and sizes follow.
    pub seed: u64,
    /// For how long there are faults.
    pub duration: Duration,
    /// Messages a second in each channel.
    pub rate: u32,
    /// Which faults.
    pub faults: Vec<Fault>,
    /// Over which transports it is read.
    pub transports: Vec<Transport>,
    /// What the paths of the readers do wrong.
    pub breaks: Option<Break>,
    /// Without a byte, after which a connection counts as dead.
    pub silence: Duration,
}

/// How a channel is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Over which transport.
    pub transport: Transport,
    /// Which channels, by number.
    pub channels: Vec<usize>,
    /// Whether by the channel's own URL.
    pub is_alone: bool,
}

impl Plan {
    /// Refuses what would take too much.
    ///
    /// # Errors
    ///
    /// [`Failure`] for more messages than a run may have, or nothing to do.
    pub fn check(&self) -> Result<(), Failure> {
        let seconds = (self.duration + self.settle_max()).as_secs();
        if u64::from(self.rate) * seconds > u64::from(MESSAGES_MAX) {
            let what = format!("a run of {seconds} s at {} messages a second is too large", self.rate);
            let advice =
                format!("make it at most {MESSAGES_MAX} messages a channel: lower --rate or --duration");
            return Err(Failure::new(what, advice));
        }
        Ok(())
    }

    /// How long the readers may take to catch up when the faults are over.
    pub fn settle_max(&self) -> Duration {
        SETTLE + self.silence
    }

    /// How long the readers may take to connect at first.
    pub fn start_max(&self) -> Duration {
        Duration::from_secs(15) + self.silence
    }

    /// How readers wait.
    pub fn timing(&self) -> Timing {
        Timing {
            connect: self.silence.min(Timing::default().connect),
            silence: self.silence,
            first_byte: self.silence,
            hold: (self.silence * 2).min(Timing::default().hold),
            answer: self.silence.min(Timing::default().answer),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(1),
            uptime_min: Duration::from_secs(1),
        }
    }

    /// The readers of so many channels: over each transport one of all, and one of each.
    pub fn views(&self, channels: usize) -> Vec<View> {
        let mut views = Vec::new();
        for transport in self.transports.iter().copied() {
            views.push(View { transport, channels: (0..channels).collect(), is_alone: false });
            for channel in 0..channels {
                views.push(View { transport, channels: vec![channel], is_alone: true });
            }
        }
        views
    }
}
