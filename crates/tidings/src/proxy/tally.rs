//! What crossed a path, counted where it crosses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counts of a path. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    up: AtomicU64,
    down: AtomicU64,
    opened: AtomicU64,
    closed: AtomicU64,
}

/// A connection that is counted as open until this is dropped.
#[derive(Debug)]
pub struct Open(Tally);

impl Tally {
    /// Counts bytes that came from the client.
    pub fn add_up(&self, bytes: usize) {
        self.0.up.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts bytes that went to the client.
    pub fn add_down(&self, bytes: usize) {
        self.0.down.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a connection that begins.
    pub fn open(&self) -> Open {
        self.0.opened.fetch_add(1, Ordering::Relaxed);
        Open(self.clone())
    }

    /// Bytes from clients: heads, bodies and frames, without what TCP adds.
    pub fn up(&self) -> u64 {
        self.0.up.load(Ordering::Relaxed)
    }

    /// Bytes to clients.
    pub fn down(&self) -> u64 {
        self.0.down.load(Ordering::Relaxed)
    }

    /// Connections that ever began.
    pub fn opened(&self) -> u64 {
        self.0.opened.load(Ordering::Relaxed)
    }

    /// Connections that are open.
    pub fn held(&self) -> u64 {
        self.opened().saturating_sub(self.0.closed.load(Ordering::Relaxed))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.closed.fetch_add(1, Ordering::Relaxed);
    }
}
