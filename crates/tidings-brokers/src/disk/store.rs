//! The tables, how a connection is opened, and what its errors mean.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use tidings_core::broker::BrokerError;

/// Rows are keyed by channel and offset, so that a log is a range. `channels` has one row for
/// each channel that was ever written to: its name and epoch, what it no longer has. A channel that is deleted
/// gets another number; what stands under the old one goes in pieces.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS channels (
        id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, epoch INTEGER NOT NULL,
        last INTEGER NOT NULL, lost INTEGER NOT NULL, dropped INTEGER NOT NULL, removed INTEGER NOT NULL,
        trimmed INTEGER NOT NULL, keep INTEGER NOT NULL, age_ms INTEGER NOT NULL, unsynced INTEGER NOT NULL,
        closed INTEGER NOT NULL, named INTEGER NOT NULL, written_ms INTEGER NOT NULL,
        terms_keep INTEGER, terms_age_ms INTEGER, ttl_ms INTEGER);
    CREATE TABLE IF NOT EXISTS deleted (id INTEGER PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS messages (
        channel INTEGER NOT NULL, offset INTEGER NOT NULL, time_ms INTEGER NOT NULL, key TEXT, value BLOB NOT NULL,
        PRIMARY KEY (channel, offset)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS newest (
        channel INTEGER NOT NULL, key TEXT NOT NULL, offset INTEGER NOT NULL,
        PRIMARY KEY (channel, key)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS once (
        channel INTEGER NOT NULL, sent INTEGER NOT NULL, key TEXT NOT NULL,
        last INTEGER NOT NULL, count INTEGER NOT NULL, until_ms INTEGER NOT NULL,
        PRIMARY KEY (channel, sent, key)) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS once_until ON once (until_ms);
    PRAGMA user_version = 1;";

/// The version of [`TABLES`]; 0 is that of a new file.
const VERSION: i64 = 1;
/// No connection of ours holds the store for longer.
pub(super) const BUSY: Duration = Duration::from_secs(5);
const STATEMENTS: usize = 64;

/// Opens the connection that writes, and makes the tables.
pub(super) fn open_to_write(path: &Path) -> Result<Connection, BrokerError> {
    let store = Connection::open(path).map_err(failed)?;
    store.busy_timeout(BUSY).map_err(failed)?;
    store.set_prepared_statement_cache_capacity(STATEMENTS);
    // Auto-vacuum is set before the first table or never. A log that had to grow is cut to 64 MiB.
    store
        .execute_batch(
            "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864;
             PRAGMA temp_store = MEMORY;",
        )
        .map_err(failed)?;
    let version: i64 = store.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    match version {
        0 => store.execute_batch(TABLES).map_err(failed)?,
        VERSION => {}
        other => {
            return Err(BrokerError::Corrupt(format!(
                "{} has format {other}, and this version of Tidings knows format {VERSION}: use the version that \
                 wrote it, or another broker.path",
                path.display()
            )));
        }
    }
    Ok(store)
}

/// Opens the connection that copies the log into the file.
pub(super) fn open_to_copy(path: &Path) -> Result<Connection, BrokerError> {
    let store = Connection::open(path).map_err(failed)?;
    // It is never in a hurry.
    store.busy_timeout(Duration::ZERO).map_err(failed)?;
    store.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;").map_err(failed)?;
    Ok(store)
}

/// Opens a connection that only reads.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, BrokerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let store = Connection::open_with_flags(path, flags).map_err(failed)?;
    store.busy_timeout(BUSY).map_err(failed)?;
    store.set_prepared_statement_cache_capacity(STATEMENTS);
    store.execute_batch("PRAGMA cache_size = -8192;").map_err(failed)?;
    Ok(store)
}

/// What an error of the store means to who asked.
pub(super) fn failed(error: rusqlite::Error) -> BrokerError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => BrokerError::Unavailable(
            "the disk is full; free some space, and publishing goes on by itself".into(),
        ),
        Some(ErrorCode::ReadOnly) => BrokerError::Unavailable(
            "the disk is read-only; mount it writable, and publishing goes on by itself".into(),
        ),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => BrokerError::Unavailable(format!(
            "the store cannot be opened: {error}; let the node's user read and write the folder"
        )),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => BrokerError::Corrupt(format!(
            "{error}; check the disk, and put a copy of the folder in its place, or begin with an empty one"
        )),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            BrokerError::Unavailable(format!("another process holds the store: {error}"))
        }
        _ => BrokerError::Lost(format!("the disk answered: {error}")),
    }
}
