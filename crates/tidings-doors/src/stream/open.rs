//! A stream that counts as open for as long as it lives.

use prometheus_client::metrics::gauge::Gauge;

use crate::Doors;

/// One open stream in the metrics.
pub struct Open(Gauge);

impl Open {
    /// Counts a stream of a door.
    pub fn count(doors: &Doors, door: &'static str) -> Self {
        let gauge = doors.hub.metrics().connections(door);
        gauge.inc();
        Open(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
