//! Which fault happens when, and to whom: all of it follows from the seed.

use std::time::Duration;

use fastrand::Rng;

use super::fault::Fault;
use crate::client::Transport;

/// A fault, at its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// Since the storm began.
    pub at: Duration,
    /// The path that it happens to; `None` for a node, the broker's server, or the link between them.
    pub path: Option<usize>,
    /// What happens.
    pub fault: Fault,
    /// For how long.
    pub lasts: Duration,
    /// A number from 0 to 1 that decides how: by an RST or a FIN, by how much.
    pub how: f64,
}

/// The acts of a storm, in their order. `paths` are what each path is for: a transport, or a publisher.
///
/// Paths of one transport share a deck of its faults, so that a short storm brings each fault to each
/// transport, if not to each path. There are at most two acts a second and path.
pub fn schedule(seed: u64, length: Duration, faults: &[Fault], paths: &[Option<Transport>]) -> Vec<Act> {
    let mut rng = Rng::with_seed(seed);
    let mut kinds = Vec::new();
    for kind in paths {
        if !kinds.contains(kind) {
            kinds.push(*kind);
        }
    }
    let mut acts = Vec::new();
    for kind in kinds {
        let mut deck = Deck::new(faults.iter().copied().filter(|fault| fault.concerns(kind)).collect());
        // When each path is free for the next act.
        let mut free: Vec<(Duration, usize)> = paths
            .iter()
            .enumerate()
            .filter(|(_, path)| **path == kind)
            .map(|(path, _)| (between(&mut rng, 0.0, 0.8), path))
            .collect();
        while let Some(next) = free.iter_mut().min() {
            let (at, path) = *next;
            let Some(fault) = deck.draw(&mut rng).filter(|_| at < length) else { break };
            let lasts = lasts(fault, &mut rng).min(length - at);
            acts.push(Act { at, path: Some(path), fault, lasts, how: rng.f64() });
            // Publishers get more peace: what they do not publish proves nothing.
            let pause = if kind.is_some() { (0.5, 2.0) } else { (2.0, 5.0) };
            next.0 = at + lasts + between(&mut rng, pause.0, pause.1);
        }
    }
    let mut deck = Deck::new(faults.iter().copied().filter(|fault| fault.is_of_node()).collect());
    let pause = (length / 10).clamp(Duration::from_millis(500), Duration::from_secs(4));
    let mut at = pause.min(Duration::from_millis(1_500));
    while let Some(fault) = deck.draw(&mut rng).filter(|_| at < length) {
        let lasts = lasts(fault, &mut rng).min(length - at);
        acts.push(Act { at, path: None, fault, lasts, how: rng.f64() });
        at += lasts + pause.mul_f64(1.0 + rng.f64());
    }
    let mut deck = Deck::new(faults.iter().copied().filter(|fault| fault.is_of_broker()).collect());
    let mut at = between(&mut rng, 1.0, 3.0);
    while let Some(fault) = deck.draw(&mut rng).filter(|_| at < length) {
        let lasts = lasts(fault, &mut rng).min(length - at);
        acts.push(Act { at, path: None, fault, lasts, how: rng.f64() });
        at += lasts + between(&mut rng, 3.0, 8.0);
    }
    // Between two of these a node has time to be whole again: another one may be cut off next.
    let mut deck = Deck::new(faults.iter().copied().filter(|fault| fault.is_of_link()).collect());
    let mut at = between(&mut rng, 1.0, 3.0);
    while let Some(fault) = deck.draw(&mut rng).filter(|_| at < length) {
        let lasts = lasts(fault, &mut rng).min(length - at);
        acts.push(Act { at, path: None, fault, lasts, how: rng.f64() });
        at += lasts + between(&mut rng, 1.0, 4.0);
    }
    acts.sort_by_key(|act| act.at);
    acts
}

fn lasts(fault: Fault, rng: &mut Rng) -> Duration {
    match fault {
        // It is over at once. Then some time must pass, or nobody gets anywhere.
        Fault::Cut => Duration::from_millis(300),
        // What is frozen stays so; a reader needs a few seconds to notice.
        Fault::Freeze => Duration::from_secs(4),
        Fault::Delay | Fault::Throttle | Fault::NoUpgrade | Fault::Buffer => between(rng, 0.6, 2.2),
        Fault::Kill | Fault::Restart => between(rng, 0.0, 0.8),
        Fault::Stall => between(rng, 0.4, 2.5),
        Fault::BrokerStall => between(rng, 2.0, 5.0),
        Fault::BrokerRestart => between(rng, 0.0, 1.0),
        Fault::LinkCut => Duration::from_millis(300),
        // Longer than any side waits for an answer.
        Fault::BlackHole => Duration::from_secs(20),
    }
}

fn between(rng: &mut Rng, least: f64, most: f64) -> Duration {
    Duration::from_secs_f64(least + (most - least) * rng.f64())
}

/// Faults that are dealt in rounds, each once a round.
struct Deck {
    all: Vec<Fault>,
    left: Vec<Fault>,
}

impl Deck {
    fn new(all: Vec<Fault>) -> Self {
        Self { all, left: Vec::new() }
    }

    fn draw(&mut self, rng: &mut Rng) -> Option<Fault> {
        if self.left.is_empty() {
            self.left.clone_from(&self.all);
            rng.shuffle(&mut self.left);
        }
        self.left.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_one_storm_and_ten_seconds_bring_every_fault_to_every_transport() {
        let mut paths = vec![None];
        for transport in Transport::ALL {
            paths.extend([Some(transport); 4]);
        }
        let of = |seed| schedule(seed, Duration::from_secs(10), &Fault::ALL, &paths);
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
        for seed in 0..50 {
            let acts = of(seed);
            assert!(acts.is_sorted_by_key(|act| act.at));
            assert!(acts.iter().all(|act| act.at + act.lasts <= Duration::from_secs(10)));
            for transport in Transport::ALL {
                for fault in Fault::ALL.into_iter().filter(|fault| fault.concerns(Some(transport))) {
                    let found = |act: &Act| {
                        act.fault == fault && act.path.is_some_and(|path| paths[path] == Some(transport))
                    };
                    assert!(acts.iter().any(found), "seed {seed}: no {fault:?} on {transport}");
                }
            }
            for fault in [Fault::Kill, Fault::Restart, Fault::Stall] {
                assert!(acts.iter().any(|act| act.fault == fault && act.path.is_none()), "{seed}: {fault:?}");
            }
        }
    }

    #[test]
    fn without_faults_there_is_no_storm() {
        assert_eq!(schedule(1, Duration::from_secs(10), &[], &[None]), []);
    }
}
