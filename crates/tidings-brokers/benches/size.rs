//! A store with a million channels, and the start of one with ten gigabytes.
//!
//! `cargo bench -p tidings-brokers --bench size -- FOLDER WHAT`, where WHAT is one of
//! - `channels`: a message for each of 1,000,000 channels, then a start two hours later, when all have
//!   expired: how fast they leave the disk, and what a publisher notices of it;
//! - `large`, `small`: the start of a store of 10 GB, of messages of 256 KiB or of 128 bytes, whose process was
//!   killed, with nothing of it in the system's cache.
//!
//! Each ends after ten minutes at the latest, and removes what it wrote.

// A benchmark prints what it finds, and ends where it cannot go on, and starts a process of its own.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark prints, ends where it cannot go on, and starts itself"
)]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use common::{BYTES, Figures, RULES, channel, draft, open, open_at};
use tidings_brokers::disk::{Disk, Sync};
use tidings_core::Clock;
use tidings_core::broker::Broker;
use tidings_core::log::{Limit, Retain, Rules, Start};
use tokio::time::Instant;

mod common;

const CHANNELS: usize = 1_000_000;
const PUBLISHERS: usize = 1_024;
const STORE_BYTES: u64 = 10_000_000_000;
const LARGE: usize = 256 * 1_024;
const TIME_MAX: Duration = Duration::from_secs(600);
const HOUR: Rules = Rules { retain: Retain { messages: 1_000, age_ms: 3_600_000 }, ..RULES };

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let Some(what) = common::arguments().nth(1) else {
        println!("size: name a folder with 25 GB of room, and what to measure: channels, large or small");
        return;
    };
    let folder = match common::arguments().nth(2) {
        Some(folder) => folder.into(),
        None => common::folder("size"),
    };
    match what.as_str() {
        "channels" => channels(&folder).await,
        "large" => start(&folder, &what, LARGE).await,
        "small" => start(&folder, &what, BYTES).await,
        "fill-large" => fill(&folder, LARGE).await,
        "fill-small" => fill(&folder, BYTES).await,
        other => panic!("{other}: channels, large or small"),
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// Names without an order, as users have them.
fn name(n: usize) -> String {
    format!("user:{:016x}", (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

async fn channels(folder: &Path) {
    let before = resident();
    let disk = open(folder);
    let began = Instant::now();
    let tasks: Vec<_> = (0..PUBLISHERS)
        .map(|task| {
            let disk = disk.clone();
            tokio::spawn(async move {
                for n in (task..CHANNELS).step_by(PUBLISHERS) {
                    disk.append(&channel(&name(n)), vec![draft(BYTES)], &HOUR).await.unwrap();
                    if n % 100_000 == 0 {
                        println!("{n}: {:.0} s, {} MiB in memory", began.elapsed().as_secs_f64(), resident());
                    }
                    assert!(began.elapsed() < TIME_MAX, "it takes too long");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    println!(
        "{CHANNELS} channels: {:.0} a second, {} MiB in memory ({before} before), {} MB on disk",
        CHANNELS as f64 / began.elapsed().as_secs_f64(),
        resident(),
        megabytes(folder)
    );
    drop(disk);
    sweep(folder).await;
}

/// Two hours later.
async fn sweep(folder: &Path) {
    let began = Instant::now();
    let clock = Clock::simulated(Clock::system().now_ms() + 2 * 3_600_000);
    let disk = open_at(folder, clock, Sync::EveryWrite);
    println!("start: {:.0} ms", began.elapsed().as_secs_f64() * 1e3);
    let look = rusqlite::Connection::open(folder.join("store.sqlite")).unwrap();
    // Channels are swept in the order of their numbers, and the busy one comes last.
    let left = || {
        let lowest = "SELECT (SELECT max(id) FROM channels) - min(channel) FROM messages";
        look.query_row(lowest, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let (began, mut told, mut took) = (Instant::now(), Instant::now(), Vec::new());
    disk.append(&channel("busy"), vec![draft(BYTES)], &HOUR).await.unwrap();
    let counted = left();
    loop {
        let one = Instant::now();
        disk.append(&channel("busy"), vec![draft(BYTES)], &HOUR).await.unwrap();
        took.push(one.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
        if told.elapsed() > Duration::from_secs(5) {
            let left = left();
            println!("expired messages on disk: {left}, {} MiB in memory", resident());
            told = Instant::now();
            if left < 1_000 || began.elapsed() > TIME_MAX {
                break;
            }
        }
    }
    let removed = counted - left();
    let rate = removed as f64 / began.elapsed().as_secs_f64();
    println!("removed {removed}: {rate:.0} a second, {} MB on disk", megabytes(folder));
    println!("a publisher meanwhile: {}", Figures::new(0.0, took).text());
}

/// Fills a store, and ends as a process does that is killed.
async fn fill(folder: &Path, bytes: usize) {
    let disk = open_at(folder, Clock::system(), Sync::Every(Duration::from_millis(100)));
    let at_once = (LARGE / bytes).clamp(4, 1_000);
    let appends = STORE_BYTES / ((bytes as u64 + 70) * at_once as u64);
    let began = Instant::now();
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let disk: Arc<Disk> = disk.clone();
            tokio::spawn(async move {
                for n in (task..appends).step_by(8) {
                    let drafts = vec![draft(bytes); at_once];
                    disk.append(&channel(&format!("log-{}", n % 100)), drafts, &RULES).await.unwrap();
                    assert!(began.elapsed() < TIME_MAX, "it takes too long");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    println!("filled with {} messages in {:.0} s", appends * at_once as u64, began.elapsed().as_secs_f64());
    std::process::exit(0);
}

async fn start(folder: &Path, what: &str, bytes: usize) {
    let mut filled = Command::new(std::env::current_exe().unwrap());
    filled.arg(folder).arg(format!("fill-{what}")).arg(folder);
    assert!(filled.status().unwrap().success());
    let wal = std::fs::metadata(folder.join("store.sqlite-wal")).map_or(0, |file| file.len() / 1_000_000);
    println!("{what}: {} MB on disk, of which the log {wal} MB", megabytes(folder));
    for name in ["store.sqlite", "store.sqlite-wal"] {
        let mut forget = Command::new("dd");
        forget.arg(format!("if={}", folder.join(name).display())).args([
            "iflag=nocache",
            "count=0",
            "status=none",
        ]);
        assert!(forget.status().unwrap().success());
    }
    let log = channel("log-7");
    let began = Instant::now();
    let ms = || began.elapsed().as_secs_f64() * 1e3;
    let disk = open(folder);
    println!("{what}: open after {:.1} ms", ms());
    let found = disk.find(&log, Start::Earliest, &RULES).await.unwrap();
    let limit = Limit { messages: 100, bytes: 1 << 20 };
    let page = disk.read(&log, found.at, limit, &RULES).await.unwrap();
    println!("{what}: the first {} messages of a channel after {:.1} ms", page.messages.len(), ms());
    disk.append(&log, vec![draft(bytes)], &RULES).await.unwrap();
    println!("{what}: the first append after {:.1} ms; {} MiB in memory", ms(), resident());
}

fn megabytes(folder: &Path) -> u64 {
    std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>()
        / 1_000_000
}

/// MiB that the process holds.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_024
}
