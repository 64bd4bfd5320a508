//! A histogram of durations: fixed size, about 3 % wide buckets, a few nanoseconds a record.

use std::time::Duration;

/// Buckets for each power of two.
const STEPS: u64 = 32;
/// Enough for every `u64` of nanoseconds.
const BUCKETS: usize = 60 * STEPS as usize;

/// Counts of durations, from which quantiles are read.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    /// An empty histogram.
    pub fn new() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }

    /// Counts one duration.
    pub fn record(&mut self, ns: u64) {
        self.counts[bucket(ns)] += 1;
        self.total += 1;
    }

    /// Counts all that another has counted.
    pub fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.total += other.total;
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
    }

    /// The duration that the share `q` of all records does not exceed, to the width of a bucket.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let rank = (self.total as f64 * q).ceil().max(1.0) as u64;
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(Duration::from_nanos(middle(found as u64)))
    }
}

fn bucket(ns: u64) -> usize {
    if ns < 2 * STEPS {
        return ns as usize;
    }
    let shift = u64::from(58 - ns.leading_zeros());
    (shift * STEPS + (ns >> shift)) as usize
}

fn middle(bucket: u64) -> u64 {
    if bucket < 2 * STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    let low = (bucket - shift * STEPS) << shift;
    low + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_has_a_bucket_close_to_it() {
        for ns in (0..63).map(|power| 1_u64 << power).flat_map(|n| [n - 1, n, n + n / 3]) {
            let near = middle(bucket(ns) as u64);
            assert!(near.abs_diff(ns) <= ns / 32 + 1, "{ns} became {near}");
        }
        assert!(bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn quantiles_are_ranks() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), None);
        (1..=50).for_each(|ns| histogram.record(ns));
        assert_eq!(histogram.quantile(0.5), Some(Duration::from_nanos(25)));
        assert_eq!(histogram.quantile(1.0), Some(Duration::from_nanos(50)));
    }
}
