//! Fuzz targets: what must hold of any bytes. Each is a plain function that panics where it does not.
//!
//! The tests of each crate run its targets over the corpus in `fuzz/corpus`; `scripts/fuzz` lets a
//! fuzzer look for more. fuzz/README.md says how.

use std::path::{Path, PathBuf};

use crate::log::Position;
use crate::{Channel, Cursor};

pub use crate::session::fuzz::token;

/// A function that takes any bytes, and panics where something does not hold.
pub type Target = fn(&[u8]);

/// The targets of this crate, by the name of their folder in the corpus.
pub const TARGETS: &[(&str, Target)] = &[("cursor", cursor), ("token", token)];

/// The pieces in which bytes may arrive: their sizes follow from `seed`, and are mostly small.
pub fn pieces(data: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let mut state = u32::from(seed);
    let mut rest = data;
    std::iter::from_fn(move || {
        // The generator of ANSI C: its upper bits are good enough.
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        let size = 1 + (state >> 16) as usize % if state & 0x0800_0000 == 0 { 4 } else { 64 };
        let (piece, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Text as a cursor, and as a channel that a cursor covers.
pub fn cursor(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let width = Cursor::PART_CHARS;
    let alphabet = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let whole = !text.is_empty() && text.len().is_multiple_of(width);
    let few = text.len() / width <= Cursor::CHANNELS_MAX;
    match text.parse::<Cursor>() {
        Ok(parsed) => {
            assert!(alphabet && whole && few, "taken for a cursor: {text:?}");
            assert_eq!(parsed.to_string(), text, "one cursor has one text");
            joined(text, &parsed);
        }
        Err(_) => assert!(!(alphabet && whole && few), "refused, though it is a cursor: {text:?}"),
    }
    channel(text);
}

/// Cursors are joined by writing one after the other; the later place of a channel counts.
fn joined(text: &str, parsed: &Cursor) {
    let mut parts = String::new();
    for part in text.as_bytes().chunks(Cursor::PART_CHARS) {
        let part = std::str::from_utf8(part).unwrap_or("");
        parts.push_str(&part.parse::<Cursor>().map(|one| one.to_string()).unwrap_or_default());
    }
    assert_eq!(parts, text, "each part is a cursor by itself");
    let Ok(name) = Channel::parse("orders:eu") else { return };
    let there = Position { epoch: u64::MAX, offset: text.len() as u64 };
    let one = Cursor::one(&name, there);
    if text.len() / Cursor::PART_CHARS < Cursor::CHANNELS_MAX {
        let newer = format!("{text}{one}").parse::<Cursor>();
        assert_eq!(newer.ok().and_then(|cursor| cursor.get(&name)), Some(there), "the later counts");
        let older = format!("{one}{text}").parse::<Cursor>();
        let want = parsed.get(&name).unwrap_or(there);
        assert_eq!(older.ok().and_then(|cursor| cursor.get(&name)), Some(want), "the later counts");
    }
}

/// A name is a channel by the alphabet alone, and a cursor finds it again.
fn channel(name: &str) {
    let alphabet = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:@=".contains(&b));
    let fits = (1..=Channel::BYTES_MAX).contains(&name.len()) && name != "." && name != "..";
    let parsed = Channel::parse(name);
    assert_eq!(parsed.is_ok(), alphabet && fits, "{name:?}");
    let Ok(channel) = parsed else { return };
    assert_eq!(channel.as_str(), name);
    assert!(name.starts_with(channel.namespace()) || channel.namespace() == "default");
    let position = Position { epoch: channel.tag(), offset: name.len() as u64 };
    let text = Cursor::one(&channel, position).to_string();
    assert_eq!(text.parse::<Cursor>().ok().and_then(|cursor| cursor.get(&channel)), Some(position));
}

/// The files that are kept of a target, in the order of their names; an empty corpus is an error.
pub fn corpus(name: &str) -> std::io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let entries = std::fs::read_dir(&folder)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    if paths.is_empty() {
        return Err(std::io::Error::other(format!("{} is empty", folder.display())));
    }
    paths.into_iter().map(|path| std::fs::read(&path).map(|bytes| (path, bytes))).collect()
}

/// Runs targets over what is kept of them, and over every beginning of a short seed: what arrives may be
/// cut off anywhere. (A name of 40 digits is the fuzzer's: it has cut that one already.) Says which file it
/// was where one fails.
pub fn replay(targets: &[(&str, Target)]) -> std::io::Result<()> {
    /// Beginnings are run of seeds up to this size.
    const SHORT_BYTES: usize = 256;
    for (name, target) in targets {
        for (path, bytes) in corpus(name)? {
            let is_seed = path.file_name().is_some_and(|name| name.len() != 40);
            let first = if is_seed && bytes.len() <= SHORT_BYTES { 0 } else { bytes.len() };
            for end in first..=bytes.len() {
                let ran = std::panic::catch_unwind(|| target(&bytes[..end]));
                assert!(ran.is_ok(), "{name}: the first {end} bytes of {} fail; see above", path.display());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_each_target_holds() {
        replay(TARGETS).unwrap();
    }

    #[test]
    fn pieces_are_all_there_is() {
        let data: Vec<u8> = (0..=255).collect();
        for seed in 0..=255 {
            assert_eq!(pieces(&data, seed).collect::<Vec<_>>().concat(), data);
        }
        assert!((0..=255).any(|seed| pieces(&data, seed).all(|piece| piece.len() <= 64)));
    }
}
