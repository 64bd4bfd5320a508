//! fjall: a log-structured merge tree.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::{Result, Store, key};

pub struct Fjall {
    database: Database,
    messages: Keyspace,
}

impl Store for Fjall {
    const NAME: &'static str = "fjall";

    fn open(folder: &Path) -> Result<Self> {
        let database = Database::builder(folder).open()?;
        let messages = database.keyspace("messages", KeyspaceCreateOptions::default)?;
        Ok(Fjall { database, messages })
    }

    fn commit(&mut self, rows: &[(u64, u64, Vec<u8>)], sync: bool) -> Result<()> {
        let mut batch = self.database.batch().durability(sync.then_some(PersistMode::SyncData));
        for (channel, offset, value) in rows {
            batch.insert(&self.messages, key(*channel, *offset), value.as_slice());
        }
        Ok(batch.commit()?)
    }

    fn read(&mut self, channel: u64, after: u64, count: usize) -> Result<(usize, usize)> {
        let range = key(channel, after + 1)..=key(channel, u64::MAX);
        let (mut found, mut bytes) = (0, 0);
        for one in self.messages.range(range).take(count) {
            found += 1;
            bytes += one.value()?.len();
        }
        Ok((found, bytes))
    }

    fn remove(&mut self, channel: u64, until: u64) -> Result<()> {
        let mut batch = self.database.batch();
        for one in self.messages.range(key(channel, 0)..=key(channel, until)) {
            batch.remove(&self.messages, one.key()?);
        }
        Ok(batch.commit()?)
    }
}
