//! One life of a store, and what it says of the lives before: whether something was lost.

use rusqlite::{Connection, OptionalExtension, params};
use tidings_core::broker::BrokerError;
use tidings_core::log::Channel;

use super::files::Folder;
use super::mark::Mark;
use super::store::failed;

/// What makes epochs. They stay as they are over restarts, unless something was lost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    /// Of this store, so that another one in the same place has other epochs.
    store: u64,
    /// Renewed when what was on disk is not there any more.
    era: u64,
    /// Renewed, too, when what had not been forced onto the disk may be gone.
    era_unsynced: u64,
    /// The number of the last transaction before this life.
    pub(super) commits: u64,
}

impl Life {
    /// Finds out what became of the last life, and begins one.
    pub(super) fn begin(store: &Connection, folder: &Folder) -> Result<Self, BrokerError> {
        let get = |name: &str| -> Result<Option<i64>, BrokerError> {
            let found = store.query_row("SELECT value FROM meta WHERE name = ?", [name], |row| row.get(0));
            found.optional().map_err(failed)
        };
        let mut life = Life {
            store: get("store")?.map_or_else(random, |id| Ok(id.cast_unsigned()))?,
            era: get("era")?.unwrap_or(0).cast_unsigned(),
            era_unsynced: get("era_unsynced")?.unwrap_or(0).cast_unsigned(),
            commits: get("commits")?.unwrap_or(0).cast_unsigned(),
        };
        let unreadable = |error: std::io::Error| {
            BrokerError::Unavailable(format!("{} cannot be used: {error}", folder.mark().display()))
        };
        let mut mark = Mark::open(&folder.mark()).map_err(unreadable)?;
        let noted = mark.read().map_err(unreadable)?;
        if noted > life.commits {
            tracing::error!(
                path = %folder.path().display(),
                transactions = noted - life.commits,
                "the store has lost transactions that were on disk: it was damaged, or an older copy was put in its \
                 place; every channel begins a new epoch, and readers are told so by a gap"
            );
            life.era = random()?;
            life.commits = noted;
        }
        let boot = boot();
        let clean = get("clean")? == Some(1);
        if !clean && get("boot")?.is_some_and(|before| before != boot || boot == 0) {
            // The machine stopped under the node.
            life.era_unsynced = random()?;
        }
        life.commits += 1;
        let rows = [
            ("store", life.store.cast_signed()),
            ("era", life.era.cast_signed()),
            ("era_unsynced", life.era_unsynced.cast_signed()),
            ("commits", life.commits.cast_signed()),
            ("boot", boot),
            ("clean", 0),
        ];
        store.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
        for (name, value) in rows {
            store
                .execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", params![name, value])
                .map_err(failed)?;
        }
        store.execute_batch("COMMIT").map_err(failed)?;
        mark.write(life.commits).map_err(unreadable)?;
        Ok(life)
    }

    /// The part of a new channel's epoch that is stored with it.
    pub(super) fn seed(&self, channel: &Channel) -> u64 {
        mix(self.store ^ channel.tag())
    }

    /// What makes an epoch of the part that is stored.
    pub(super) fn epoch(&self, seed: u64, unsynced: bool) -> u64 {
        // No log has epoch 0.
        (seed ^ self.era ^ if unsynced { self.era_unsynced } else { 0 }).max(1)
    }

    /// The part of an epoch that no life had.
    pub(super) fn another() -> Result<u64, BrokerError> {
        random()
    }

    /// The part to store so that a channel keeps its epoch when it stops to wait for the disk.
    pub(super) fn unsynced(&self, seed: u64) -> u64 {
        seed ^ self.era_unsynced
    }
}

/// Which run of the machine this is; 0 where it does not say.
fn boot() -> i64 {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    if id.is_empty() { 0 } else { i64::from(crc32fast::hash(id.as_bytes())) + 1 }
}

fn random() -> Result<u64, BrokerError> {
    getrandom::u64().map_err(|_| BrokerError::Unavailable("the system gives no random numbers".into()))
}

/// Spreads the bits (the last step of splitmix64).
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
