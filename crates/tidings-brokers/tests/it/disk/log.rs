//! One channel of a broker in a folder, in short words.

use std::path::Path;

use bytes::Bytes;
use tidings_brokers::disk::{Disk, Options, Sync};
use tidings_core::Clock;
use tidings_core::broker::{Broker, BrokerError};
use tidings_core::log::{Found, Limit, Page, Position, Start};

pub use crate::draft::{RULES, channel, draft};

pub fn open(folder: &Path) -> Result<Disk, BrokerError> {
    Disk::open(Clock::system(), &Options { path: folder.to_owned(), sync: Sync::EveryWrite })
}

pub async fn append(disk: &Disk, name: &str, text: &str) -> Result<Position, BrokerError> {
    let appended = disk.append(&channel(name), vec![draft(text)], &RULES).await;
    appended.map(|appended| appended[0].position).map_err(|error| error.error)
}

pub async fn find(disk: &Disk, name: &str, start: Start) -> Found {
    disk.find(&channel(name), start, &RULES).await.unwrap()
}

pub async fn page(disk: &Disk, name: &str, after: Position) -> Result<Page, BrokerError> {
    disk.read(&channel(name), after, Limit { messages: 100_000, bytes: usize::MAX }, &RULES).await
}

/// The texts of everything that is kept.
pub async fn all(disk: &Disk, name: &str) -> Vec<String> {
    let at = find(disk, name, Start::Earliest).await.at;
    let page = page(disk, name, at).await.unwrap();
    assert_eq!(page.gap, None);
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    page.messages.iter().map(|message| text(&message.payload.bytes)).collect()
}
