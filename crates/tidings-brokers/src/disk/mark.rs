//! How far the store got, written down outside of it.
//!
//! A store that was damaged may come up without its newest transactions and look whole: the end
//! of a write-ahead log is where its checksums end. So the number of the last transaction that is
//! on disk stands in a second file, too. It is written after the transaction and is not forced to
//! disk, so it never says more than the store should hold.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// The file, kept open.
#[derive(Debug)]
pub(super) struct Mark(File);

impl Mark {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Mark(File::options().create(true).truncate(false).read(true).write(true).open(path)?))
    }

    /// What was noted last; 0 where nothing was, or where it cannot be read.
    pub(super) fn read(&mut self) -> io::Result<u64> {
        let mut raw = Vec::new();
        self.0.seek(SeekFrom::Start(0))?;
        (&self.0).take(12).read_to_end(&mut raw)?;
        let Some((number, sum)) = raw.split_first_chunk::<8>() else { return Ok(0) };
        let is_whole = sum == crc32fast::hash(number).to_be_bytes();
        Ok(if is_whole { u64::from_be_bytes(*number) } else { 0 })
    }

    pub(super) fn write(&mut self, number: u64) -> io::Result<()> {
        let mut raw = [0; 12];
        raw[..8].copy_from_slice(&number.to_be_bytes());
        let sum = crc32fast::hash(&raw[..8]);
        raw[8..].copy_from_slice(&sum.to_be_bytes());
        self.0.seek(SeekFrom::Start(0))?;
        self.0.write_all(&raw)
    }
}
