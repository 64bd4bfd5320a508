//! The connections that read: a few, used in turn.

use std::path::PathBuf;

use parking_lot::Mutex;
use rusqlite::Connection;
use tidings_core::broker::BrokerError;

use super::store;

/// Reads of the store at once.
pub(super) const READERS_MAX: usize = 8;

/// Connections that nobody uses at the moment.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Readers { path, idle: Mutex::new(Vec::with_capacity(READERS_MAX)) }
    }

    /// Runs work on a connection, which is closed if the work failed.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, BrokerError>,
    ) -> Result<T, BrokerError> {
        let idle = self.idle.lock().pop();
        let store = idle.map_or_else(|| store::open_to_read(&self.path), Ok)?;
        let done = work(&store)?;
        self.idle.lock().push(store);
        Ok(done)
    }
}
