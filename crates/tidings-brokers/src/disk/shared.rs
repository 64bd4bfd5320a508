//! What the writer and the readers of one store share.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rusqlite::Connection;
use tidings_core::Clock;
use tidings_core::broker::BrokerError;
use tokio::sync::Semaphore;

use super::damage::Damage;
use super::files::Folder;
use super::life::Life;
use super::measures::Measures;
use super::readers::{READERS_MAX, Readers};
use super::slots::Slots;
use super::store;
use super::wal::Wal;

/// One open store.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) slots: Slots,
    pub(super) health: Health,
    pub(super) life: Life,
    pub(super) folder: Folder,
    pub(super) wal: Wal,
    pub(super) damage: Damage,
    pub(super) measures: Measures,
    readers: Readers,
    reading: Semaphore,
}

/// A connection that reads, and what it needs to know.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) store: &'a Connection,
    pub(super) shared: &'a Shared,
}

/// Whether the store takes what is written.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Why the last write did not succeed.
    broken: Mutex<Option<BrokerError>>,
    /// Why the log could not be copied into the store's file. What it holds is safe, and it has a bound.
    uncopied: Mutex<Option<BrokerError>>,
    /// Since when the disk has been asked for something; 0 where it is not.
    asked_ms: AtomicU64,
}

/// A disk that takes longer for a write does not answer.
const ANSWER_MS_MAX: u64 = 2_000;

impl Shared {
    /// Opens a folder, and the connection that writes.
    pub(super) fn open(path: &Path) -> Result<(Self, Connection), BrokerError> {
        let folder = Folder::lock(path)?;
        let mut writer = store::open_to_write(&folder.store())?;
        let wal = Wal::default();
        wal.watch(&mut writer)?;
        let life = Life::begin(&writer, &folder)?;
        let shared = Shared {
            slots: Slots::default(),
            health: Health::default(),
            life,
            readers: Readers::new(folder.store()),
            folder,
            wal,
            damage: Damage::default(),
            measures: Measures::new(),
            reading: Semaphore::new(READERS_MAX),
        };
        Ok((shared, writer))
    }

    /// Runs what reads the store where it may block; not more than a few at once.
    pub(super) async fn reading<T: Send + 'static>(
        self: Arc<Self>,
        work: impl FnOnce(At<'_>) -> Result<T, BrokerError> + Send + 'static,
    ) -> Result<T, BrokerError> {
        let gone = |_| BrokerError::Unavailable("the broker has stopped".into());
        let shared = self.clone();
        let _permit = self.reading.acquire().await.map_err(gone)?;
        let done = tokio::task::spawn_blocking(move || {
            shared.readers.with(|store| work(At { store, shared: &shared }))
        });
        done.await.unwrap_or_else(|_panic| Err(BrokerError::Lost("a read of the store ended".into())))
    }
}

impl Health {
    /// The writer begins to wait for the disk.
    pub(super) fn asks(&self, clock: &Clock) {
        self.asked_ms.store(clock.now_ms(), Ordering::Relaxed);
    }

    /// The disk has answered.
    pub(super) fn answered(&self, result: Result<(), &BrokerError>) {
        self.asked_ms.store(0, Ordering::Relaxed);
        let mut broken = self.broken.lock();
        match (result, broken.is_some()) {
            (Err(error), false) => {
                tracing::error!(%error, "the disk broker stores nothing until this is mended")
            }
            (Ok(()), true) => tracing::info!("the disk broker stores again"),
            _ => {}
        }
        *broken = result.err().cloned();
    }

    /// The log was copied into the store's file, or not.
    pub(super) fn copied(&self, result: Result<(), &BrokerError>) {
        let mut uncopied = self.uncopied.lock();
        match (result, uncopied.is_some()) {
            (Err(error), false) => {
                tracing::error!(%error, "the disk broker cannot tidy its log; it stores what it can")
            }
            (Ok(()), true) => tracing::info!("the disk broker tidies its log again"),
            _ => {}
        }
        *uncopied = result.err().cloned();
    }

    /// Whether the log could not be copied the last time.
    pub(super) fn is_uncopied(&self) -> bool {
        self.uncopied.lock().is_some()
    }

    /// Whether the last write did not succeed.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.lock().is_some()
    }

    /// No thread writes any more.
    pub(super) fn stopped(&self) {
        *self.broken.lock() = Some(BrokerError::Unavailable("the broker has stopped".into()));
    }

    pub(super) fn check(&self, clock: &Clock) -> Result<(), BrokerError> {
        if let Some(error) = self.broken.lock().clone() {
            return Err(error);
        }
        if let Some(error) = self.uncopied.lock().clone() {
            return Err(error);
        }
        let asked_ms = self.asked_ms.load(Ordering::Relaxed);
        match clock.now_ms().saturating_sub(asked_ms) {
            waited_ms if asked_ms > 0 && waited_ms > ANSWER_MS_MAX => Err(BrokerError::Unavailable(format!(
                "the disk has not answered for {} s",
                waited_ms / 1_000
            ))),
            _ => Ok(()),
        }
    }
}
