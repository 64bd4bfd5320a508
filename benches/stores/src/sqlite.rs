//! SQLite, with a write-ahead log.

use std::path::Path;

use rusqlite::{Connection, params};

use crate::{Result, Store};

pub struct Sqlite(Connection);

impl Store for Sqlite {
    const NAME: &'static str = "sqlite";

    fn open(folder: &Path) -> Result<Self> {
        let connection = Connection::open(folder.join("store"))?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 4000;
             CREATE TABLE IF NOT EXISTS messages (channel INTEGER, offset INTEGER, value BLOB,
             PRIMARY KEY (channel, offset)) WITHOUT ROWID;",
        )?;
        Ok(Sqlite(connection))
    }

    fn commit(&mut self, rows: &[(u64, u64, Vec<u8>)], sync: bool) -> Result<()> {
        self.0.pragma_update(None, "synchronous", if sync { "FULL" } else { "OFF" })?;
        let write = self.0.transaction()?;
        {
            let mut insert = write.prepare_cached("INSERT INTO messages VALUES (?, ?, ?)")?;
            for (channel, offset, value) in rows {
                insert.execute(params![*channel as i64, *offset as i64, value])?;
            }
        }
        Ok(write.commit()?)
    }

    fn read(&mut self, channel: u64, after: u64, count: usize) -> Result<(usize, usize)> {
        let mut select = self.0.prepare_cached(
            "SELECT value FROM messages WHERE channel = ? AND offset > ? ORDER BY offset LIMIT ?",
        )?;
        let (mut found, mut bytes) = (0, 0);
        let mut rows = select.query(params![channel as i64, after as i64, count as i64])?;
        while let Some(row) = rows.next()? {
            found += 1;
            bytes += row.get_ref(0)?.as_blob()?.len();
        }
        Ok((found, bytes))
    }

    fn remove(&mut self, channel: u64, until: u64) -> Result<()> {
        let mut remove = self.0.prepare_cached("DELETE FROM messages WHERE channel = ? AND offset <= ?")?;
        remove.execute(params![channel as i64, until as i64])?;
        Ok(())
    }
}
