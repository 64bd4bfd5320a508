//! How many of one kind there are at once, for each key.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;

/// Places that are taken, by whom. It holds what is taken now and nothing else.
#[derive(Debug)]
pub struct Seats<K> {
    taken: Mutex<HashMap<K, usize>>,
}

/// One place that is taken, for as long as this lives.
#[derive(Debug)]
pub struct Seat<K: Hash + Eq> {
    seats: Arc<Seats<K>>,
    key: K,
}

impl<K: Hash + Eq> Default for Seats<K> {
    fn default() -> Self {
        Seats { taken: Mutex::default() }
    }
}

impl<K: Hash + Eq + Clone> Seats<K> {
    /// Takes a place for `key`, unless `most` are taken for it already.
    pub fn take(self: &Arc<Self>, key: K, most: usize) -> Option<Seat<K>> {
        let mut taken = self.taken.lock();
        let count = taken.get(&key).copied().unwrap_or(0);
        if count >= most {
            return None;
        }
        taken.insert(key.clone(), count + 1);
        Some(Seat { seats: self.clone(), key })
    }
}

impl<K: Hash + Eq> Seat<K> {
    /// For whom it is taken.
    pub fn key(&self) -> &K {
        &self.key
    }
}

impl<K: Hash + Eq> Drop for Seat<K> {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock();
        match taken.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(taken.remove(&self.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_places_and_gives_them_back() {
        let seats = Arc::new(Seats::default());
        let first = seats.take("a", 2).unwrap();
        let second = seats.take("a", 2);
        assert!(second.is_some() && seats.take("a", 2).is_none() && seats.take("b", 1).is_some());
        drop(first);
        assert!(seats.take("a", 2).is_some());
        drop(second);
        assert!(seats.taken.lock().is_empty(), "nothing is held for who has left");
    }
}
