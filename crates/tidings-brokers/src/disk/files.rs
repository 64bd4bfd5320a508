//! The folder of a store, which one process uses at a time.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidings_core::broker::BrokerError;

/// A folder that this process holds.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Locked for as long as it is open.
    _lock: File,
}

/// A node that ends may hold the folder for a moment.
const TRIES: u32 = 20;
const TRY_EVERY: Duration = Duration::from_millis(100);

impl Folder {
    /// Makes the folder if it is not there, and takes it for this process.
    pub(super) fn lock(path: &Path) -> Result<Self, BrokerError> {
        let failed = |what: &'static str| {
            let shown = path.display().to_string();
            move |error: io::Error| BrokerError::Unavailable(format!("{shown} {what}: {error}"))
        };
        make(path)
            .map_err(failed("cannot be made; choose another broker.path, or let the node write there"))?;
        let lock = File::options().create(true).truncate(false).write(true).open(path.join("lock"));
        let unwritable = "cannot be written to; mount it writable, or let the node's user write there";
        let lock = lock.map_err(failed(unwritable))?;
        for _ in 0..TRIES {
            match lock.try_lock() {
                Ok(()) => return Ok(Folder { path: path.to_owned(), _lock: lock }),
                Err(TryLockError::WouldBlock) => std::thread::sleep(TRY_EVERY),
                Err(TryLockError::Error(error)) => return Err(failed("cannot be locked")(error)),
            }
        }
        Err(BrokerError::Unavailable(format!(
            "{} is in use by another node; stop that one, or give this one a broker.path of its own",
            path.display()
        )))
    }

    /// The file of the store.
    pub(super) fn store(&self) -> PathBuf {
        self.path.join("store.sqlite")
    }

    /// The file that remembers how far the store got.
    pub(super) fn mark(&self) -> PathBuf {
        self.path.join("mark")
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// A folder whose own name is on disk, too.
fn make(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(path)?;
    let path = path.canonicalize()?;
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}
