//! What would change the answer: each question answered otherwise, one at a time.

use serde::Serialize;

use super::cost::Costs;
use super::decision::Decision;
use super::situation::{Loss, Network, Sends, Situation, seconds};

/// Another answer, and what follows from it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Turn {
    /// The other answer.
    pub when: String,
    /// What to take then.
    pub then: String,
    /// All answers, with the other one among them.
    pub situation: Situation,
}

/// Freshness that is tried, in seconds; and users, as multiples.
const FRESH_S: [f64; 6] = [0.1, 1.0, 10.0, 30.0, 60.0, 300.0];
const USERS: [u64; 3] = [10, 100, 1_000];

pub(super) fn turns(situation: &Situation, decision: &Decision) -> Vec<Turn> {
    let mut turns = Vec::new();
    let mut consider = |when: String, other: Situation| {
        let then = Decision::of(&other, &Costs::of(&other));
        let changed = then.first() != decision.first() || then.delivery != decision.delivery;
        if changed {
            turns.push(Turn { when, then: in_words(&then, decision), situation: other });
        }
        changed
    };
    for (sends, when) in [
        (Sends::Never, "clients only receive"),
        (Sends::Sometimes, "clients send now and then"),
        (Sends::Often, "clients send once a second or more"),
    ] {
        consider(when.into(), Situation { sends, ..*situation });
    }
    // The nearest change in each direction says enough.
    let fresher = FRESH_S.into_iter().rev().filter(|fresh| *fresh < situation.fresh_s);
    let older = FRESH_S.into_iter().filter(|fresh| *fresh > situation.fresh_s);
    for (mut all, word) in
        [(fresher.collect::<Vec<_>>(), "must not be older than"), (older.collect(), "may be")]
    {
        all.dedup();
        for fresh_s in all {
            let when = match word {
                "may be" => format!("news may be {} old", seconds(fresh_s)),
                word => format!("news {word} {}", seconds(fresh_s)),
            };
            if consider(when, Situation { fresh_s, ..*situation }) {
                break;
            }
        }
    }
    for times in USERS {
        let users = situation.users.saturating_mul(times);
        if consider(format!("there are {users} users"), Situation { users, ..*situation }.clamped()) {
            break;
        }
    }
    for (network, when) in [
        (Network::NoUpgrades, "something on the way lets no WebSocket through"),
        (Network::Buffering, "something on the way holds responses back"),
    ] {
        consider(when.into(), Situation { network, ..*situation });
    }
    for (loss, when) in [(Loss::Never, "no message may be lost"), (Loss::Allowed, "a message may be lost")] {
        consider(when.into(), Situation { loss, ..*situation });
    }
    turns
}

fn in_words(then: &Decision, now: &Decision) -> String {
    let transport = (then.first() != now.first()).then(|| then.first().name());
    let delivery = (then.delivery != now.delivery).then_some(then.delivery);
    transport.into_iter().chain(delivery).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_nothing_is_not_said() {
        let situation = Situation {
            sends: Sends::Never,
            fresh_s: 1.0,
            every_s: 30.0,
            users: 10_000,
            bytes: 200,
            loss: Loss::Never,
            network: Network::Unknown,
        };
        let decision = Decision::of(&situation, &Costs::of(&situation));
        let turns = turns(&situation, &decision);
        let then = |when: &str| turns.iter().find(|turn| turn.when == when).map(|turn| turn.then.as_str());
        assert_eq!(then("clients send once a second or more"), Some("ws"));
        assert_eq!(then("news may be 10s old"), Some("poll"));
        assert_eq!(then("something on the way holds responses back"), Some("ws"));
        assert_eq!(then("a message may be lost"), Some("at-most-once"));
        assert_eq!(turns.len(), 4, "{turns:?}");
    }
}
