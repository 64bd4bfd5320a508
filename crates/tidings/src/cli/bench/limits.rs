//! How many files this process, and with it the servers that it starts, may open.

use rlimit::Resource;

use super::failure;

/// Files that a process has open besides its connections.
const OTHERS: u64 = 64;

/// Raises the limit as far as it goes, and refuses what does not fit.
pub fn raise(connections: usize) -> anyhow::Result<()> {
    let limit = rlimit::increase_nofile_limit(u64::MAX)?;
    let fit = limit.saturating_sub(OTHERS);
    if connections as u64 <= fit {
        return Ok(());
    }
    let (_, hard) = rlimit::getrlimit(Resource::NOFILE)?;
    Err(failure(
        format!("{connections} connections do not fit: a process may open {hard} files, {fit} connections"),
        "fewer, or a higher hard limit (`ulimit -Hn`)",
    ))
}
