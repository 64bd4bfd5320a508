//! Which tokens are revoked, and until when.

use std::collections::HashMap;

use crate::session::Client;

use super::Whom;

/// What is revoked now, and what was not long ago.
#[derive(Debug)]
pub(super) struct Table {
    users: HashMap<Box<str>, Entry>,
    tokens: HashMap<Box<str>, Entry>,
    max: usize,
    /// How many there may be before what has ended is looked for.
    sweep_at: usize,
}

/// When something was revoked, and until when that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) at_ms: u64,
    pub(super) until_ms: u64,
}

/// The table holds as much as it may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

const SWEEP_MIN: usize = 1_024;

impl Table {
    /// An empty table for this many.
    pub(super) fn new(max: usize) -> Self {
        Table { users: HashMap::new(), tokens: HashMap::new(), max, sweep_at: SWEEP_MIN.min(max) }
    }

    /// Adds one, or makes one that is there hold longer. An earlier end does not replace a later one.
    pub(super) fn insert(&mut self, whom: &Whom, entry: Entry, now_ms: u64) -> Result<(), Full> {
        if self.len() >= self.sweep_at {
            self.forget(now_ms);
        }
        let full = self.len() >= self.max;
        let (entries, name) = match whom {
            Whom::User(name) => (&mut self.users, name),
            Whom::Token(name) => (&mut self.tokens, name),
        };
        match entries.get_mut(name.as_str()) {
            Some(known) => {
                known.at_ms = known.at_ms.max(entry.at_ms);
                known.until_ms = known.until_ms.max(entry.until_ms);
            }
            None if full => return Err(Full),
            None => drop(entries.insert(name.as_str().into(), entry)),
        }
        Ok(())
    }

    /// Whether a token is revoked now.
    pub(super) fn covers(&self, client: &Client, now_ms: u64) -> bool {
        let holds = |entry: &&Entry| entry.until_ms > now_ms;
        let user = client.user.as_deref().and_then(|user| self.users.get(user)).filter(holds);
        // Whether a token of the same second was made before or after cannot be known: it counts as before.
        user.is_some_and(|entry| client.issued_ms.is_none_or(|issued_ms| issued_ms <= entry.at_ms))
            || client.id.as_deref().and_then(|id| self.tokens.get(id)).filter(holds).is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.users.len() + self.tokens.len()
    }

    fn forget(&mut self, now_ms: u64) {
        self.users.retain(|_, entry| entry.until_ms > now_ms);
        self.tokens.retain(|_, entry| entry.until_ms > now_ms);
        self.sweep_at = (self.len() * 2).max(SWEEP_MIN).min(self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_a_bound_and_forgets_what_has_ended() {
        let mut table = Table::new(3_000);
        let user = |n: usize| Whom::User(format!("u{n}"));
        for n in 0..3_000 {
            let until_ms = if n % 2 == 0 { 100 } else { 200 };
            assert_eq!(table.insert(&user(n), Entry { at_ms: 1, until_ms }, 50), Ok(()));
        }
        assert_eq!(table.insert(&user(9_999), Entry { at_ms: 1, until_ms: 300 }, 99), Err(Full));
        // One that is there can be made to hold longer, and not shorter.
        assert_eq!(table.insert(&user(1), Entry { at_ms: 2, until_ms: 300 }, 99), Ok(()));
        assert_eq!(table.insert(&user(1), Entry { at_ms: 1, until_ms: 100 }, 99), Ok(()));
        assert_eq!(table.users["u1"], Entry { at_ms: 2, until_ms: 300 });
        assert_eq!(table.insert(&user(9_999), Entry { at_ms: 1, until_ms: 300 }, 100), Ok(()));
        assert_eq!(table.len(), 1_501);
    }
}
