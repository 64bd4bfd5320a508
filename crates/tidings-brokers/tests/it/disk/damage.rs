//! Messages that are damaged on disk: a true gap, and the channel goes on.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use tidings_brokers::disk::Disk;
use tidings_core::broker::Broker;
use tidings_core::log::{Below, Limit, Page, Position, Rules, Start, Why};

use super::log::{RULES, all, append, channel, find, open, page};

/// A store with 200 messages in `a` and one in `b`; the places before the first, and after the last.
async fn filled(folder: &Path) -> (Position, Position) {
    let disk = open(folder).unwrap();
    let begin = find(&disk, "a", Start::Earliest).await.at;
    for n in 1..=200 {
        append(&disk, "a", &text(n)).await.unwrap();
    }
    append(&disk, "b", "elsewhere").await.unwrap();
    (begin, find(&disk, "a", Start::Latest).await.at)
}

/// Long enough that a page of the file holds few of them.
fn text(n: u64) -> String {
    format!("the message with the number {n:03} {}", "x".repeat(300))
}

/// Changes a byte wherever this text stands in the file. Gives where that was.
fn spoil(folder: &Path, text: &str) -> Vec<usize> {
    let store = folder.join("store.sqlite");
    let mut bytes = fs::read(&store).unwrap();
    let text = text.as_bytes();
    let places: Vec<_> = (0..bytes.len() - text.len()).filter(|at| bytes[*at..].starts_with(text)).collect();
    assert!(!places.is_empty(), "the store was not closed in order");
    places.iter().for_each(|at| bytes[at + 4] ^= 1);
    fs::write(&store, bytes).unwrap();
    places
}

/// Everything after a place: the gaps, as the numbers of the first and the last that are missing, and the messages.
async fn read(disk: &Disk, mut at: Position, rules: &Rules) -> (Vec<(u64, u64, Why)>, Vec<u64>) {
    let (mut gaps, mut numbers) = (Vec::new(), Vec::new());
    loop {
        let limit = Limit { messages: 50, bytes: usize::MAX };
        let Page { gap, messages, .. } = disk.read(&channel("a"), at, limit, rules).await.unwrap();
        if let Some(gap) = gap {
            assert_eq!(gap.after, Some(at));
            if !rules.compact {
                assert_eq!(gap.missed, Some(gap.until.offset - at.offset));
            }
            gaps.push((at.offset + 1, gap.until.offset, gap.why));
            at = gap.until;
            continue;
        }
        let Some(last) = messages.last() else { return (gaps, numbers) };
        at = last.position;
        for message in messages {
            assert_eq!(message.payload.bytes, text(message.position.offset).as_bytes());
            numbers.push(message.position.offset);
        }
    }
}

fn but(missing: impl Fn(u64) -> bool) -> Vec<u64> {
    (1..=200).filter(|n| !missing(*n)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_is_over_what_is_damaged_and_the_channel_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (begin, end) = filled(folder.path()).await;
    for n in [7, 8, 150, 200] {
        spoil(folder.path(), &text(n)[..35]);
    }
    let disk = open(folder.path()).unwrap();
    let gaps = |why| vec![(7, 8, why), (150, 150, why), (200, 200, why)];
    let kept = but(|n| [7, 8, 150, 200].contains(&n));
    assert_eq!(read(&disk, begin, &RULES).await, (gaps(Why::Expired), kept.clone()));
    let at_most_once = Rules { below: Below::Newest, ..RULES };
    assert_eq!(read(&disk, begin, &at_most_once).await, (gaps(Why::Lagged), kept.clone()));
    let compacted = Rules { compact: true, ..RULES };
    assert_eq!(read(&disk, begin, &compacted).await, (gaps(Why::Expired), kept));
    assert_eq!(all(&disk, "b").await, ["elsewhere"]);
    // Whoever is behind it notices nothing, and publishers go on.
    assert_eq!(page(&disk, "a", end).await.unwrap().gap, None);
    append(&disk, "a", &text(201)).await.unwrap();
    assert_eq!(read(&disk, end, &RULES).await, (vec![], vec![201]));
    disk.ready().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_is_over_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (begin, _) = filled(folder.path()).await;
    let store = Connection::open(folder.path().join("store.sqlite")).unwrap();
    store.execute("DELETE FROM messages WHERE offset = 1 OR offset BETWEEN 30 AND 130", []).unwrap();
    drop(store);
    let disk = open(folder.path()).unwrap();
    let (gaps, numbers) = read(&disk, begin, &RULES).await;
    assert_eq!(gaps, [(1, 1, Why::Expired), (30, 130, Why::Expired)]);
    assert_eq!(numbers, but(|n| n == 1 || (30..=130).contains(&n)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_is_over_a_page_of_the_file_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let (begin, _) = filled(folder.path()).await;
    let place = spoil(folder.path(), &text(100)[..35])[0];
    let store = folder.path().join("store.sqlite");
    let mut bytes = fs::read(&store).unwrap();
    let page = place / 4_096 * 4_096;
    bytes[page..page + 4_096].fill(0xff);
    fs::write(&store, bytes).unwrap();
    let disk = open(folder.path()).unwrap();
    let (gaps, numbers) = read(&disk, begin, &RULES).await;
    let &[(first, last, why)] = &gaps[..] else { panic!("{gaps:?}") };
    assert!((first..=last).contains(&100) && last - first < 30 && why == Why::Expired, "{gaps:?}");
    assert_eq!(numbers, but(|n| (first..=last).contains(&n)));
    append(&disk, "a", &text(201)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_of_retention_goes_on_over_what_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let (begin, _) = filled(folder.path()).await;
    spoil(folder.path(), &text(101)[..35]);
    let disk = open(folder.path()).unwrap();
    let mut rules = RULES;
    rules.retain.messages = 100;
    let (gaps, numbers) = read(&disk, begin, &rules).await;
    assert_eq!((gaps, numbers), (vec![(1, 101, Why::Expired)], (102..=200).collect()));
}
