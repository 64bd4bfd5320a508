//! The write-ahead log, and the thread that moves it into the store's file beside the one that writes.
//!
//! Who writes appends to the log alone. Once the log is long, this thread copies it into the file.
//! What was appended meanwhile is little, and the one who writes copies that itself: only when all
//! is copied does the log begin anew. So it stays short, unless a reader holds it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::hooks::Wal as Hook;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, MAIN_DB};
use tidings_core::broker::BrokerError;

use super::shared::Shared;
use super::store::{self, failed};

/// What is known of the log.
#[derive(Debug, Clone, Default)]
pub(super) struct Wal(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Pages in it after the last transaction.
    pages: AtomicU64,
    /// Whether it was copied, but for what came meanwhile.
    copied: AtomicBool,
}

/// The way to the thread that copies, for the one that writes.
pub(super) struct Copier {
    wal: Wal,
    asks: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// The length at which something is to be done about it.
    next: u64,
    before: u64,
}

/// From this length on it is copied: 8 MiB.
const COPY_PAGES: u64 = 2_000;
/// Looks again, where that did not make it begin anew, after so many more.
const STEP_PAGES: u64 = 500;
/// From this length on who writes waits for those who read: 64 MiB.
const WAIT_PAGES: u64 = 16_000;
/// No transaction begins while it is longer: 256 MiB.
pub(super) const MOST_PAGES: u64 = 64_000;
/// How long who writes waits for those who read.
const WAIT: Duration = Duration::from_millis(50);
/// Rounds of copying; each leaves what was written during it.
const ROUNDS: usize = 4;
/// So few pages are copied in no time.
const FEW_PAGES: i64 = 64;

impl Wal {
    /// Counts what the connection that writes appends to the log, which it then copies no more by itself.
    pub(super) fn watch(&self, store: &mut Connection) -> Result<(), BrokerError> {
        let known = self.0.clone();
        let count = move |_: &mut Hook, pages: i32| {
            known.pages.store(u64::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        };
        store.wal_hook(Some(count)).map_err(failed)
    }

    fn pages(&self) -> u64 {
        self.0.pages.load(Ordering::Relaxed)
    }
}

impl Copier {
    pub(super) fn start(shared: Arc<Shared>, path: &Path) -> Result<Self, BrokerError> {
        let wal = shared.wal.clone();
        let (asks, asked) = sync_channel(1);
        let store = store::open_to_copy(path)?;
        let run = move || copy_when_asked(&store, &shared, &asked);
        let thread = std::thread::Builder::new().name("disk-copier".into()).spawn(run);
        let thread = thread.map_err(|error| BrokerError::Unavailable(error.to_string()))?;
        Ok(Copier { wal, asks: Some(asks), thread: Some(thread), next: COPY_PAGES, before: 0 })
    }

    /// Asks for a copy, though the log may be short.
    pub(super) fn ask(&self) {
        // One that is asked already need not be asked again.
        let _ = self.asks.as_ref().map(|asks| asks.try_send(()));
    }

    /// Whether a transaction may begin; if the log is too long, waits a moment for those who read it.
    pub(super) fn has_room(&mut self, store: &Connection) -> Result<(), BrokerError> {
        if self.wal.pages() < MOST_PAGES || finish(store, CheckpointMode::RESTART)? {
            return Ok(());
        }
        Err(BrokerError::Unavailable(
            "something has been reading the store for long, and holds its log, which is as long as it may be; end \
             the program that has the store open beside this node, or look what keeps the disk from answering"
                .into(),
        ))
    }

    /// After a transaction: has the log copied, if it is long.
    pub(super) fn look(&mut self, store: &Connection) -> Result<(), BrokerError> {
        let pages = self.wal.pages();
        if pages < self.before {
            // It has begun anew.
            self.next = COPY_PAGES;
        }
        self.before = pages;
        if self.wal.0.copied.swap(false, Ordering::Relaxed) && pages >= COPY_PAGES {
            finish(store, CheckpointMode::PASSIVE)?;
            self.next = pages + STEP_PAGES;
        } else if pages >= WAIT_PAGES && pages >= self.next {
            finish(store, CheckpointMode::RESTART)?;
            self.next = pages + STEP_PAGES;
        } else if pages >= self.next {
            self.ask();
            self.next = pages + STEP_PAGES;
        }
        Ok(())
    }

    /// Copies what there is, so that the file is whole by itself.
    pub(super) fn copy_all(&self, store: &Connection) -> Result<(), BrokerError> {
        finish(store, CheckpointMode::TRUNCATE).map(drop)
    }

    /// Ends the thread, after what it is at.
    pub(super) fn stop(&mut self) {
        self.asks = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Copies what is in the log and not in the file. Gives whether that is all, and nobody reads it.
fn finish(store: &Connection, mode: CheckpointMode) -> Result<bool, BrokerError> {
    store.busy_timeout(WAIT).map_err(failed)?;
    let done = store.wal_checkpoint_v2(Some(MAIN_DB), mode);
    store.busy_timeout(store::BUSY).map_err(failed)?;
    match done {
        Ok((pages, copied)) => Ok(pages == copied),
        Err(error) if is_busy(&error) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
    matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked))
}

fn copy_when_asked(store: &Connection, shared: &Shared, asked: &Receiver<()>) {
    while asked.recv().is_ok() {
        let copied = copy(store);
        if copied.is_ok() {
            shared.wal.0.copied.store(true, Ordering::Relaxed);
        }
        shared.health.copied(copied.as_ref().copied());
    }
}

fn copy(store: &Connection) -> Result<(), BrokerError> {
    for _ in 0..ROUNDS {
        match store.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::PASSIVE) {
            Ok((pages, copied)) if i64::from(pages - copied) > FEW_PAGES => {}
            Err(error) if !is_busy(&error) => return Err(failed(error)),
            _ => break,
        }
    }
    Ok(())
}
