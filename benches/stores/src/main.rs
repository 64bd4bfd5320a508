//! The embedded stores that a disk broker could stand on, doing a disk broker's work: group
//! commits of 64 messages of 128 bytes with an fsync each, commits of one, reads of a hundred
//! messages after a place, and what a larger store costs to open and to delete from.
//!
//! `cargo run -- FOLDER [fjall|redb|sqlite]…` works in a new folder inside FOLDER, which must be
//! on the disk that is meant, and removes it. `--messages N` sets how large the larger store is.

mod fjall;
mod redb;
mod sqlite;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A message of 128 bytes as a broker stores it: with its id, time and names.
const VALUE_BYTES: usize = 200;
const GROUP: u64 = 64;
const CHANNELS: u64 = 1_000;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A store, and what a broker asks of it. A key is a channel and an offset, in that order.
trait Store: Sized {
    const NAME: &'static str;
    fn open(folder: &Path) -> Result<Self>;
    /// Stores all or nothing; on disk when it returns, if `sync`.
    fn commit(&mut self, rows: &[(u64, u64, Vec<u8>)], sync: bool) -> Result<()>;
    /// How many bytes the messages after a place hold.
    fn read(&mut self, channel: u64, after: u64, count: usize) -> Result<(usize, usize)>;
    /// Removes the messages of a channel up to a place, that one too.
    fn remove(&mut self, channel: u64, until: u64) -> Result<()>;
}

fn main() -> Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut messages = 1_000_000;
    if let Some(at) = arguments.iter().position(|argument| argument == "--messages") {
        messages = arguments.get(at + 1).ok_or("--messages needs a number")?.parse()?;
        arguments.drain(at..at + 2);
    }
    let Some((folder, wanted)) = arguments.split_first() else {
        return Err("say where: cargo run -- FOLDER [fjall|redb|sqlite]…".into());
    };
    let folder = PathBuf::from(folder).join(format!("stores-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    let result = (|| {
        raw(&folder)?;
        if wants("fjall") {
            measure::<fjall::Fjall>(&folder, messages)?;
        }
        if wants("redb") {
            measure::<redb::Redb>(&folder, messages)?;
        }
        if wants("sqlite") {
            measure::<sqlite::Sqlite>(&folder, messages)?;
        }
        Ok(())
    })();
    std::fs::remove_dir_all(&folder)?;
    result
}

/// What the disk does without a store: bytes at the end of a file, and fdatasync.
fn raw(folder: &Path) -> Result<()> {
    use std::io::Write;
    let mut file = std::fs::File::create(folder.join("raw"))?;
    for (what, bytes) in [("raw 64", GROUP as usize * VALUE_BYTES), ("raw 1", VALUE_BYTES)] {
        let data = vec![7; bytes];
        let timed = repeat(Duration::from_secs(2), || {
            file.write_all(&data)?;
            Ok(file.sync_data()?)
        })?;
        println!("{what}: {timed}");
    }
    Ok(())
}

fn measure<S: Store>(folder: &Path, messages: u64) -> Result<()> {
    let folder = folder.join(S::NAME);
    std::fs::create_dir_all(&folder)?;
    let mut store = S::open(&folder)?;
    let mut offset = 0;
    let mut seed = 1u64;
    let one_channel = repeat(Duration::from_secs(3), || {
        let rows: Vec<_> = (0..GROUP).map(|n| (0, offset + n, value(n))).collect();
        offset += GROUP;
        store.commit(&rows, true)
    })?;
    println!(
        "{}: group of 64, one channel: {one_channel}, {:.0} messages/s",
        S::NAME,
        one_channel.rate * 64.0
    );
    let many = repeat(Duration::from_secs(3), || {
        let rows: Vec<_> =
            (0..GROUP).map(|n| (1 + random(&mut seed) % CHANNELS, offset + n, value(n))).collect();
        offset += GROUP;
        store.commit(&rows, true)
    })?;
    println!("{}: group of 64, 1,000 channels: {many}, {:.0} messages/s", S::NAME, many.rate * 64.0);
    let single = repeat(Duration::from_secs(2), || {
        offset += 1;
        store.commit(&[(1 + random(&mut seed) % CHANNELS, offset, value(0))], true)
    })?;
    println!("{}: one message a commit: {single}", S::NAME);

    let began = Instant::now();
    let mut longest = Duration::ZERO;
    for _ in 0..messages / 1_000 {
        let rows: Vec<_> =
            (0..1_000).map(|n| (1 + random(&mut seed) % CHANNELS, offset + n, value(n))).collect();
        offset += 1_000;
        let one = Instant::now();
        store.commit(&rows, true)?;
        longest = longest.max(one.elapsed());
    }
    println!(
        "{}: {messages} more in commits of 1,000: {:.1} s, longest {:.0} ms",
        S::NAME,
        began.elapsed().as_secs_f64(),
        ms(longest)
    );
    drop(store);
    println!(
        "{}: {:.0} MB on disk for {:.0} MB of messages",
        S::NAME,
        mb(size(&folder)),
        mb(offset * VALUE_BYTES as u64)
    );
    let began = Instant::now();
    let mut store = S::open(&folder)?;
    println!("{}: opened in {:.0} ms", S::NAME, ms(began.elapsed()));
    let read = repeat(Duration::from_secs(2), || {
        let after = offset / 2 - random(&mut seed) % (offset / 4);
        let (count, _) = store.read(1 + random(&mut seed) % CHANNELS, after, 100)?;
        if count == 100 { Ok(()) } else { Err(format!("{count} messages").into()) }
    })?;
    println!("{}: read of 100 after a place: {read}", S::NAME);
    let mut channel = 0;
    let remove = repeat(Duration::from_secs(3), || {
        channel += 1;
        store.remove(channel, offset / 2)
    });
    match remove {
        Ok(remove) => println!("{}: half of a channel removed: {remove}", S::NAME),
        Err(error) => println!("{}: half of a channel removed: {error}", S::NAME),
    }
    drop(store);
    println!("{}: {:.0} MB on disk after {channel} of those", S::NAME, mb(size(&folder)));
    Ok(())
}

/// How often something can be done in a second, and how long it took.
struct Timed {
    rate: f64,
    p50: Duration,
    p99: Duration,
    longest: Duration,
}

impl std::fmt::Display for Timed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Timed { rate, p50, p99, longest } = self;
        write!(
            f,
            "{rate:.0}/s, p50 {:.2} ms, p99 {:.2} ms, longest {:.1} ms",
            ms(*p50),
            ms(*p99),
            ms(*longest)
        )
    }
}

fn repeat(time: Duration, mut work: impl FnMut() -> Result<()>) -> Result<Timed> {
    let began = Instant::now();
    let mut took = Vec::new();
    while began.elapsed() < time && took.len() < CHANNELS as usize * 200 {
        let one = Instant::now();
        work()?;
        took.push(one.elapsed());
    }
    let rate = took.len() as f64 / began.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |share: usize| took[(took.len() * share / 1_000).min(took.len() - 1)];
    Ok(Timed { rate, p50: at(500), p99: at(990), longest: took[took.len() - 1] })
}

/// Bytes that do not compress to nothing.
fn value(n: u64) -> Vec<u8> {
    let mut seed = n + 1;
    (0..VALUE_BYTES / 8).flat_map(|_| random(&mut seed).to_le_bytes()).collect()
}

fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

fn key(channel: u64, offset: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&channel.to_be_bytes());
    key[8..].copy_from_slice(&offset.to_be_bytes());
    key
}

fn size(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => size(&entry.path()),
            Ok(data) => std::os::unix::fs::MetadataExt::blocks(&data) * 512,
            Err(_) => 0,
        })
        .sum()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
