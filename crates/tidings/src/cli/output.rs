//! What a command writes to standard output.

use std::io::{ErrorKind, Write as _};

use anyhow::Context as _;

/// Writes at once; colours only where it is a terminal. Who has read enough (`| head`) is no failure.
///
/// # Errors
///
/// Standard output that takes nothing for another reason, as a full disk.
pub fn print(text: &str) -> anyhow::Result<()> {
    is_read(text).map(drop)
}

/// The same; false where nobody reads on.
///
/// # Errors
///
/// As [`print`].
pub fn is_read(text: &str) -> anyhow::Result<bool> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        other => other.map(|()| true).context("cannot write to standard output"),
    }
}
