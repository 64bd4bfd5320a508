//! How often something may be done, for each key.

use std::collections::HashMap;
use std::hash::Hash;

use parking_lot::Mutex;

/// How often: on average, and in one go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Times a second, on average.
    pub each_second: u32,
    /// Times at once, after as long a silence as it takes to save them up.
    pub at_once: u32,
}

/// Who has done how much lately: the generic cell rate algorithm (ITU-T I.371),
/// which keeps one number for each key.
///
/// It holds those who did something within the time that it takes to save up
/// all of [`Rate::at_once`].
#[derive(Debug)]
pub struct Rates<K> {
    /// When each will have paid for all that it did, in microseconds.
    paid_us: Mutex<Paid<K>>,
}

#[derive(Debug)]
struct Paid<K> {
    at: HashMap<K, u64>,
    /// How many there may be before those who have paid are looked for.
    sweep_at: usize,
}

const SWEEP_MIN: usize = 1_024;
const SECOND_US: u64 = 1_000_000;

impl<K> Default for Rates<K> {
    fn default() -> Self {
        Rates { paid_us: Mutex::new(Paid { at: HashMap::new(), sweep_at: SWEEP_MIN }) }
    }
}

impl<K: Hash + Eq> Rates<K> {
    /// Does it `times` times, if `key` may. Else gives the milliseconds after
    /// which it may; more than [`Rate::at_once`] it never may.
    pub fn take(&self, key: K, times: u32, rate: Rate, now_ms: u64) -> Result<(), u64> {
        let each_us = SECOND_US / u64::from(rate.each_second.max(1));
        let (now_us, cost_us) = (now_ms * 1_000, u64::from(times) * each_us);
        let saved_us = u64::from(rate.at_once) * each_us;
        let mut paid = self.paid_us.lock();
        if paid.at.len() >= paid.sweep_at {
            paid.at.retain(|_, at| *at > now_us);
            paid.sweep_at = (paid.at.len() * 2).max(SWEEP_MIN);
        }
        let begins_us = paid.at.get(&key).map_or(now_us, |at| (*at).max(now_us));
        let pays_us = begins_us + cost_us;
        let late_us = pays_us.saturating_sub(now_us + saved_us);
        if late_us > 0 {
            return Err(late_us.div_ceil(1_000));
        }
        paid.at.insert(key, pays_us);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { each_second: 10, at_once: 5 };

    #[test]
    fn what_is_saved_up_may_be_done_at_once_and_then_as_it_comes_in() {
        let rates = Rates::default();
        assert_eq!(rates.take("a", 5, RATE, 1_000), Ok(()));
        assert_eq!(rates.take("a", 1, RATE, 1_000), Err(100));
        assert_eq!(rates.take("b", 1, RATE, 1_000), Ok(()), "another key pays for itself");
        assert_eq!(rates.take("a", 1, RATE, 1_100), Ok(()));
        assert_eq!(rates.take("a", 2, RATE, 1_150), Err(150), "a refusal costs nothing");
        assert_eq!(rates.take("a", 2, RATE, 1_300), Ok(()));
        assert_eq!(rates.take("a", 5, RATE, 60_000), Ok(()), "no more is saved up than may be done at once");
        assert_eq!(rates.take("a", 1, RATE, 60_000), Err(100));
    }

    #[test]
    fn who_did_nothing_lately_is_forgotten() {
        let rates = Rates::default();
        for key in 0..3_000 {
            assert_eq!(rates.take(key, 1, RATE, key * 1_000), Ok(()));
        }
        assert!(rates.paid_us.lock().at.len() <= SWEEP_MIN);
    }
}
