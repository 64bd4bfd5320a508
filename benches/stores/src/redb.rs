//! redb: a copy-on-write B-tree.

use std::path::Path;

use redb::{Database, Durability, ReadableDatabase, TableDefinition};

use crate::{Result, Store};

const MESSAGES: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("messages");

pub struct Redb(Database);

impl Store for Redb {
    const NAME: &'static str = "redb";

    fn open(folder: &Path) -> Result<Self> {
        Ok(Redb(Database::builder().set_cache_size(64 << 20).create(folder.join("store"))?))
    }

    fn commit(&mut self, rows: &[(u64, u64, Vec<u8>)], sync: bool) -> Result<()> {
        let mut write = self.0.begin_write()?;
        write.set_durability(if sync { Durability::Immediate } else { Durability::None })?;
        {
            let mut table = write.open_table(MESSAGES)?;
            for (channel, offset, value) in rows {
                table.insert((*channel, *offset), value.as_slice())?;
            }
        }
        Ok(write.commit()?)
    }

    fn read(&mut self, channel: u64, after: u64, count: usize) -> Result<(usize, usize)> {
        let table = self.0.begin_read()?.open_table(MESSAGES)?;
        let (mut found, mut bytes) = (0, 0);
        for one in table.range((channel, after + 1)..=(channel, u64::MAX))?.take(count) {
            found += 1;
            bytes += one?.1.value().len();
        }
        Ok((found, bytes))
    }

    fn remove(&mut self, channel: u64, until: u64) -> Result<()> {
        let write = self.0.begin_write()?;
        write.open_table(MESSAGES)?.retain_in((channel, 0)..=(channel, until), |_, _| false)?;
        Ok(write.commit()?)
    }
}
