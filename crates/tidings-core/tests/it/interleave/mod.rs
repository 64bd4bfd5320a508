//! Random interleavings of publishers, readers and faults, by seed.
//!
//! One thread, paused time, seeded choices: a seed gives one trace. A recorder
//! between the faulty broker and the memory broker knows what was stored in
//! truth; readers check every item against it. `TIDINGS_SEED` is the first
//! seed, `TIDINGS_SEEDS` how many run: one, if only the first is given.

mod reader;
mod truth;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tidings_core::broker::dice::Dice;
use tidings_core::broker::faulty::{Faults, Faulty};
use tidings_core::broker::{Broker, Memory};
use tidings_core::{Clock, Delivery, Namespace, Retain, Stored};

use super::node::{BEGAN_MS, Node, ROOM, channel, draft, public};
use reader::{Roamer, Stop};
use truth::{Recorder, Truth};

/// What happened, in order: two runs of a seed must agree on it.
type Trace = Arc<Mutex<Vec<String>>>;

/// One run.
struct World {
    node: Node,
    faulty: Arc<Faulty>,
    truth: Truth,
    trace: Trace,
    clock: Clock,
}

const CHANNELS: [&str; 5] = ["log:a", "log:b", "short:c", "tail:d", "tail:e"];
/// What `short:` keeps: little, so that its readers fall below it.
const SHORT: Retain = Retain { messages: 40, age_ms: 20_000 };
const PUBLISHERS: u64 = 3;
const READERS: u64 = 6;

fn namespaces() -> [(&'static str, Namespace); 3] {
    let log = Namespace {
        retain: Retain { messages: 100_000, age_ms: 3_600_000 },
        ..public(Delivery::AtLeastOnce)
    };
    let short = Namespace { retain: SHORT, ..public(Delivery::AtLeastOnce) };
    [("log", log), ("short", short), ("tail", public(Delivery::AtMostOnce))]
}

impl World {
    fn new(seed: u64) -> World {
        let clock = Clock::simulated(BEGAN_MS);
        let truth = Truth::default();
        let faulty = Arc::new(Faulty::new(seed, Faults::SOME, {
            let (clock, truth) = (clock.clone(), truth.clone());
            move |life| {
                let memory = Memory::start(clock.clone(), ROOM, (1 + life) << 32);
                Arc::new(Recorder::new(memory, truth.clone())) as Arc<dyn Broker>
            }
        }));
        // Fewer feeds than channels: those that are least used are polled, and places change hands.
        let feeds = [1_000, 1, 2, 4][usize::try_from(seed % 4).unwrap()];
        let node = Node::over(faulty.clone(), clock.clone(), namespaces(), feeds, 7);
        World { node, faulty, truth, trace: Trace::default(), clock }
    }

    fn note(&self, what: impl FnOnce() -> String) {
        let at = self.clock.now_ms() - BEGAN_MS;
        self.trace.lock().push(format!("{at} {}", what()));
    }
}

/// Publishes one by one and in bursts, and sends again what got lost.
async fn publish(world: Arc<World>, number: u64, mut dice: Dice) {
    for round in 0..25 {
        let name = CHANNELS[dice.below(5) as usize];
        let count = if dice.chance(60) { 200 + dice.below(400) } else { 1 + dice.below(6) };
        let drafts: Vec<_> = (0..count).map(|n| draft(&format!("{number}.{round}.{n}"))).collect();
        match world.node.try_publish(name, drafts).await {
            Ok(appended) => {
                let last = appended.last().map(|one| one.position.offset);
                world.note(|| format!("p{number} {name} +{count} to {last:?}"));
                for one in &appended {
                    assert!(
                        world.truth.has(&channel(name), one.position, &one.id),
                        "acknowledged, not stored"
                    );
                }
            }
            Err(stopped) => {
                assert!(stopped.error.stored.is_some());
                let unknown = stopped.error.stored == Some(Stored::Unknown);
                world.note(|| {
                    format!("p{number} {name} stopped at {}, unknown {unknown}", stopped.stored.len())
                });
            }
        }
        let pause = if dice.chance(50) { dice.below(90_000) } else { dice.below(400) };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// Breaks things, now and then.
async fn disturb(world: Arc<World>, mut dice: Dice) {
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_millis(dice.below(9_000))).await;
        match dice.below(6) {
            0 => {
                world.note(|| "restart".into());
                world.truth.restarted();
                world.faulty.restart();
            }
            1 | 2 => {
                let ms = dice.below(15_000);
                world.note(|| format!("down for {ms}"));
                world.faulty.down_for(Duration::from_millis(ms));
            }
            _ => {
                world.note(|| "cut".into());
                world.faulty.cut();
            }
        }
    }
}

async fn play(seed: u64) -> Vec<String> {
    let mut dice = Dice::new(seed);
    let world = Arc::new(World::new(dice.roll()));
    let mut tasks = Vec::new();
    for number in 0..PUBLISHERS {
        tasks.push(tokio::spawn(publish(world.clone(), number, Dice::new(dice.roll()))));
    }
    tasks.push(tokio::spawn(disturb(world.clone(), Dice::new(dice.roll()))));
    let stop = Arc::new(Stop::default());
    let readers: Vec<_> = (0..READERS)
        .map(|number| {
            let roamer = Roamer::new(world.clone(), number, Dice::new(dice.roll()));
            tokio::spawn(roamer.roam(stop.clone()))
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    // All is well again, and everybody must come to the end, also without another message.
    world.faulty.set(Faults::NONE);
    tokio::time::sleep(Duration::from_secs(20)).await;
    stop.now();
    for reader in readers {
        let ended = tokio::time::timeout(Duration::from_secs(120), reader).await;
        ended.expect("a reader waits for ever").unwrap();
    }
    std::mem::take(&mut *world.trace.lock())
}

fn run(seed: u64) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(play(seed))
}

#[test]
fn every_reader_gets_what_it_is_promised() {
    let first = variable("TIDINGS_SEED");
    let seeds = variable("TIDINGS_SEEDS").unwrap_or(if first.is_some() { 1 } else { 60 });
    let first = first.unwrap_or(0);
    for seed in first..first + seeds {
        let played = std::panic::catch_unwind(|| run(seed));
        assert!(played.is_ok(), "failed with TIDINGS_SEED={seed}");
    }
}

#[test]
fn a_seed_gives_one_trace() {
    for seed in [3, 4, 5, 1_003] {
        let (one, two) = (run(seed), run(seed));
        for (one, two) in one.iter().zip(&two) {
            assert_eq!(one, two, "TIDINGS_SEED={seed}");
        }
        assert_eq!(one.len(), two.len());
        assert!(one.len() > 100, "nothing happened");
    }
}

#[allow(clippy::disallowed_methods, reason = "a test has no configuration")]
fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
